"""Example messages on a real database: for one endpoint and nobody else."""

from rowcast.core.delivery import ordered_key
from rowcast.store.pool import Database
from rowcast.webhooks.example_table import ExampleTable
from tests.integration.webhooks.engine import Engine


async def test_an_example_is_owed_to_one_endpoint_and_is_never_routed(engine: Engine, database: Database) -> None:
    ids = [await engine.endpoint(), await engine.endpoint(is_ordered=True)]
    await engine.endpoint()
    for endpoint_id in ids:
        endpoint = await engine.table.get("acme", endpoint_id)
        await ExampleTable().send(database, endpoint, event_type="orders.paid", payload={"id": "o1"})

    owed = await engine.rows("select target, key, status, sink from rowcast.delivery order by id")
    routed = await engine.rows("select status from rowcast.event e join rowcast.event_state s on s.event_id = e.id")
    topics = await engine.rows("select topic from rowcast.event order by seq")

    assert [tuple(row.values()) for row in owed] == [
        (ids[0], ids[0], "waiting", "webhooks"), (ids[1], ordered_key(ids[1]), "waiting", "webhooks"),
    ]  # fmt: skip
    assert [row["status"] for row in routed] == ["published"] * 2
    assert [row["topic"] for row in topics] == [f"rowcast:example:{each}" for each in ids]
