"""Thousands of sockets come at once, are all dropped, and are back; who was there before notices nothing of it.

A real `rowcast serve`; the clients wait before each new try as the stock clients do. `make test` runs a small storm,
the night one of 10,000 sockets.
"""

import asyncio
import time
from pathlib import Path

import pytest

from rowcast.realtime.authorize import sign_token
from tests.integration.server.processes import JWT_SECRET
from tests.protocol.served import serving
from tests.protocol.socket_crowd import STOCK_RECONNECTS_S, Crowd, Member, crowded, make_room_for, spread

PATIENCE_S = 60.0
ROOM_SIZE = 100
QUICK_RECONNECTS_S = (0.1, 0.2, 0.5, 1.0)

STORMS = [
    pytest.param(400, QUICK_RECONNECTS_S, id="400"),
    pytest.param(10_000, STOCK_RECONNECTS_S, id="10000", marks=[pytest.mark.nightly, pytest.mark.timeout(600)]),
]


def user_token() -> str:
    """Give the token of somebody of the tenant `acme`."""
    claims = {"role": "authenticated", "tenant_id": "acme", "exp": int(time.time()) + 3600}
    return sign_token(claims, JWT_SECRET)


async def alive(crowd: Crowd, members: list[Member]) -> list[float]:
    """See one heartbeat of each answered, and give how long each took."""
    before = len(crowd.answers_s)
    for member in members:
        member.beat()
    await crowd.until(lambda: all(member.beaten_at_s is None for member in members), PATIENCE_S)
    return crowd.answers_s[before:]


async def storm(crowd: Crowd, count: int, residents: list[Member]) -> list[float]:
    """Let everybody else come at once; give how long the heartbeats of those who live here took meanwhile."""
    crowd.come(count - len(residents))
    answers: list[float] = []
    while crowd.joined < count:
        answers += await alive(crowd, residents)
    return answers


async def talking(crowd: Crowd) -> None:
    """See that a message reaches everybody of its room, and nobody else."""
    for member in crowd.members:
        member.heard.clear()
    payload = {"type": "broadcast", "event": "said", "payload": {"n": 1}}
    for speaker in crowd.members[: crowd.rooms]:
        speaker.say(speaker.topic, "broadcast", payload, "b")
    listeners = crowd.members[crowd.rooms :]
    await crowd.until(lambda: all(member.heard for member in listeners), PATIENCE_S)
    assert {len(member.heard) for member in listeners} == {1}


@pytest.mark.parametrize(("count", "reconnects_s"), STORMS)
async def test_all_come_at_once_and_all_are_back_after_a_cut_and_after_a_kill(
    dsn: str, tmp_path: Path, count: int, reconnects_s: tuple[float, ...]
) -> None:
    make_room_for(count)
    options = {"rooms": count // ROOM_SIZE, "reconnects_s": reconnects_s}
    with serving(dsn, tmp_path) as served:
        async with crowded(served.port, user_token(), **options) as crowd:
            residents = crowd.come(count // 5)
            await crowd.until(lambda: crowd.joined == len(residents), PATIENCE_S)
            begun_at_s = time.monotonic()
            async with asyncio.timeout(PATIENCE_S):
                answers = await storm(crowd, count, residents)
            print(f"{count} sockets: all here after {time.monotonic() - begun_at_s:.1f} s,", told(answers))
            assert [(member.losses, member.silences) for member in residents] == [(0, 0)] * len(residents)
            await talking(crowd)

            for member in crowd.members[len(residents) :]:
                member.drop()
            took_s = await all_back(crowd, count, {1})
            print(f"{count - len(residents)} cut by a reset: all back after {took_s:.1f} s")
            assert [(member.losses, member.silences) for member in residents] == [(0, 0)] * len(residents)

            begun_at_s = time.monotonic()
            await asyncio.to_thread(served.kill)
            print(f"the killed server: {time.monotonic() - begun_at_s:.1f} s until it listens again")
            await all_back(crowd, count, {1, 2})
            print(f"{count} dropped by a kill: all back {time.monotonic() - begun_at_s:.1f} s after it")
            assert time.monotonic() - begun_at_s < PATIENCE_S or count < 10_000
            await talking(crowd)
            print("and all heartbeats are answered,", told(await alive(crowd, crowd.members)))


async def all_back(crowd: Crowd, count: int, losses: set[int]) -> float:
    """Wait until everybody who lost a socket has joined again; nobody has lost more than that."""
    took_s = await crowd.until(
        lambda: crowd.joined == count and max(member.losses for member in crowd.members) == max(losses), PATIENCE_S
    )
    assert {member.losses for member in crowd.members} - {0} <= losses
    return took_s


def told(answers: list[float]) -> str:
    """Say how fast heartbeats were answered."""
    median, late = spread(answers)
    return f"{len(answers)} heartbeats answered: p50 {median * 1000:.0f} ms, p99 {late * 1000:.0f} ms"
