"""What a session has missed is found again, on any node, and nothing is lost between two flushes."""

import asyncio
import uuid
from collections.abc import Sequence
from datetime import timedelta
from typing import Any, cast

import pytest

from rowcast.core.clock import SystemClock
from rowcast.core.codec import decode_json
from rowcast.core.envelope import Envelope
from rowcast.core.errors import StoreError
from rowcast.realtime.channel_log import Missed
from rowcast.realtime.messages import Broadcast, TopicKey
from rowcast.realtime.recover import DurableLog, RecoverLimits
from rowcast.realtime.recover_cursor import Position
from rowcast.realtime.sink import event_broadcasts
from rowcast.store.pool import Database, Session
from rowcast.store.sql import parse_query
from rowcast.testing.fake_clock import FakeClock

KEY = TopicKey("acme", True, "tenant:acme")
ORDERS = TopicKey("acme", True, "orders:acme")
EMIT = parse_query("emit", "select rowcast.emit(:tenant_id, :event_type, :payload::jsonb) as id")
SETTLE = parse_query("settle", "insert into rowcast.event_state (event_id, status) select id, :status from rowcast.event e "
    "where not exists (select from rowcast.event_state s where s.event_id = e.id)")  # fmt: skip
RAISE = parse_query(
    "raise", "update rowcast.feed_cursor set low_seq = (select coalesce(max(seq), 0) + 1 from rowcast.event)"
)
KEPT = parse_query("kept", "select from_seq, received from rowcast.realtime_session where session = :session")
AGE = parse_query(
    "age", "update rowcast.realtime_session set changed_at = changed_at - make_interval(secs => :seconds)"
)
COUNT = parse_query("count", "select count(*) as found from rowcast.realtime_session")


def log_on(database: Database, **limits: float) -> DurableLog:
    return DurableLog(database=database, clock=SystemClock(), limits=RecoverLimits(**limits))  # type: ignore[arg-type]


async def emit(
    database: Database, *, count: int = 1, event_type: str = "orders.made", tenant: str = "acme"
) -> list[str]:
    rows = [
        await database.fetch_one(EMIT, tenant_id=tenant, event_type=event_type, payload=f'{{"n":{number}}}')
        for number in range(count)
    ]
    return [str(row["id"]) for row in rows if row is not None]


async def settle(database: Database, status: str = "published") -> None:
    """Do what a relay does: every event gets its state, and the bound follows."""
    await database.execute(SETTLE, status=status)
    await database.execute(RAISE)


def ids(missed: Missed | None) -> list[str]:
    assert missed is not None
    return ids_of(missed.broadcasts)


def ids_of(broadcasts: Sequence[Broadcast]) -> list[str]:
    found = [decode_json(broadcast.meta) for broadcast in broadcasts]
    assert all(meta["replayed"] is True for meta in found)
    return [meta["id"] for meta in found]


def hear(log: DurableLog, sent: Sequence[str], *, key: TopicKey = KEY, until: int | None = None) -> None:
    """Send broadcasts to the session `s` and let its client acknowledge the first `until` of them."""
    for name in sent:
        log.sent(key, "s", name)
    received = sent[:until]
    if received:
        log.acknowledged(key, "s", received[-1])


async def test_a_session_begins_with_nothing_missed_and_misses_what_comes_while_it_is_away(database: Database) -> None:
    log = log_on(database)
    await emit(database)
    await settle(database)

    assert await log.recover(KEY, "s") is None
    later = await emit(database, count=3)
    assert ids(await log.recover(KEY, "s")) == later


async def test_what_was_told_before_a_session_began_is_not_told_to_it(database: Database) -> None:
    log = log_on(database)
    await emit(database)
    await database.execute(SETTLE, status="published")
    pending = await emit(database)

    assert await log.recover(KEY, "s") is None
    assert ids(await log.recover(KEY, "s")) == pending


async def test_only_what_was_not_acknowledged_is_told_again_in_order(database: Database) -> None:
    log = log_on(database)
    await log.recover(KEY, "s")
    made = await emit(database, count=5)
    hear(log, made, until=3)

    assert ids(await log.recover(KEY, "s")) == made[3:]


@pytest.mark.parametrize("is_settled", [False, True])
async def test_another_node_goes_on_from_what_was_kept(database: Database, is_settled: bool) -> None:
    first = log_on(database)
    await first.recover(KEY, "s")
    made = await emit(database, count=5)
    hear(first, made, until=3)
    if is_settled:
        await settle(database)
    await first.flush()

    assert ids(await log_on(database).recover(KEY, "s")) == made[3:]


