"""Events over HTTP: emitted once, seen by their tenant only, page by page."""

import uuid

from rowcast.core.clock import SystemClock
from rowcast.core.event import Event
from rowcast.core.ids import uuid7
from tests.integration.server.rows import add_event
from tests.integration.server.running import Running, assert_problem


class Moved(Event, type="routes_events.moved", aggregate="thing", key="thing_id"):
    thing_id: str
    count: int = 0


EMIT = {"eventType": "routes_events.moved", "payload": {"thing_id": "t1"}}


async def test_an_emitted_event_is_there_with_everything_that_was_said(api: Running) -> None:
    headers = await api.key()
    body = {**EMIT, "tenantId": "acme", "payload": {"thing_id": "t1", "count": 3}, "occurredAt": "2026-01-02T03:04:05Z"}

    made = await api.client.post("/api/v1/events", headers=headers, json=body)
    event = (await api.client.get(f"/api/v1/events/{made.json()['id']}", headers=headers)).json()

    assert made.status_code == 202
    assert event["id"] == made.json()["id"]
    assert (event["tenantId"], event["aggregateId"], event["aggregateType"]) == ("acme", "t1", "thing")
    assert event["payload"] == {"thing_id": "t1", "count": 3}
    assert event["occurredAt"] == "2026-01-02T03:04:05Z"
    assert event["status"] == "pending"


async def test_the_same_event_under_one_id_is_written_once(api: Running) -> None:
    headers, event_id = await api.key(tenant="acme"), str(uuid7(SystemClock().now()))

    replies = [
        await api.client.post("/api/v1/events", headers=headers, json={**EMIT, "id": event_id}) for _ in range(2)
    ]
    page = (await api.client.get("/api/v1/events", headers=headers)).json()

    assert [reply.status_code for reply in replies] == [202, 202]
    assert [event["id"] for event in page["data"]] == [event_id]


async def test_another_event_under_a_taken_id_is_a_conflict(api: Running) -> None:
    headers, event_id = await api.key(tenant="acme"), str(uuid7(SystemClock().now()))
    await api.client.post("/api/v1/events", headers=headers, json={**EMIT, "id": event_id})

    other = {**EMIT, "id": event_id, "payload": {"thing_id": "t2"}}

    assert_problem(await api.client.post("/api/v1/events", headers=headers, json=other), 409, "input.conflict")


async def test_what_cannot_be_emitted_is_refused_with_its_code(api: Running) -> None:
    headers = await api.key(tenant="acme")
    refused = [
        ({**EMIT, "eventType": "no.such"}, 400, "outbox.unknown_event_type"),
        ({**EMIT, "eventType": "Not a type"}, 400, "outbox.unknown_event_type"),
        ({**EMIT, "payload": {"thing_id": 7}}, 400, "input.payload"),
        ({**EMIT, "payload": {"thing_id": "t1", "x": 1}}, 400, "input.payload"),
        ({**EMIT, "version": 9}, 400, "outbox.event_version"),
        ({**EMIT, "id": str(uuid.uuid4())}, 400, "input.event_id"),
        ({**EMIT, "occurredAt": "2026-01-02T03:04:05"}, 400, "input.occurred_at"),
        ({**EMIT, "payload": {"thing_id": "x" * 70_000}}, 413, "outbox.payload_too_large"),
    ]

    for body, status, code in refused:
        assert_problem(await api.client.post("/api/v1/events", headers=headers, json=body), status, code)


async def test_an_unknown_type_is_told_with_those_that_are_known(api: Running) -> None:
    body = {**EMIT, "eventType": "no.such"}

    problem = assert_problem(
        await api.client.post("/api/v1/events", headers=await api.key(tenant="acme"), json=body),
        400,
        "outbox.unknown_event_type",
    )

    assert "routes_events.moved" in problem["detail"]


async def test_a_key_for_all_tenants_must_name_one(api: Running) -> None:
    headers = await api.key()

    assert_problem(await api.client.post("/api/v1/events", headers=headers, json=EMIT), 400, "input.tenant_missing")
    for tenant in ("a b", "x" * 200):
        reply = await api.client.post("/api/v1/events", headers=headers, json={**EMIT, "tenantId": tenant})
        assert_problem(reply, 400, "input.tenant")


async def test_a_tenants_key_cannot_emit_for_another_tenant(api: Running) -> None:
    reply = await api.client.post(
        "/api/v1/events", headers=await api.key(tenant="acme"), json={**EMIT, "tenantId": "other"}
    )

    assert_problem(reply, 404, "input.not_found")


async def test_an_event_of_another_tenant_looks_like_one_that_never_was(api: Running) -> None:
    theirs = await add_event(api.app.database, "other")
    headers = await api.key(tenant="acme")

    foreign = await api.client.get(f"/api/v1/events/{theirs}", headers=headers)
    absent = await api.client.get(f"/api/v1/events/{uuid.uuid4()}", headers=headers)

    assert_problem(foreign, 404, "input.not_found")
    assert foreign.json() == absent.json()
    assert (await api.client.get("/api/v1/events", headers=headers)).json()["data"] == []
    assert_problem(await api.client.get("/api/v1/events?tenantId=other", headers=headers), 404, "input.not_found")


async def test_pages_give_every_event_once_newest_first(api: Running) -> None:
    made = [str(await add_event(api.app.database)) for _ in range(5)]
    headers, seen, cursor = await api.key(tenant="acme"), [], ""

    for _ in range(4):
        page = (await api.client.get(f"/api/v1/events?limit=2{cursor}", headers=headers)).json()
        seen += [event["id"] for event in page["data"]]
        if page["cursor"] is None:
            break
        cursor = f"&cursor={page['cursor']}"

    assert seen == made[::-1]


async def test_a_cursor_that_no_page_gave_is_refused(api: Running) -> None:
    headers = await api.key()

    for cursor in ("abc", "-1", "9" * 30):
        reply = await api.client.get(f"/api/v1/events?cursor={cursor}", headers=headers)
        assert_problem(reply, 400, "input.cursor")


async def test_events_are_narrowed_by_type_and_state(api: Running) -> None:
    await add_event(api.app.database, event_type="shop.moved")
    chosen = await add_event(api.app.database, event_type="shop.sold")
    headers = await api.key()

    page = (await api.client.get("/api/v1/events?eventType=shop.sold&status=pending", headers=headers)).json()

    assert [event["id"] for event in page["data"]] == [str(chosen)]
    assert (await api.client.get("/api/v1/events?status=dead", headers=headers)).json()["data"] == []
