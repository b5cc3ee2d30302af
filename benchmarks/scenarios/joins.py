"""Joins a second: of a public channel, and of a private one that a row-level-security policy decides.

300 sockets of one and of ten claim sets join again and again, one join of each outstanding. Questions that wait for
their turn and are the same share one answer, so a private join costs the database less than one question.
"""

import time
from functools import partial

from benchmarks.children import Child, child, python_peer
from benchmarks.crowds import cpu_s
from benchmarks.harness import Effort, Row, server, take_turns
from benchmarks.nodes import SECRET, node
from rowcast.realtime.authorize import sign_token
from rowcast.store.pool import connect

TITLE = "Joins a second"
NOTE = (
    "Of 300 sockets on a real `rowcast serve`, each joining anew when its last join was answered. Private: a policy on "
    "`realtime.messages` decides; `ten claim sets` are ten users. `server time` is the "
    "processor time of the server, PostgreSQL's apart."
)
PUBLIC_FLOOR, PRIVATE_FLOOR = 8_000.0, 1_000.0
_SOCKETS = 300
_POLICY = """
create policy hear on realtime.messages for select to authenticated
  using (realtime.topic() = 'room' and auth.jwt() ->> 'sub' like 'user-%')
"""


async def run(effort: Effort) -> list[Row]:
    """Take all three in turn."""
    async with server() as postgres:
        session = await connect(postgres.dsn)
        await session.run_script(_POLICY)
        await session.close()
        async with (
            node(postgres.dsn) as running,
            child(*python_peer("join_client", str(running.port), str(_SOCKETS), *_tokens(1))) as one,
            child(*python_peer("join_client", str(running.port), str(_SOCKETS), *_tokens(10))) as ten,
        ):
            for crowd in (one, ten):
                assert await crowd.line() == "ready"
            kinds = {
                "public": (one, False),
                "private, one claim set": (one, True),
                "private, ten claim sets": (ten, True),
            }
            costs: dict[str, list[float]] = {name: [] for name in kinds}
            measures = {
                name: partial(_measure, running.pid, *kind, seconds=effort.seconds, costs=costs[name])
                for name, kind in kinds.items()
            }
            taken = await take_turns(measures, max(3, effort.turns // 2))
    return [
        row
        for name, found in taken.items()
        for row in (
            Row(f"joins, {name}", found, "/s", floor=PUBLIC_FLOOR if name == "public" else PRIVATE_FLOOR),
            Row(f"server time of one join, {name}", costs[name], "µs"),
        )
    ]


def _tokens(count: int) -> list[str]:
    claims = {"role": "authenticated", "tenant_id": "acme", "exp": int(time.time()) + 7200}
    return [sign_token({**claims, "sub": f"user-{number}"}, SECRET) for number in range(count)]


async def _measure(pid: int, crowd: Child, is_private: bool, *, seconds: float, costs: list[float]) -> float:
    before_s = cpu_s(pid)
    await crowd.say(f"{int(is_private)} {seconds}")
    rate = float(await crowd.line())
    # The peer warms up for a quarter of the time.
    costs.append((cpu_s(pid) - before_s) / (rate * seconds * 1.25) * 1e6)
    return rate