async def test_a_node_that_is_killed_before_it_keeps_a_cursor_costs_duplicates_only(database: Database) -> None:
    first = log_on(database)
    await first.recover(KEY, "s")
    made = await emit(database, count=4)
    hear(first, made, until=2)
    await first.flush()
    hear(first, made[2:], until=1)

    assert ids(await log_on(database).recover(KEY, "s")) == made[2:]


async def test_a_cursor_never_moves_over_an_event_that_the_bus_has_lost(database: Database) -> None:
    log = log_on(database)
    await log.recover(KEY, "s")
    made = await emit(database, count=5)
    hear(log, [made[0], made[1], made[3], made[4]])
    await settle(database)
    await log.flush()
    await emit(database, event_type="other.thing", tenant="globex")
    await settle(database)
    await log.flush()

    assert ids(await log_on(database).recover(KEY, "s")) == [made[2]]


async def test_an_event_that_becomes_visible_late_is_not_passed_over(database: Database) -> None:
    """Numbers are drawn before the commit: the bound waits for the writer, and the cursor for the bound."""
    log = log_on(database)
    await log.recover(KEY, "s")
    async with database.transaction() as slow:
        late = await slow.fetch_one(EMIT, tenant_id="acme", event_type="orders.made", payload="{}")
        made = await emit(database, count=2)
        hear(log, made)
        await log.flush()
    assert late is not None

    assert ids(await log_on(database).recover(KEY, "s")) == [str(late["id"])]


async def test_the_row_of_a_session_shrinks_when_its_events_are_settled(database: Database) -> None:
    log = log_on(database)
    await log.recover(KEY, "s")
    hear(log, await emit(database, count=50))
    await log.flush()
    before = await database.fetch_one(KEPT, session="s")
    await settle(database)
    await log.flush()
    after = await database.fetch_one(KEPT, session="s")

    assert before is not None
    assert after is not None
    assert (len(before["received"]), len(after["received"])) == (50, 0)
    assert after["from_seq"] > before["from_seq"]


async def test_a_dead_event_was_never_told_and_holds_nobody_up(database: Database) -> None:
    log = log_on(database)
    await log.recover(KEY, "s")
    await emit(database)
    await settle(database, status="failed")
    await log.flush()
    await database.execute(parse_query("kill", "update rowcast.event_state set status = 'dead'"))
    await log.forget()
    await log.flush()
    kept = await database.fetch_one(KEPT, session="s")
    bound = await database.fetch_one(parse_query("bound", "select min(low_seq) as low_seq from rowcast.feed_cursor"))

    assert ids(await log.recover(KEY, "s")) == []
    assert kept is not None
    assert bound is not None
    place = log.place(KEY, "s")
    assert place is not None
    assert place.from_seq == bound["low_seq"]


async def test_more_than_can_be_told_again_gives_the_newest_and_says_so(database: Database) -> None:
    log = log_on(database, events=3)
    await log.recover(KEY, "s")
    made = await emit(database, count=5)
    missed = await log.recover(KEY, "s")

    assert ids(missed) == made[2:]
    assert missed is not None
    assert not missed.is_whole


async def test_exactly_as_much_as_can_be_told_again_is_whole(database: Database) -> None:
    log = log_on(database, events=3)
    await log.recover(KEY, "s")
    await emit(database, count=3)
    missed = await log.recover(KEY, "s")

    assert missed is not None
    assert missed.is_whole


async def test_the_size_is_bounded_too(database: Database) -> None:
    log = log_on(database, size_bytes=20)
    await log.recover(KEY, "s")
    made = await emit(database, count=5)
    missed = await log.recover(KEY, "s")

    assert missed is not None
    assert (ids(missed), missed.is_whole) == (made[3:], False)


async def test_a_client_that_was_away_too_long_is_told_that_something_may_be_gone(database: Database) -> None:
    log = log_on(database)
    await log.recover(KEY, "s")
    await database.execute(AGE, seconds=90_000.0)
    missed = await log.recover(KEY, "s")

    assert missed == Missed((), is_whole=False)


async def test_sessions_of_other_topics_and_tenants_are_other_sessions(database: Database) -> None:
    log = log_on(database)
    await log.recover(KEY, "s")
    await emit(database)

    assert await log.recover(ORDERS, "s") is None
    assert await log.recover(TopicKey("globex", True, "tenant:acme"), "s") is None
    assert ids(await log.recover(TopicKey("globex", True, "tenant:acme"), "s")) == []


async def test_a_session_of_one_module_hears_its_module_only(database: Database) -> None:
    log, key = log_on(database), TopicKey("acme", True, "tenant:acme:order_lines")
    await log.recover(key, "s")
    await emit(database, event_type="orderxlines.made")
    made = await emit(database, event_type="order_lines.made")

    assert ids(await log.recover(key, "s")) == made


