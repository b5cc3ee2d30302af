"""Numbers of an endpoint and examples for it, over the webhook API."""

from typing import Any

from tests.integration.server.running import Running
from tests.integration.server.webhook_calls import made_application, places_in

PLACE = "/api/v1/app/acme/endpoint/crm"
SCHEMAS = {
    "1": {},
    "2": {"properties": {"id": {"type": "string"}}, "required": ["id"], "examples": [{"id": "a"}, {"id": "b"}]},
}


async def made(api: Running) -> dict[str, str]:
    headers = await api.key()
    await made_application(api, headers, uid="acme")
    body = {"url": "https://hooks.example.com/in", "uid": "crm"}
    await api.client.post("/api/v1/app/acme/endpoint", headers=headers, json=body)
    event_type = {"name": "Invoice.paid", "description": "", "schemas": SCHEMAS}
    assert (await api.client.post("/api/v1/event-type", headers=headers, json=event_type)).status_code == 201
    return headers


async def test_an_example_is_made_of_the_newest_schema_or_given_and_must_fit(api: Running) -> None:
    headers = await made(api)

    async def sent(**body: Any) -> Any:
        return await api.client.post(f"{PLACE}/send-example", headers=headers, json=body)

    first, second = await sent(eventType="Invoice.paid"), await sent(eventType="Invoice.paid", exampleIndex=1)
    own, unknown = await sent(eventType="Invoice.paid", payload={"id": "c"}), await sent(eventType="nobody_knows")
    wrong = await sent(eventType="Invoice.paid", payload={})
    named = await sent(eventType="no type")

    assert [reply.status_code for reply in (first, second, own, unknown)] == [200] * 4
    payloads = [reply.json()["payload"] for reply in (first, second, own, unknown)]
    assert payloads == [{"id": "a"}, {"id": "b"}, {"id": "c"}, {"example": True}]
    assert first.json()["tags"] == ["example"]
    assert places_in(wrong) == [["body", "payload"]]
    assert places_in(named) == [["body", "eventType"]]
    read = await api.client.get(f"/api/v1/app/acme/msg/{first.json()['id']}", headers=headers)
    assert read.json() == first.json()
    stats = (await api.client.get(f"{PLACE}/stats", headers=headers)).json()
    assert stats == {"success": 0, "pending": 4, "sending": 0, "fail": 0, "canceled": 0}


async def test_numbers_are_asked_for_by_time(api: Running) -> None:
    headers = await made(api)
    await api.client.post(f"{PLACE}/send-example", headers=headers, json={"eventType": "a.b"})

    old = await api.client.get(f"{PLACE}/stats?until=2020-01-01T00:00:00", headers=headers)
    new = await api.client.get(f"{PLACE}/stats?since=2020-01-01T00:00:00Z", headers=headers)
    attempts = await api.client.get(f"{PLACE}/attempt-stats?since=2020-01-01T00:00:00%2B02:00", headers=headers)
    wrong = await api.client.get(f"{PLACE}/stats?since=yesterday", headers=headers)

    assert (old.json()["pending"], new.json()["pending"]) == (0, 1)
    assert attempts.json() == {"success": 0, "fail": 0, "canceled": 0}
    assert places_in(wrong) == [["query", "since"]]
