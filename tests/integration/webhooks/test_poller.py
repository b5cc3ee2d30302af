"""Polling: a chain of iterators leaves no message out and gives none twice, in whatever order they are committed."""

import asyncio
import random
import uuid
from datetime import UTC, datetime, timedelta

import pytest

from rowcast.core.errors import ConflictError
from rowcast.outbox.decided import Decided
from rowcast.store.pool import Database
from rowcast.webhooks import poller as module
from rowcast.webhooks.endpoint import Endpoint
from rowcast.webhooks.poller import Place, Poll, Poller, PollFilter
from tests.integration.outbox.events import emit, emit_some, session
from tests.integration.webhooks.ledger_rows import LedgerRows

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


def endpoint_of(**columns: object) -> Endpoint:
    fields = {
        "id": "ep_1", "tenant_id": "acme", "url": "https://hooks.example.com/", "description": "",
        "event_types": None, "is_disabled": False, "created_at": LONG_AGO, "changed_at": LONG_AGO,
    }  # fmt: skip
    return Endpoint(**{**fields, **columns})  # type: ignore[arg-type]


class Client:
    """Polls an endpoint on and on."""

    def __init__(self, database: Database, **columns: object) -> None:
        self.database, self.endpoint = database, endpoint_of(**columns)
        self.poller = Poller(decided_seq=Decided(database=database).seq)
        self.position = 0
        self.seen: list[uuid.UUID] = []

    async def poll(self, most: int = 50, chosen: PollFilter | None = None) -> Poll:
        decided = await self.poller.decided()
        place = Place(self.position, decided)
        polled = await self.poller.poll(self.database, self.endpoint, place, most=most, chosen=chosen)
        self.position = polled.position
        self.seen += [each.event_id for each in polled.messages]
        return polled

    async def poll_as(self, position: int | None = None, *, name: str = "c1", most: int = 2) -> Poll:
        decided = await self.poller.decided()
        async with self.database.transaction() as connection:
            return await self.poller.poll_as(
                connection, self.endpoint, name, position=position, decided=decided, most=most
            )

    async def since(self, at: datetime) -> int:
        decided = await self.poller.decided()
        return (await self.poller.place_since(self.database, "acme", at, decided=decided)).position


async def test_a_message_that_is_committed_late_is_not_left_out(rows: LedgerRows, emptied_dsn: str) -> None:
    client = Client(rows.database)
    async with session(emptied_dsn) as slow, session(emptied_dsn) as driver:
        first = await emit(driver)
        await client.poll()
        transaction = slow.transaction()
        await transaction.start()
        late = await emit(slow)
        after = await emit(driver)

        assert [(await client.poll()).is_done for _ in range(2)] == [True, True]
        assert client.seen == [first]
        await transaction.commit()

    await client.poll()
    assert client.seen == [first, late, after]
    assert (await client.poll()).messages == ()


async def test_beside_many_writers_every_message_comes_once_in_the_order_of_the_numbers(
    rows: LedgerRows, emptied_dsn: str
) -> None:
    client, chance, is_over = Client(rows.database), random.Random(7), asyncio.Event()

    async def write() -> None:
        async with session(emptied_dsn) as driver:
            for _ in range(12):
                transaction = driver.transaction()
                await transaction.start()
                for _ in range(chance.randint(1, 3)):
                    await emit(driver, tenant=chance.choice(("acme", "acme", "other")))
                    await asyncio.sleep(chance.random() * 0.01)
                await (transaction.rollback() if chance.random() < 0.2 else transaction.commit())

    async def read() -> None:
        while not (is_over.is_set() and (await client.poll(most=3)).is_done):
            await client.poll(most=chance.randint(1, 4))

    async with asyncio.TaskGroup() as group:
        group.create_task(read())
        async with asyncio.TaskGroup() as writers:
            for _ in range(6):
                writers.create_task(write())
        is_over.set()

    async with session(emptied_dsn) as driver:
        written = await driver.fetch("select id from rowcast.event where tenant_id = 'acme' order by seq")
    assert client.seen == [uuid.UUID(str(row["id"])) for row in written]
    assert len(client.seen) > 50