@pytest.mark.parametrize("session", ["", "a b", "x" * 65, "';--"])
async def test_a_name_that_is_none_is_not_kept(database: Database, session: str) -> None:
    log = log_on(database)

    assert await log.recover(KEY, session) is None
    assert (await database.fetch_one(COUNT) or {})["found"] == 0


async def test_sessions_of_long_ago_and_those_too_many_are_forgotten(database: Database) -> None:
    log = log_on(database, tenant_sessions=2)
    await log.recover(KEY, "long ago".replace(" ", "-"))
    await database.execute(AGE, seconds=8 * 86_400.0)
    for session in ("a", "b", "c"):
        await log.recover(KEY, session)
    await log.forget()
    kept = await database.fetch(parse_query("names", "select session from rowcast.realtime_session order by session"))

    assert [row["session"] for row in kept] == ["b", "c"]


async def test_cursors_in_memory_are_bounded_and_the_row_still_recovers(database: Database) -> None:
    log = log_on(database, sessions=1)
    await log.recover(KEY, "s")
    made = await emit(database, count=2)
    hear(log, made, until=1)
    await log.flush()
    await log.recover(KEY, "another")

    assert ids(await log.recover(KEY, "s")) == made[1:]


async def test_a_rule_of_ones_own_is_followed(database: Database) -> None:
    def told(event: Envelope) -> Sequence[Broadcast]:
        return event_broadcasts(event, "vip")

    log, key = DurableLog(database=database, clock=SystemClock(), told=told), TopicKey("acme", True, "vip")
    await log.recover(key, "s")
    made = await emit(database, count=2)
    hear(log, made, key=key, until=1)
    await settle(database)
    await log.flush()

    assert ids(await log.recover(key, "s")) == made[1:]


async def test_a_replay_gives_the_newest_since_a_moment_oldest_first(database: Database) -> None:
    log = log_on(database)
    await emit(database, event_type="other.thing", tenant="globex")
    made = await emit(database, count=4)
    now = SystemClock().now()

    assert ids_of(await log.replay(KEY, since=now - timedelta(minutes=1), limit=3)) == made[1:]
    assert await log.replay(KEY, since=now + timedelta(minutes=1), limit=3) == ()
    assert await log.replay(ORDERS, since=now - timedelta(minutes=1), limit=3) == ()


async def test_what_was_sent_but_belongs_to_no_cursor_is_harmless(database: Database) -> None:
    log = log_on(database)
    log.acknowledged(KEY, "nobody", str(uuid.uuid4()))
    log.sent(KEY, "nobody", "not a uuid")
    log.acknowledged(KEY, "nobody", "not a uuid")
    await log.flush()

    assert (await log.recover(KEY, "nobody")) == Missed((), is_whole=True)


MESSAGE = parse_query(
    "message",
    "insert into realtime.messages (topic, extension, event, payload, private, tenant_id) "
    "values (:topic, 'broadcast', 'made', '{}', :private, :tenant_id) returning id::text as id",
)


async def say(
    session: Session, *, tenant_id: str | None = "acme", topic: str = "orders:acme", private: bool = True
) -> str:
    row = await session.fetch_one(MESSAGE, topic=topic, tenant_id=tenant_id, private=private)
    assert row is not None
    return str(row["id"])


async def test_messages_of_the_database_are_recovered_on_another_node(database: Database) -> None:
    log = log_on(database)
    await log.recover(ORDERS, "s")
    made = [await say(database) for _ in range(4)]
    await say(database, tenant_id="globex")
    await say(database, private=False)
    await say(database, topic="orders:other")
    hear(log, made, key=ORDERS, until=2)
    await log.flush()
    await log.flush()

    assert ids(await log_on(database).recover(ORDERS, "s")) == made[2:]


async def test_a_message_that_becomes_visible_late_is_not_passed_over(database: Database) -> None:
    log = log_on(database)
    await log.recover(ORDERS, "s")
    async with database.transaction() as slow:
        late = await say(slow)
        hear(log, [await say(database)], key=ORDERS)
        await log.flush()
    await say(database, topic="orders:other")
    await log.flush()

    assert ids(await log_on(database).recover(ORDERS, "s")) == [late]


async def test_the_row_of_a_session_shrinks_when_its_messages_are_over(database: Database) -> None:
    log = log_on(database)
    await log.recover(ORDERS, "s")
    hear(log, [await say(database) for _ in range(20)], key=ORDERS)
    # Transactions that other tests have open on this server hold the bound up for a moment.
    async with asyncio.timeout(20):
        while (kept := await database.fetch_one(KEPT, session="s")) is None or kept["received"]:
            await log.flush()
            await asyncio.sleep(0.01)


