"""What a session has missed is found again, on any node, and nothing is lost between two flushes."""

import uuid
from collections.abc import Sequence
from datetime import timedelta

import pytest

from rowcast.core.clock import SystemClock
from rowcast.core.codec import decode_json
from rowcast.core.envelope import Envelope
from rowcast.realtime.channel_log import Missed
from rowcast.realtime.messages import Broadcast, TopicKey
from rowcast.realtime.recover import DurableLog, RecoverLimits
from rowcast.realtime.sink import event_broadcasts
from rowcast.store.pool import Database
from rowcast.store.sql import parse_query

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
    assert log.position(KEY, "s") == bound["low_seq"]


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