async def test_pages_go_on_where_the_last_one_ended_also_over_what_nobody_wants(
    rows: LedgerRows, emptied_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_VISITED", 10)
    client = Client(rows.database, event_types=("Wanted",))
    async with session(emptied_dsn) as driver:
        wanted = [await emit(driver, event_type="Wanted") for _ in range(3)]
        await emit_some(emptied_dsn, 25)
        wanted.append(await emit(driver, event_type="Wanted"))

    pages = [await client.poll(most=2) for _ in range(5)]

    assert [len(page.messages) for page in pages] == [2, 1, 0, 1, 0]
    assert [page.is_done for page in pages] == [False, False, False, True, True]
    assert client.seen == wanted


async def test_only_what_the_endpoint_wants_and_the_poll_asks_for_comes(rows: LedgerRows) -> None:
    ids = {
        "plain": await rows.event(),
        "eu": await rows.event(channels=["eu", "de"]),
        "us": await rows.event(channels=["us"]),
        "typed": await rows.event(event_type="Other", channels=["eu"]),
        "theirs": await rows.event(tenant="other"),
    }
    expunged = await rows.event(uid="gone")
    await rows.fetch("update rowcast.message set expunged_at = now() where event_id = :id", id=expunged)
    for number in (1, 2):
        ids[f"example {number}"] = await rows.event(topic=f"rowcast:example:ep_{number}")
    names = {event_id: name for name, event_id in ids.items()}

    async def seen(chosen: PollFilter | None = None, **columns: object) -> list[str]:
        client = Client(rows.database, **columns)
        await client.poll(chosen=chosen)
        return [names[event_id] for event_id in client.seen]

    assert await seen() == ["plain", "eu", "us", "typed", "example 1"]
    assert await seen(channels=("eu",)) == ["eu", "typed"]
    assert await seen(channels=("us", "de")) == ["eu", "us"]
    assert await seen(event_types=("orders.*",)) == ["plain", "eu", "us", "example 1"]
    assert await seen(PollFilter(event_type="Other")) == ["typed"]
    assert await seen(PollFilter(channel="us"), event_types=("orders.*",)) == ["us"]


async def test_a_poll_may_begin_at_any_moment(rows: LedgerRows, emptied_dsn: str) -> None:
    await emit_some(emptied_dsn, 5, tenant="other")
    for hours in range(30, 0, -1):
        await rows.event(hours_ago=hours)
        await emit_some(emptied_dsn, 3, tenant="other")
    client, now = Client(rows.database), datetime.now(UTC)
    for seconds in (55, 5):
        await rows.event(hours_ago=seconds / 3600)

    async def count_since(hours: float) -> int:
        client.position = await client.since(now - timedelta(hours=hours))
        return len((await client.poll()).messages)

    assert [await count_since(hours) for hours in (100, 29.5, 20.5, 1.5, 0.5, 30 / 3600)] == [32, 31, 22, 3, 2, 1]
    # Nothing there yet: what comes later comes.
    position = await client.since(now + timedelta(hours=1))
    late = await rows.event(hours_ago=0)
    client.position, client.seen = position, []
    await client.poll()
    assert client.seen == [late]


async def test_a_beginning_lies_before_what_is_still_to_be_committed(rows: LedgerRows, emptied_dsn: str) -> None:
    client = Client(rows.database)
    async with session(emptied_dsn) as slow, session(emptied_dsn) as driver:
        transaction = slow.transaction()
        await transaction.start()
        late = await emit(slow)
        after = await emit(driver)
        client.position = await client.since(LONG_AGO)
        await transaction.commit()
    await client.poll()

    assert client.seen == [late, after]


async def test_a_consumer_goes_on_with_the_iterator_that_it_was_given_and_no_other(
    rows: LedgerRows, emptied_dsn: str
) -> None:
    await rows.endpoint()
    client = Client(rows.database)
    async with session(emptied_dsn) as driver:
        ids = [await emit(driver) for _ in range(5)]

    first = await client.poll_as()
    again = await client.poll_as()
    second = await client.poll_as(first.position)
    resumed = await client.poll_as()
    third = await client.poll_as(second.position)

    assert [[each.event_id for each in page.messages] for page in (first, again, second, resumed, third)] == [
        ids[:2], ids[:2], ids[2:4], ids[2:4], ids[4:],
    ]  # fmt: skip
    assert third.is_done
    with pytest.raises(ConflictError):
        await client.poll_as(first.position)
    assert [each.event_id for each in (await client.poll_as(name="c2")).messages] == ids[:2]


async def test_a_consumer_may_be_sent_back(rows: LedgerRows, emptied_dsn: str) -> None:
    await rows.endpoint()
    client = Client(rows.database)
    ids = [await rows.event(hours_ago=hours) for hours in (3, 2, 1)]
    page = await client.poll_as(most=50)
    await client.poll_as(page.position)

    decided = await client.poller.decided()
    since = datetime.now(UTC) - timedelta(hours=2.5)
    position = await client.poller.seek(rows.database, client.endpoint, "c1", since=since, decided=decided)

    assert [each.event_id for each in (await client.poll_as()).messages] == ids[1:]
    assert [each.event_id for each in (await client.poll_as(position)).messages] == ids[1:]


async def test_an_endpoint_has_not_more_consumers_than_it_may(
    rows: LedgerRows, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "CONSUMERS_LIMIT", 2)
    await rows.endpoint()
    client = Client(rows.database)
    for name in ("c1", "c2", "c1"):
        await client.poll_as(name=name)

    with pytest.raises(ConflictError):
        await client.poll_as(name="c3")
