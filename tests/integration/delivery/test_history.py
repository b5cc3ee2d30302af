import uuid
from collections.abc import Callable
from typing import Any

import pytest

from rowcast.core.delivery import Owed
from rowcast.core.errors import NotFoundError
from rowcast.core.outcome import Retry
from rowcast.delivery.attempt import Settled
from rowcast.delivery.history import DeliveryFilter, History
from rowcast.delivery.ledger import Settlement


@pytest.fixture
def history(bench: Any) -> History:
    return History(database=bench.database)


async def test_pages_give_every_delivery_once_newest_first(bench: Any, history: History) -> None:
    await bench.owe_many(25)
    ids: list[int] = []
    cursor, pages = None, 0

    while pages == 0 or cursor is not None:
        page = await history.page(cursor=cursor, limit=10)
        ids += [delivery.id for delivery in page.deliveries]
        cursor, pages = page.cursor, pages + 1

    assert ids == list(range(25, 0, -1))
    assert pages == 3


async def test_what_is_added_while_somebody_pages_does_not_move_the_next_page(bench: Any, history: History) -> None:
    await bench.owe_many(4)
    first = await history.page(limit=2)
    await bench.owe_many(4)

    second = await history.page(cursor=first.cursor, limit=2)

    assert [delivery.id for delivery in second.deliveries] == [2, 1]


async def test_a_page_is_never_larger_than_its_bound(bench: Any, history: History) -> None:
    await bench.owe_many(501)

    assert len((await history.page(limit=10_000)).deliveries) == 500
    assert len((await history.page(limit=-3)).deliveries) == 1


async def test_a_page_is_narrowed_by_event_state_sink_and_target(bench: Any, history: History) -> None:
    event_id = await bench.event()
    await bench.owe(Owed("jobs", "a"), Owed("webhooks", "ep_1"), event_id=event_id)
    await bench.owe(Owed("jobs", "a"))
    await bench.ledger.cancel([3])

    async def ids(**fields: Any) -> list[int]:
        return [delivery.id for delivery in (await history.page(DeliveryFilter(**fields))).deliveries]

    assert await ids(event_id=event_id) == [2, 1]
    assert await ids(status="cancelled") == [3]
    assert await ids(sink="jobs") == [3, 1]
    assert await ids(target="ep_1", sink="webhooks", event_id=event_id) == [2]
    assert await ids(event_id=uuid.uuid4()) == []


async def test_a_tenant_sees_its_own_deliveries_and_attempts_only(
    bench: Any, history: History, settle: Callable[..., Settlement]
) -> None:
    await bench.owe_many(1, tenant_id="acme")
    await bench.owe_many(1, tenant_id="other")
    await bench.ledger.settle([settle(delivery) for delivery in (await bench.ledger.claim("jobs", 2)).deliveries])

    page = await history.page(tenant_id="acme")

    assert [delivery.tenant_id for delivery in page.deliveries] == ["acme"]
    assert [attempt.delivery_id for attempt in await history.attempts([1, 2], tenant_id="acme")] == [1]
    assert [(count.sink, count.deliveries) for count in await history.counts(tenant_id="acme")] == [("jobs", 1)]
    with pytest.raises(NotFoundError, match="There is no delivery 2"):
        await history.read(2, tenant_id="acme")


async def test_one_delivery_is_read_with_its_attempts_in_order(
    bench: Any, history: History, settle: Callable[..., Settlement]
) -> None:
    await bench.owe_many(1)
    (first,) = (await bench.ledger.claim("jobs", 1)).deliveries
    await bench.ledger.settle([settle(first, Retry("http_503", code="503"), Settled("waiting", 0.0, "http_503"))])
    (second,) = (await bench.ledger.claim("jobs", 1)).deliveries
    await bench.ledger.settle([settle(second)])

    record = await history.read(first.id)
    attempts = await history.attempts([first.id])

    assert (record.status, record.attempt, record.error) == ("delivered", 2, None)
    assert [(one.attempt, one.outcome, one.code) for one in attempts] == [(1, "retry", "503"), (2, "delivered", "200")]


async def test_a_delivery_that_is_not_there_is_refused_with_a_sentence(history: History) -> None:
    with pytest.raises(NotFoundError, match="rowcast deliveries"):
        await history.read(404)
