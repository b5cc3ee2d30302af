"""Clients that stop reading: they catch up or are closed, and the others lose nothing and hardly notice."""

import asyncio
import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from rowcast.core.telemetry import listening
from rowcast.realtime.gateway import GatewayLimits
from rowcast.realtime.websocket import SocketLimits
from tests.protocol import served, socket_server
from tests.protocol.socket_crowd import Crowd, Member, crowded, make_room_for, spread
from tests.protocol.test_storm import user_token

PATIENCE_S = 60.0
NEVER = (3600.0,)
TURNS = 3
TIGHT = GatewayLimits(socket=SocketLimits(sndbuf_bytes=16 * 1024, queued_bytes=512 * 1024))


class Talk:
    """One speaker's numbered messages to everybody else, and how late each was heard."""

    def __init__(self, crowd: Crowd, size_bytes: int) -> None:
        self._crowd = crowd
        self._text = "x" * size_bytes
        self.sent_at_s: list[float] = []
        self.late_s: list[float] = []
        crowd.on_broadcast = self._hear

    def say(self) -> None:
        payload = {"n": len(self.sent_at_s), "text": self._text}
        self.sent_at_s.append(time.perf_counter())
        speaker = self._crowd.members[0]
        speaker.say(speaker.topic, "broadcast", {"type": "broadcast", "event": "said", "payload": payload}, "b")

    async def go_on(self, seconds: float, every_s: float) -> list[float]:
        """Talk for a while and give how late those who read heard it."""
        self.late_s = []
        end_at_s = time.perf_counter() + seconds
        while time.perf_counter() < end_at_s:
            self.say()
            await asyncio.sleep(every_s)
        return self.late_s

    def _hear(self, payload: bytes) -> None:
        self.late_s.append(time.perf_counter() - self.sent_at_s[number(payload)])


def number(payload: bytes) -> int:
    """Give the number of a message that was heard."""
    return int(payload.partition(b'"n":')[2].partition(b",")[0])


def heard(member: Member) -> list[int]:
    """Give what a member has heard, in order."""
    return [number(payload) for payload in member.heard]


@contextmanager
def cuts() -> Iterator[list[object]]:
    """Keep the reasons for which sockets are cut."""
    reasons: list[object] = []

    def hear(name: str, facts: Any) -> None:
        if name == "socket.cut":
            reasons.append(facts["reason"])

    with listening(hear):
        yield reasons


async def test_slow_clients_catch_up_or_are_closed_and_the_others_lose_nothing() -> None:
    make_room_for(2 * 221)
    with cuts() as reasons:
        async with (
            socket_server.serving(limits=TIGHT) as server,
            crowded(server.port, socket_server.token(), reconnects_s=NEVER) as crowd,
        ):
            good, slow = crowd.come(201)[1:], crowd.come(20)
            patient, stuck = slow[:10], slow[10:]
            await crowd.until(lambda: crowd.joined == 221, PATIENCE_S)
            talk = Talk(crowd, 16 * 1024)
            for member in slow:
                member.stop_reading()
            await in_step(crowd, talk, good, 30)
            for member in patient:
                member.read_on()
            await crowd.until(lambda: all(len(member.heard) == 30 for member in patient), PATIENCE_S)

            await in_step(crowd, talk, [*good, *patient], 70)

            assert reasons == ["slow"] * 10
            assert server.hub.connections == 211
            assert {tuple(heard(member)) for member in [*good, *patient]} == {tuple(range(100))}
            assert all(member.losses == 0 for member in [*good, *patient])
            assert max(len(member.heard) for member in stuck) < 100


async def in_step(crowd: Crowd, talk: Talk, listeners: list[Member], count: int) -> None:
    """Say so many messages, ten at a time, each ten when those before were heard by all who listen."""

    def is_heard() -> bool:
        return all(len(member.heard) == len(talk.sent_at_s) for member in listeners)

    for _ in range(count // 10):
        for _ in range(10):
            talk.say()
        await crowd.until(is_heard, PATIENCE_S)


async def watched(server: served.Served, talk: Talk, *, seconds: float) -> tuple[list[float], int]:
    """Talk for a while; give how late it was heard, and how much memory the server held at most."""
    most_kb = 0

    async def look() -> None:
        nonlocal most_kb
        while True:
            most_kb = max(most_kb, server.resident_kb())
            await asyncio.sleep(0.2)

    async with asyncio.TaskGroup() as group:
        looking = group.create_task(look(), name="memory")
        late_s = await talk.go_on(seconds, 0.2)
        looking.cancel()
    return late_s, most_kb


@pytest.mark.nightly
@pytest.mark.timeout(600)
async def test_100_slow_clients_among_1000_do_not_make_the_others_wait(dsn: str, tmp_path: Path) -> None:
    make_room_for(1_001 + TURNS * 100)
    with served.serving(dsn, tmp_path) as server:
        async with crowded(server.port, user_token(), reconnects_s=NEVER) as crowd:
            good = crowd.come(1_001)[1:]
            await crowd.until(lambda: crowd.joined == 1_001, PATIENCE_S)
            talk = Talk(crowd, 16 * 1024)
            await talk.go_on(2.0, 0.2)
            before_kb = server.resident_kb()
            ratios = [await turn(server, crowd, talk) for _ in range(TURNS)]
            grown_mb = (server.resident_kb() - before_kb) / 1024
            await crowd.until(lambda: all(len(member.heard) == len(talk.sent_at_s) for member in good), PATIENCE_S)

            print(f"p99 of good clients beside slow ones to p99 alone: {ratios}; memory grew by {grown_mb:.1f} MB")
            assert statistics.median(ratios) <= 2
            assert grown_mb < 64
            assert all(heard(member) == list(range(len(talk.sent_at_s))) and not member.losses for member in good)


async def turn(server: served.Served, crowd: Crowd, talk: Talk) -> float:
    """Measure alone, then beside a hundred more who stop reading, until they are closed; give the ratio of the p99s."""
    slow = crowd.come(100)
    await crowd.until(lambda: all(member.is_joined for member in slow), PATIENCE_S)
    alone = spread(await talk.go_on(10.0, 0.2))
    before_kb = server.resident_kb()
    for member in slow:
        member.stop_reading()
    late_s, most_kb = await watched(server, talk, seconds=25.0)
    for member in slow:
        member.read_on()
    await crowd.until(lambda: all(member.losses for member in slow), PATIENCE_S)
    print(f"alone {told(alone)}; beside slow ones {told(spread(late_s))}, {(most_kb - before_kb) / 1024:.1f} MB more")
    return spread(late_s)[1] / alone[1]


def told(late_s: tuple[float, float]) -> str:
    """Say how late messages were."""
    return f"p50 {late_s[0] * 1000:.1f} ms, p99 {late_s[1] * 1000:.1f} ms"
