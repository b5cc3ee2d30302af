"""One message to many sockets: ours, nats-server, mosquitto and `ws`, each with its subscribers in another process.

The publisher keeps 1 or 16 messages outstanding: the next one leaves when a whole message more has arrived everywhere.
"""

import resource
import statistics
from functools import partial

from benchmarks.crowds import PEERS, Peer, crowds
from benchmarks.harness import Effort, Row, server, take_turns

TITLE = "Fan-out: deliveries a second of one publisher's messages"
NOTE = (
    "A delivery is one message at one subscriber. `outstanding` is how many messages may be on their way at once. "
    "`server time` is the processor time of the server for one delivery with 1 outstanding, kernel included: unlike "
    "the rate it hardly changes when other programs run on the machine. `paced`: published at half of the rate that "
    "1 outstanding reaches, each server at half of its own; from publisher to subscriber, and a heartbeat of one more "
    "socket meanwhile. `memory` is what the server's process grew by, for each joined and silent socket; `idle`, what "
    "share of a processor it takes while every socket beats every 25 seconds."
)
KB_CEILING, IDLE_CEILING, BEAT_CEILING_MS = 8.0, 2.0, 5.0
COUNTS = (1, 10, 100, 1_000, 5_000, 10_000)
_QUICK_COUNTS = (1, 10, 100, 1_000)
_BIG = 1_000
_LARGE_BYTES = 1024
_SMALL_BYTES = 256
_OUTSTANDING = (1, 16)
_SPARE_FILES = 1_000
_FLOORS = {
    (1, 1, "mqtt"): 0.6, (10, 1, "mqtt"): 0.9,
    (1_000, 1, "nats"): 1.6, (1_000, 16, "nats"): 2.0, (1_000, 1, "mqtt"): 1.3, (1_000, 16, "mqtt"): 12.0,
    (10_000, 1, "nats"): 2.0, (10_000, 1, "mqtt"): 2.5,
}  # fmt: skip


async def run(effort: Effort) -> list[Row]:
    """Measure every size with everybody who is here."""
    rows: list[Row] = []
    async with server() as postgres:
        for count in sizes(effort):
            for size_bytes in (_SMALL_BYTES, _LARGE_BYTES) if count >= 100 else (_SMALL_BYTES,):
                rows += await measure(postgres.dsn, count, size_bytes, effort)
    return rows


def sizes(effort: Effort) -> tuple[int, ...]:
    """Give how many subscribers to try; the largest only where a process may have as many files open."""
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    wanted = _QUICK_COUNTS if effort.scale < 1 else COUNTS
    return tuple(count for count in wanted if files == resource.RLIM_INFINITY or count + _SPARE_FILES < files)


async def measure(dsn: str, count: int, size_bytes: int, effort: Effort) -> list[Row]:
    """Measure one size."""
    async with crowds(dsn, count, size_bytes) as (peers, missing):
        measures = {
            f"{kind} {outstanding}": partial(peer.deliveries, outstanding, effort.seconds)
            for outstanding in _OUTSTANDING
            for kind, peer in peers.items()
        }
        taken = await take_turns(measures, max(3, effort.turns // 3))
        rows = [*_rates(count, size_bytes, taken, missing), *_costs(count, size_bytes, peers)]
        if count < _BIG or size_bytes != _SMALL_BYTES:
            return rows
        return [*rows, *await _paced(peers, taken, effort), *_memory(peers), *await _idle(peers, effort)]


def _rates(count: int, size_bytes: int, taken: dict[str, list[float]], missing: dict[str, str]) -> list[Row]:
    return [
        Row(
            f"{count:,} subscribers, {_size(size_bytes)}, {outstanding} outstanding",
            taken[f"rowcast {outstanding}"],
            "/s",
            name,
            taken.get(f"{kind} {outstanding}", []),
            floor=_FLOORS.get((count, outstanding, kind))
            if size_bytes == _SMALL_BYTES and kind not in missing
            else None,
            missing=missing.get(kind, ""),
        )
        for outstanding in _OUTSTANDING
        for kind, name in PEERS.items()
    ]


def _costs(count: int, size_bytes: int, peers: dict[str, Peer]) -> list[Row]:
    what = f"server time, {count:,} subscribers, {_size(size_bytes)}"
    return [
        Row(what, peers["rowcast"].cpu_us[1], "µs", PEERS[kind], peer.cpu_us[1])
        for kind, peer in peers.items()
        if kind != "rowcast"
    ]


async def _paced(peers: dict[str, Peer], taken: dict[str, list[float]], effort: Effort) -> list[Row]:
    found: dict[str, list[tuple[float, float, float]]] = {kind: [] for kind in peers}
    for _ in range(3):
        for kind, peer in peers.items():
            half = statistics.median(taken[f"{kind} 1"]) / peer.count / 2
            found[kind].append(await peer.paced(half, effort.seconds))
    count = f"{peers['rowcast'].count:,}"
    names = (f"paced, {count}: p50", f"paced, {count}: p99", f"paced, {count}: heartbeat p99")
    return [
        Row(
            name,
            [each[place] for each in found["rowcast"]],
            "ms",
            PEERS[kind],
            [each[place] for each in found[kind]],
            ceiling=BEAT_CEILING_MS if name.endswith("heartbeat p99") else None,
        )
        for place, name in enumerate(names)
        for kind in peers
        if kind != "rowcast"
    ]


def _memory(peers: dict[str, Peer]) -> list[Row]:
    """Only of many: a few sockets are lost in what a process takes for itself."""
    ours = peers["rowcast"]
    what = f"memory of one of {ours.count:,} sockets"
    return [
        Row(what, [ours.grown_kb], "KB", PEERS[kind], [peer.grown_kb], ceiling=KB_CEILING)
        for kind, peer in peers.items()
        if kind != "rowcast"
    ]


async def _idle(peers: dict[str, Peer], effort: Effort) -> list[Row]:
    seconds = 10 * effort.seconds
    shares = {kind: [await peer.idle(seconds / 3) for _ in range(3)] for kind, peer in peers.items()}
    ceiling = IDLE_CEILING if peers["rowcast"].count == COUNTS[-1] else None
    what = f"idle, {peers['rowcast'].count:,} sockets"
    return [
        Row(what, shares["rowcast"], "%", PEERS[kind], shares[kind], ceiling=ceiling)
        for kind in peers
        if kind != "rowcast"
    ]


def _size(size_bytes: int) -> str:
    return f"{size_bytes} B" if size_bytes < 1024 else f"{size_bytes // 1024} KiB"
