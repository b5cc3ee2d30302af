"""Publishing by request: on a node that relays, and told as a conflict elsewhere."""

from tests.integration.server.rows import add_event
from tests.integration.server.running import Running, assert_problem, running


async def test_a_node_without_a_relay_says_that_it_cannot_publish(api: Running) -> None:
    problem = assert_problem(
        await api.client.post("/api/v1/outbox/publish", headers=await api.key()), 409, "input.no_relay"
    )

    assert "relay" in problem["detail"]


async def test_publishing_gives_what_came_of_it(dsn: str) -> None:
    async with running(dsn, roles=("gateway", "relay")) as server:
        event_id = await add_event(server.app.database)
        headers = await server.key()

        drained = await server.client.post("/api/v1/outbox/publish", headers=headers)
        event = (await server.client.get(f"/api/v1/events/{event_id}", headers=headers)).json()

    assert drained.status_code == 200
    assert set(drained.json()) >= {"published", "failed"}
    assert event["status"] == "published"


async def test_a_tenants_key_may_not_drain_because_the_answer_counts_everybody(api: Running) -> None:
    headers = await api.key("outbox:publish", tenant="acme")

    assert_problem(await api.client.post("/api/v1/outbox/publish", headers=headers), 403, "auth.denied")
