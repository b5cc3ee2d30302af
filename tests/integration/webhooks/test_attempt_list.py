"""Attempts and legs as rows: what is shown of them, in which order, and sending again."""

import asyncio
from typing import Any

import pytest
import pytest_asyncio

from rowcast.core.delivery import ordered_key
from rowcast.core.errors import ConflictError, NotFoundError
from rowcast.store.pool import Database
from rowcast.store.sql import parse_query
from rowcast.webhooks.attempt_list import Attempt, AttemptFilter, AttemptList
from rowcast.webhooks.endpoint import Endpoint
from rowcast.webhooks.expunge import Expunge
from rowcast.webhooks.ids import attempt_id
from rowcast.webhooks.message_draft import MessageDraft
from rowcast.webhooks.message_table import Message, MessageFilter, MessageTable
from tests.integration.webhooks.engine import Engine

DETAIL = '{"url":"https://a.example/in","requestHeaders":{"webhook-id":"m"},"responseHeaders":{"x":"y"},"totalMs":5,"body":"canary"}'


class Books:
    """Two endpoints, messages, and a ledger that is written by hand."""

    def __init__(self, engine: Engine, first: Endpoint, second: Endpoint) -> None:
        self.engine, self.first, self.second = engine, first, second
        self.database, self.list = engine.database, AttemptList()

    async def message(self, **fields: Any) -> Message:
        draft = MessageDraft(**{"event_type": "orders.confirmed", "payload": b'{"a":1}', **fields})
        async with self.database.transaction() as session:
            return await MessageTable().create(session, "acme", draft)

    async def owe(
        self, message: Message, endpoint: Endpoint, status: str = "delivered", replay_of: int | None = None
    ) -> int:
        row = await self.engine.row(
            """insert into rowcast.delivery (tenant_id, event_id, sink, target, key, status, replay_of, error)
               values ('acme', :event_id, 'webhooks', :target, :target, :status, :replay_of, 'http_500: canary')
               returning id""",
            event_id=message.event_id, target=endpoint.id, status=status, replay_of=replay_of,
        )  # fmt: skip
        return int(row["id"])

    async def attempt(self, delivery_id: int, fence: int = 1, *said: str) -> None:
        """`said` are outcome, code, reason, detail, and the age."""
        outcome, code, reason, detail, age = (*said, *("delivered", "200", "", "", "0")[len(said) :])
        await self.engine.run(
            """insert into rowcast.attempt (delivery_id, fence, tenant_id, attempt, outcome, code, reason, excerpt, detail,
                                            started_at, latency_ms)
               values (:delivery_id, :fence::bigint, 'acme', :fence::bigint::integer, :outcome, :code, :reason, 'short',
                       nullif(:detail, '')::json, now() - :age::text::interval, 12.6)""",
            delivery_id=delivery_id, fence=fence, outcome=outcome, code=code, reason=reason, detail=detail, age=age,
        )  # fmt: skip

    async def at(self, endpoint: Endpoint, after: Attempt | None = None, **asked: Any) -> list[str]:
        turn = {name: asked.pop(name, usual) for name, usual in (("is_falling", True), ("most", 50))}
        rows = await self.list.of_endpoint(
            self.database, endpoint, chosen=AttemptFilter(**asked), after=after.key if after else None, **turn
        )
        return [row.id for row in rows]


@pytest_asyncio.fixture
async def books(engine: Engine) -> Books:
    ids = [await engine.endpoint() for _ in range(2)]
    first, second = [await engine.table.get("acme", each) for each in ids]
    return Books(engine, first, second)


async def test_an_attempt_shows_what_was_posted_and_what_came_of_it(books: Books) -> None:
    message = await books.message()
    await books.attempt(await books.owe(message, books.first), 1, "retry", "500", "http_500", DETAIL)

    (shown,) = await books.list.of_message(
        books.database, ("acme", message.event_id, None), chosen=AttemptFilter(), after=None, is_falling=True, most=5
    )

    assert (shown.endpoint_id, shown.event_id, shown.message) == (books.first.id, message.event_id, message)
    assert (shown.status, shown.code, shown.reason, shown.attempt, shown.is_manual) == (2, "500", "http_500", 1, False)
    assert (shown.response, shown.url, shown.latency_ms) == ("canary", "https://a.example/in", 12.6)
    assert shown.detail is not None
    assert shown.detail.request_headers == {"webhook-id": "m"}
    assert await books.list.get(books.database, "acme", message.event_id, name=shown.id) == shown
    other = await books.message()
    for event_id, name in ((other.event_id, shown.id), (message.event_id, attempt_id(1, 9)), (message.event_id, "x")):
        with pytest.raises(NotFoundError):
            await books.list.get(books.database, "acme", event_id, name=name)


