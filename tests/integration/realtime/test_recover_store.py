"""Where sessions stand, in the table."""

from rowcast.realtime.messages import TopicKey
from rowcast.realtime.recover_cursor import Position
from rowcast.realtime.recover_store import RecoverStore
from rowcast.store.pool import Database
from rowcast.store.sql import parse_query

KEY = TopicKey("acme", True, "tenant:acme")
EMIT = parse_query("emit", "select rowcast.emit('acme', 'orders.made', '{}') from generate_series(1, 3)")


def row(position: Position) -> dict[str, object]:
    return {
        "tenant_id": "acme", "topic": KEY.topic, "session": "s", "from_seq": position.from_seq,
        "from_transaction": position.from_transaction, "received": position.received,
    }  # fmt: skip


async def test_a_session_begins_at_the_bounds_and_is_known_the_second_time(database: Database) -> None:
    store = RecoverStore(database=database, is_wide=False)
    first = await store.begin(KEY, "s")
    second = await store.begin(KEY, "s")
    bounds = await store.bounds()

    assert first.away_s is None
    assert second.away_s is not None
    assert 0 <= second.away_s < 60
    assert first.position == second.position
    assert first.position.from_seq == bounds.low_seq
    assert 0 < first.position.from_transaction <= bounds.low_transaction


async def test_a_row_that_is_further_already_stays(database: Database) -> None:
    store = RecoverStore(database=database, is_wide=False)
    begun = (await store.begin(KEY, "s")).position.from_transaction
    further = Position(9, begun + 5, ("a",))
    await store.keep([row(further)])
    await store.keep([row(Position(8, begun + 9, ("b",)))])
    await store.keep([row(Position(10, begun, ("c",)))])

    assert (await store.begin(KEY, "s")).position == further


async def test_the_newest_come_first_and_their_size_is_bounded(database: Database) -> None:
    store = RecoverStore(database=database, is_wide=False)
    begun = (await store.begin(KEY, "s")).position
    await database.execute(EMIT)
    all_rows = await store.missed_events(KEY, begun, limit=10, most_bytes=100)
    two = await store.missed_events(KEY, begun, limit=10, most_bytes=4)

    assert [each["seq"] for each in all_rows] == sorted((each["seq"] for each in all_rows), reverse=True)
    assert (len(all_rows), len(two)) == (3, 2)
    assert {each["visited"] for each in two} == {3}
