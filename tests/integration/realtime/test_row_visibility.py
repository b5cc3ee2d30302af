"""Which rows an audience may see: asked once, and an audience that fails rests."""

import asyncio
import json
from typing import Any

import psycopg
import pytest

from rowcast.realtime.change_index import Audience
from rowcast.realtime.row_visibility import Resting, RowVisibility, VisibilityOptions, Visible
from rowcast.store.pool import Database
from rowcast.testing.fake_clock import FakeClock
from tests.integration.realtime.changing import run

TABLE = (
    "create table orders (a int, b text, owner text, v int, place int, primary key (a, b))",
    "alter table orders enable row level security",
    "grant select on orders to authenticated",
    "insert into orders values (1, 'x', 'me'), (2, 'x', 'you'), (2, 'y', 'me')",
)
OWN = "create policy own on orders for select to authenticated using (owner = auth.jwt() ->> 'sub')"
KEYS = [["1", "x"], ["2", "x"], ["2", "y"], ["9", "z"], [None, "x"]]


def audience(sub: str = "me", role: str = "authenticated") -> Audience:
    return Audience(role, json.dumps({"sub": sub}).encode())


@pytest.fixture
def visibility(database: Database, clock: FakeClock) -> RowVisibility:
    return RowVisibility(database=database, clock=clock)


async def oid_of(database: Database) -> int:
    async with database.connection() as connection:
        return int(await connection.driver.fetchval("select 'orders'::regclass::oid::bigint"))


async def test_the_rows_that_policies_show_are_found_by_their_keys(
    dsn: str, database: Database, visibility: RowVisibility
) -> None:
    run(dsn, *TABLE, OWN)
    oid = await oid_of(database)

    assert await visibility.ask(oid, audience(), key=["a", "b"], keys=KEYS) == Visible(frozenset({0, 2}))
    assert await visibility.ask(oid, audience("you"), key=["a", "b"], keys=KEYS) == Visible(frozenset({1}))
    assert await visibility.ask(oid, audience(role="anon"), key=["a", "b"], keys=KEYS) == Visible(frozenset())


async def test_the_session_speaks_for_nobody_afterwards(
    dsn: str, database: Database, visibility: RowVisibility
) -> None:
    run(dsn, *TABLE, OWN)
    await visibility.ask(await oid_of(database), audience(), key=["a", "b"], keys=KEYS)

    async with database.connection() as connection:
        role = await connection.driver.fetchval("select current_setting('role')")
        left = await connection.driver.fetchval("select current_setting('request.jwt.claims', true)")

    assert (role, left or None) == ("none", None)


async def test_a_policy_that_fails_lets_its_audience_rest_and_is_asked_again_later(
    dsn: str, database: Database, visibility: RowVisibility, clock: FakeClock
) -> None:
    run(
        dsn,
        *TABLE,
        "create policy own on orders for select to authenticated using (1 / a > 0 and (auth.jwt() ->> 'sub')::int > 0)",
    )
    oid = await oid_of(database)

    first = await visibility.ask(oid, audience("me"), key=["a", "b"], keys=KEYS)
    second = await visibility.ask(oid, audience("me"), key=["a", "b"], keys=KEYS)
    other = await visibility.ask(oid, audience("5"), key=["a", "b"], keys=KEYS)
    run(dsn, "drop policy own on orders", OWN)
    clock.tick(6.0)
    third = await visibility.ask(oid, audience("me"), key=["a", "b"], keys=KEYS)

    assert isinstance(first, Resting)
    assert "invalid input syntax" in (first.fault or "")
    assert second == Resting()
    assert isinstance(other, Visible)
    assert third == Visible(frozenset({0, 2}), is_back=True)


async def test_each_failure_makes_the_rest_longer(
    dsn: str, database: Database, visibility: RowVisibility, clock: FakeClock
) -> None:
    run(dsn, *TABLE, "create policy own on orders for select to authenticated using ((auth.jwt() ->> 'sub')::int > 0)")
    oid = await oid_of(database)

    async def faults_after(seconds: float) -> bool:
        clock.tick(seconds)
        found = await visibility.ask(oid, audience(), key=["a", "b"], keys=KEYS)
        return isinstance(found, Resting) and found.fault is not None

    assert [await faults_after(seconds) for seconds in (0.0, 4.0, 2.0, 9.0, 2.0)] == [True, False, True, False, True]


async def test_rows_that_are_gone_are_held_against_the_policies_as_they_were(
    dsn: str, database: Database, visibility: RowVisibility
) -> None:
    run(
        dsn,
        *TABLE,
        "create policy own on orders for select to authenticated using (owner = auth.jwt() ->> 'sub' and coalesce(v, 0) >= 0)",
        "create policy more on orders for select to public using (place = 7)",
        "create policy for_writers on orders for update to authenticated using (true)",
        "create policy not_hidden on orders as restrictive for all to authenticated using (b <> 'hidden')",
    )
    rows = [
        b'{"a":1,"b":"x","owner":"me"}',
        b'{"a":1,"b":"x","owner":"you"}',
        b'{"a":1,"b":"x","owner":"you","place":7}',
        b'{"a":1,"b":"hidden","owner":"me"}',
        b'{"a":1,"b":"x","owner":"me","v":-1}',
    ]
    oid = await oid_of(database)

    assert await visibility.ask_old(oid, audience(), rows) == Visible(frozenset({0, 2}))


async def test_without_a_policy_a_row_that_is_gone_is_seen_by_nobody(
    dsn: str, database: Database, visibility: RowVisibility
) -> None:
    run(dsn, *TABLE)

    assert await visibility.ask_old(await oid_of(database), audience(), [b'{"a":1}']) == Visible(frozenset())


async def test_a_policy_may_look_at_other_tables_and_at_the_row_by_the_tables_name(
    dsn: str, database: Database, visibility: RowVisibility
) -> None:
    run(
        dsn,
        *TABLE,
        "create table members (name text, b text); insert into members values ('me', 'y'); grant select on members to authenticated",
        "create policy own on orders for select using (exists (select from members m where m.b = orders.b and m.name = auth.jwt() ->> 'sub'))",
    )
    oid = await oid_of(database)

    assert await visibility.ask(oid, audience(), key=["a", "b"], keys=KEYS) == Visible(frozenset({2}))
    assert await visibility.ask_old(oid, audience(), [b'{"b":"x"}', b'{"b":"y"}']) == Visible(frozenset({1}))


async def test_a_transaction_that_others_do_not_see_yet_is_waited_for(
    dsn: str, database: Database, visibility: RowVisibility
) -> None:
    with psycopg.connect(dsn) as writing, psycopg.connect(dsn) as later:
        mine = _xid(writing)
        newer = _xid(later)
        later.commit()
        waiting = asyncio.ensure_future(visibility.await_commits([newer, mine]))
        await visibility.await_commits([newer])
        await asyncio.sleep(0.05)
        was_done = waiting.done()
        writing.commit()
        async with asyncio.timeout(10):
            await waiting

    assert not was_done


async def test_a_transaction_that_stays_unseen_is_not_waited_for_for_ever(
    dsn: str, database: Database, clock: FakeClock
) -> None:
    quick = RowVisibility(database=database, clock=clock, options=VisibilityOptions(timeout_s=0.1))
    with psycopg.connect(dsn) as writing, pytest.raises(TimeoutError):
        await quick.await_commits([_xid(writing)])


def _xid(connection: Any) -> int:
    return int(connection.execute("select pg_current_xact_id()::text::bigint & 4294967295").fetchone()[0])
