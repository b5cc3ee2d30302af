"""Postgres changes: what more subscribers and more claim sets cost, on a table with row-level security.

Everybody hears every row. Policies are asked once for each claim set and piece of rows, never once for each subscriber.
"""

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial

from benchmarks.harness import Effort, Row, server, take_turns
from benchmarks.scenarios.changes import Bench, Receiver, opened
from rowcast.core.telemetry import Value, listening

TITLE = "Postgres changes: what subscribers and claim sets cost"
NOTE = (
    "Each row is heard by everybody. `one for all`: a delivery of one row to one subscriber. `questions` are counted "
    "over changes that are committed one by one; the bound is the number of distinct claim sets."
)
_COUNTS = (1, 100, 1_000)
_DELIVERIES = 200_000
_SINGLES = 3
_TABLE = """
create table shared (id bigint primary key, room int, status text, total numeric, at timestamptz default now());
alter table shared enable row level security;
create policy users on shared for select to authenticated using (auth.jwt() ->> 'sub' like 'user-%');
grant select on shared to authenticated;
alter publication supabase_realtime add table shared;
"""


async def run(effort: Effort) -> list[Row]:
    """Take every number of subscribers with one claim set and with one each."""
    async with server() as postgres, opened(postgres.dsn, 0) as bench:
        await bench.session.run_script(_TABLE)
        kinds = {(count, sets) for count in _COUNTS for sets in (1, count)}
        measures = {
            f"{count} {sets}": partial(_deliveries, bench, count, sets, effort.scale) for count, sets in sorted(kinds)
        }
        taken = await take_turns(measures, max(3, effort.turns // 3))
        questions = {(count, sets): await _questions(bench, count, sets) for count, sets in sorted(kinds)}
    return [*_rates(taken), *(_asked(count, sets, found) for (count, sets), found in questions.items())]


def _rates(taken: Mapping[str, list[float]]) -> Iterator[Row]:
    for name, found in taken.items():
        count, sets = map(int, name.split())
        what = f"{count:,} subscribers, {sets:,} claim sets"
        yield Row(f"{what}: deliveries", found, "/s")
        yield Row(f"{what}: one for all", [1e6 / rate for rate in found], "µs")


def _asked(count: int, sets: int, questions: float) -> Row:
    return Row(f"questions for one change, {count:,} subscribers, {sets:,} claim sets", [questions], "", ceiling=sets)


async def _deliveries(bench: Bench, count: int, sets: int, scale: float) -> float:
    """Give the deliveries a second of one transaction."""
    bench.rows = max(20, int(_DELIVERIES * max(scale, 0.2) / count))
    receivers = [await bench.subscribe("shared", None, f"user-{number % sets}") for number in range(count)]
    rate = await bench.told("shared", receivers, bench.rows * count)
    for receiver in receivers:
        bench.changes.unsubscribe(receiver)
    return rate * count


async def _questions(bench: Bench, count: int, sets: int) -> float:
    """Give how many questions a change that is committed alone makes."""
    bench.rows = 1
    receivers = [await bench.subscribe("shared", None, f"user-{number % sets}") for number in range(count)]
    await _change(bench, receivers)
    with _counting() as asked:
        for _ in range(_SINGLES):
            await _change(bench, receivers)
    for receiver in receivers:
        bench.changes.unsubscribe(receiver)
    return len(asked) / _SINGLES


async def _change(bench: Bench, receivers: list[Receiver]) -> None:
    """Commit one row, and wait until everybody has heard it."""
    want = sum(receiver.heard for receiver in receivers) + len(receivers)
    await bench.insert("shared")
    async with asyncio.timeout(60):
        while sum(receiver.heard for receiver in receivers) < want:  # noqa: ASYNC110 - rows are only counted
            await asyncio.sleep(0.005)


@contextmanager
def _counting() -> Iterator[list[str]]:
    asked: list[str] = []

    def hear(name: str, _: Mapping[str, Value]) -> None:
        if name == "changes.visibility_asked":
            asked.append(name)

    with listening(hear):
        yield asked