async def test_a_message_without_a_tenant_is_the_default_tenants(database: Database) -> None:
    log, key = log_on(database), TopicKey("default", True, "orders:acme")
    await log.recover(key, "s")
    made = await say(database, tenant_id=None)

    assert ids(await log.recover(key, "s")) == [made]
    assert await log.recover(ORDERS, "s") is None
    assert ids(await log.recover(ORDERS, "s")) == []


async def test_a_replay_of_messages_keeps_the_order_of_one_transaction(database: Database) -> None:
    log = log_on(database)
    async with database.transaction() as one:
        made = [await say(one) for _ in range(5)]
    found = await log.replay(ORDERS, since=SystemClock().now() - timedelta(minutes=1), limit=3)

    assert ids_of(found) == made[2:]


async def test_with_a_table_of_messages_that_is_not_ours_nobody_says_that_all_has_come(database: Database) -> None:
    await database.execute(parse_query("theirs", "alter table realtime.messages drop column transaction_id cascade"))
    log = log_on(database)
    await log.recover(ORDERS, "s")
    await log.flush()

    assert await log.recover(ORDERS, "s") == Missed((), is_whole=False)
    assert await log.replay(ORDERS, since=SystemClock().now(), limit=3) == ()


async def test_what_runs_keeps_the_cursors_and_ends_with_them_kept(database: Database) -> None:
    log = log_on(database, flush_s=0.01)
    async with asyncio.TaskGroup() as group:
        running = group.create_task(log.run())
        await log.recover(KEY, "s")
        made = await emit(database, count=3)
        hear(log, made, until=2)
        await asyncio.sleep(0)
        running.cancel()

    assert ids(await log_on(database).recover(KEY, "s")) == made[2:]


async def test_a_database_that_is_away_holds_nothing_up_and_the_cursors_are_kept_later(database: Database) -> None:
    class Broken:
        is_broken = True

        def __getattr__(self, name: str) -> Any:
            if self.is_broken:
                raise StoreError("away")
            return getattr(database, name)

    broken = Broken()
    log = DurableLog(database=cast(Database, broken), clock=SystemClock(), limits=RecoverLimits(flush_s=0.01))
    broken.is_broken = False
    await log.recover(KEY, "s")
    made = await emit(database, count=2)
    hear(log, made, until=1)
    broken.is_broken = True
    async with asyncio.TaskGroup() as group:
        running = group.create_task(log.run())
        await asyncio.sleep(0.05)
        assert not running.done()
        broken.is_broken = False
        running.cancel()

    assert ids(await log_on(database).recover(KEY, "s")) == made[1:]


async def test_a_stream_knows_its_place_and_goes_on_from_there_on_another_node(database: Database) -> None:
    log = log_on(database)
    await emit(database)
    await database.execute(SETTLE, status="published")
    assert await log.watch(KEY, "stream", place=None) is None
    made = await emit(database, count=3)
    for name in made[:2]:
        log.sent(KEY, "stream", name)
        log.acknowledged(KEY, "stream", name)
    await settle(database)
    await log.flush()
    place = log.place(KEY, "stream")
    log.unwatch(KEY, "stream")

    assert place is not None
    assert ids(await log_on(database).watch(KEY, "again", place=place)) == made[2:]
    assert log.place(KEY, "stream") is None
    assert (await database.fetch_one(COUNT) or {})["found"] == 0


async def test_a_stream_that_was_away_too_long_is_told(database: Database) -> None:
    log = log_on(database)
    missed = await log.watch(KEY, "stream", place=Position(1), away_s=90_000.0)

    assert missed == Missed((), is_whole=False)


async def test_what_the_bus_has_lost_is_found_out_once_after_a_while(database: Database, clock: FakeClock) -> None:
    gaps: list[tuple[TopicKey, str]] = []
    log = DurableLog(database=database, clock=clock)
    log.on_gap = lambda key, session: gaps.append((key, session))
    await log.recover(KEY, "s")
    made = await emit(database, count=2)
    hear(log, made[1:])
    await settle(database)
    await log.flush()
    assert gaps == []
    for _ in range(3):
        clock.tick(6)
        await log.flush()

    assert gaps == [(KEY, "s")]
    assert ids(await log.recover(KEY, "s")) == made[:1]


async def test_an_event_that_failed_and_is_tried_again_is_no_gap(database: Database, clock: FakeClock) -> None:
    gaps: list[str] = []
    log = DurableLog(database=database, clock=clock)
    log.on_gap = lambda key, session: gaps.append(session)
    await log.recover(KEY, "s")
    await emit(database)
    await settle(database, status="failed")
    await log.flush()
    clock.tick(60)
    await log.flush()

    assert gaps == []