async def test_where_little_was_kept_the_rows_themselves_are_shown(books: Books) -> None:
    message = await books.message()
    await books.attempt(await books.owe(message, books.first))
    await books.engine.run("delete from rowcast.event")

    (shown,) = await books.list.of_endpoint(
        books.database, books.first, chosen=AttemptFilter(), after=None, is_falling=True, most=5
    )

    assert (shown.response, shown.url, shown.detail, shown.message) == ("short", books.first.url, None, None)


async def test_attempts_are_paged_both_ways_and_narrowed_by_everything_that_is_asked(books: Books) -> None:
    loud = await books.message(channels=("a",), tags=("t",), event_type="Other")
    plain = await books.message()
    one, two = await books.owe(loud, books.first), await books.owe(plain, books.first, replay_of=1)
    await books.attempt(await books.owe(plain, books.second))
    await books.attempt(one, 1, "retry", "404", "http_404", "", "2 hours")
    await books.attempt(one, 2, "lost", "", "lease_expired")
    await books.attempt(one, 3, "delivered", "204")
    await books.attempt(two, 1, "rejected", "", "endpoint_disabled")
    ids = [attempt_id(one, 1), attempt_id(one, 2), attempt_id(one, 3), attempt_id(two, 1)]
    rows = await books.list.of_endpoint(
        books.database, books.first, chosen=AttemptFilter(), after=None, is_falling=False, most=9
    )

    assert [row.id for row in rows] == ids
    assert await books.at(books.first) == ids[::-1]
    assert await books.at(books.first, rows[2], most=1) == [ids[1]]
    assert await books.at(books.first, rows[2], is_falling=False) == [ids[3]]
    assert [row.is_manual for row in rows] == [False, False, False, True]
    for asked, places in (
        ({"statuses": (0,)}, [2]), ({"statuses": (2,)}, [1, 0]), ({"statuses": (0, 4)}, [3, 2]), ({"statuses": (1,)}, []),
        ({"code_class": 400}, [0]), ({"code_class": 0}, [3, 1]), ({"code_class": 200}, [2]),
        ({"messages": MessageFilter(channel="a")}, [2, 1, 0]), ({"messages": MessageFilter(tag="x")}, []),
        ({"messages": MessageFilter(event_types=("orders.confirmed",))}, [3]),
        ({"messages": MessageFilter(until=rows[1].started_at)}, [0]),
        ({"messages": MessageFilter(since=rows[0].started_at)}, [3, 2, 1]),
    ):  # fmt: skip
        assert await books.at(books.first, **asked) == [ids[place] for place in places], asked


async def test_a_message_stands_with_an_endpoint_where_its_last_delivery_stands(books: Books) -> None:
    first, second = await books.message(tags=("t",)), await books.message()
    await books.owe(first, books.first, "dead")
    await books.owe(first, books.first, "waiting")
    await books.owe(first, books.second, "cancelled")
    await books.owe(second, books.first, "running")

    async def found(after: Message | None = None, **asked: Any) -> list[tuple[Message, int]]:
        chosen = AttemptFilter(**asked)
        rows = await books.list.messages_of(
            books.database, books.first, chosen=chosen, after=after and after.event_id, is_falling=True, most=9
        )
        return [(message, leg.status) for message, leg in rows]

    legs = await books.list.legs_of(books.database, "acme", first.event_id)

    assert await found() == [(second, 3), (first, 1)]
    assert await found(second) == [(first, 1)]
    assert await found(statuses=(1,)) == await found(messages=MessageFilter(tag="t")) == [(first, 1)]
    assert await found(messages=MessageFilter(since=first.created_at)) == [(second, 3)]
    assert {target: leg.status for target, leg in legs.items()} == {books.first.id: 1, books.second.id: 4}
    assert [leg.next_at is not None for leg in legs.values()] == [leg.status == 1 for leg in legs.values()]


