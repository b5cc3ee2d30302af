"""Deliveries over HTTP: page by page, one with its attempts, and nothing of another tenant."""

from tests.integration.server.rows import add_delivery
from tests.integration.server.running import Running, assert_problem


async def test_a_delivery_is_shown_with_its_attempts(api: Running) -> None:
    number = await add_delivery(api.app.database)

    shown = (await api.client.get(f"/api/v1/deliveries/{number}", headers=await api.key(tenant="acme"))).json()

    assert (shown["id"], shown["status"], shown["target"]) == (number, "dead", "ep_1")
    assert [(attempt["reason"], attempt["latencyMs"]) for attempt in shown["attempts"]] == [("http_503", 12.5)]


async def test_a_delivery_of_another_tenant_looks_like_one_that_never_was(api: Running) -> None:
    theirs = await add_delivery(api.app.database, "other")
    headers = await api.key(tenant="acme")

    foreign = await api.client.get(f"/api/v1/deliveries/{theirs}", headers=headers)
    absent = await api.client.get("/api/v1/deliveries/987654321", headers=headers)

    problem = assert_problem(foreign, 404, "input.not_found")
    assert_problem(absent, 404, "input.not_found")
    assert problem["detail"].replace(str(theirs), "N") == absent.json()["detail"].replace("987654321", "N")
    assert (await api.client.get("/api/v1/deliveries", headers=headers)).json() == {"data": [], "cursor": None}
    assert_problem(await api.client.get("/api/v1/deliveries?tenantId=other", headers=headers), 404, "input.not_found")


async def test_pages_give_every_delivery_once_newest_first(api: Running) -> None:
    made = [await add_delivery(api.app.database) for _ in range(3)]
    headers = await api.key()

    first = (await api.client.get("/api/v1/deliveries?limit=2", headers=headers)).json()
    second = (await api.client.get(f"/api/v1/deliveries?limit=2&cursor={first['cursor']}", headers=headers)).json()

    assert [row["id"] for row in first["data"] + second["data"]] == made[::-1]
    assert second["cursor"] is None


async def test_deliveries_are_narrowed_by_event_state_and_sink(api: Running) -> None:
    dead = await add_delivery(api.app.database, status="dead")
    waiting = await add_delivery(api.app.database, status="waiting")
    headers = await api.key()
    event_id = (await api.client.get(f"/api/v1/deliveries/{dead}", headers=headers)).json()["eventId"]

    async def ids(query: str) -> list[int]:
        return [
            row["id"] for row in (await api.client.get(f"/api/v1/deliveries?{query}", headers=headers)).json()["data"]
        ]

    assert await ids("status=waiting") == [waiting]
    assert await ids(f"eventId={event_id}") == [dead]
    assert await ids("sink=jobs") == []


async def test_a_query_that_cannot_be_read_is_refused_by_its_name(api: Running) -> None:
    headers = await api.key()

    for query in ("status=lost", "eventId=1", "cursor=x", "limit=501"):
        reply = await api.client.get(f"/api/v1/deliveries?{query}", headers=headers)
        assert query.partition("=")[0] in assert_problem(reply, 400, "input.invalid")["detail"]


async def test_an_id_that_is_no_number_is_not_there(api: Running) -> None:
    assert_problem(await api.client.get("/api/v1/deliveries/first", headers=await api.key()), 404, "input.not_found")


async def test_a_number_that_no_id_can_be_is_refused(api: Running) -> None:
    headers = await api.key()

    assert_problem(await api.client.get(f"/api/v1/deliveries/{10**30}", headers=headers), 404, "input.not_found")
    assert_problem(await api.client.get(f"/api/v1/deliveries?cursor={10**30}", headers=headers), 400, "input.invalid")