async def test_what_was_answered_to_an_attempt_can_be_removed(books: Books) -> None:
    message = await books.message()
    await books.attempt(await books.owe(message, books.first, "dead"), 1, "retry", "500", "http_500", DETAIL)
    place = ("acme", message.event_id, books.first.id)
    (shown,) = await books.list.of_message(
        books.database, place, chosen=AttemptFilter(), after=None, is_falling=True, most=5
    )

    await books.list.expunge(books.database, shown)

    left = await books.list.get(books.database, "acme", message.event_id, name=shown.id)
    assert (left.response, left.code, left.url) == ("", "500", shown.url)
    row = await books.engine.row("select error from rowcast.delivery")
    assert row["error"] == "http_500"
    assert await hits(books.database) == 0


async def hits(database: Database) -> int:
    text = """select (select count(*) from rowcast.attempt a where a::text like '%canary%')
                   + (select count(*) from rowcast.delivery d where d::text like '%canary%') as hits"""
    (row,) = await database.fetch(parse_query("test", text))
    return int(row["hits"])


@pytest.mark.parametrize("status", ["delivered", "dead", "cancelled"])
async def test_whatever_came_of_a_message_it_is_sent_again_once(books: Books, status: str) -> None:
    message = await books.message()
    old = await books.owe(message, books.first, status)

    answers = [await books.list.resend(books.database, books.first, message) for _ in range(2)]

    rows = await books.engine.rows(
        "select replay_of, status, key, target from rowcast.delivery where id > :old", old=old
    )
    assert answers == [True, False]
    assert [tuple(row.values()) for row in rows] == [(old, "waiting", books.first.id, books.first.id)]


async def test_what_waits_for_its_next_attempt_is_tried_now(books: Books) -> None:
    message = await books.message()
    waiting = await books.owe(message, books.first, "waiting")
    await books.engine.run("update rowcast.delivery set attempt = 6, due_at = now() + interval '10 hours'")

    answers = [await books.list.resend(books.database, books.first, message) for _ in range(2)]

    (row,) = await books.engine.rows(
        "select id, attempt, status, due_at <= clock_timestamp() as is_due from rowcast.delivery"
    )
    assert answers == [True, False]
    assert tuple(row.values()) == (waiting, 6, "waiting", True)


@pytest.mark.parametrize(
    ("status", "attempt", "held"),
    [("running", 2, ""), ("waiting", 0, ""), ("waiting", 2, "rate_limit"), ("waiting", 2, "order")],
)
async def test_what_is_being_tried_or_waits_for_its_turn_is_left_alone(
    books: Books, status: str, attempt: int, held: str
) -> None:
    message = await books.message()
    await books.owe(message, books.first, status)
    await books.engine.run(
        "update rowcast.delivery set attempt = :attempt, held = :held, due_at = now() + interval '1 hour'",
        attempt=attempt, held=held,
    )  # fmt: skip

    assert not await books.list.resend(books.database, books.first, message)

    (row,) = await books.engine.rows("select due_at > now() + interval '50 minutes' as is_later from rowcast.delivery")
    assert row["is_later"]


async def test_who_sends_again_at_the_same_time_finds_it_under_way(books: Books) -> None:
    message = await books.message()
    await books.owe(message, books.first, "dead")

    async with asyncio.TaskGroup() as group, books.database.transaction() as session:
        assert await books.list.resend(session, books.first, message)
        second = group.create_task(books.list.resend(books.database, books.first, message))
        # It waits for whoever has the delivery in hand.
        await asyncio.sleep(0.05)
        assert not second.done()

    rows = await books.engine.rows("select id from rowcast.delivery where status = 'waiting'")
    assert (second.result(), len(rows)) == (False, 1)


async def test_what_never_was_owed_is_owed_now_by_whoever_is_first(books: Books) -> None:
    message = await books.message()
    await books.engine.run("update rowcast.endpoint set is_ordered = true")
    endpoint = await books.engine.table.get("acme", books.first.id)

    async def resend() -> bool:
        async with books.database.transaction() as session:
            held = await books.engine.table.named(session, "acme", endpoint.id, is_held=True)
            return await books.list.resend(session, held, message)

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(resend()) for _ in range(4)]

    assert sorted(task.result() for task in tasks) == [False, False, False, True]
    (row,) = await books.engine.rows("select rule, key, replay_of from rowcast.delivery")
    assert tuple(row.values()) == ("resend", ordered_key(endpoint.id), None)


async def test_of_what_was_expunged_nothing_is_sent_again(books: Books) -> None:
    message = await books.message()
    await Expunge(database=books.database).contents("acme", [message.event_id])
    gone = await MessageTable().get(books.database, "acme", message.id)

    with pytest.raises(ConflictError):
        await books.list.resend(books.database, books.first, gone)

    assert await books.engine.rows("select id from rowcast.delivery") == []
