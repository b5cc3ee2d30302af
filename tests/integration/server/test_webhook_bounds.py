"""What one tenant may ask for at most, and what a reader of the portal may not move."""

import asyncio

from tests.integration.server.running import Running
from tests.integration.server.webhook_calls import assert_refused, made_application

PATH = "/api/v1/app/acme"
SINCE = "2026-01-01T00:00:00Z"


async def made_endpoint(api: Running, headers: dict[str, str]) -> str:
    await made_application(api, headers, uid="acme")
    body = {"url": "https://hooks.example.com/in", "uid": "crm"}
    assert (await api.client.post(f"{PATH}/endpoint", headers=headers, json=body)).status_code == 201
    return f"{PATH}/endpoint/crm"


async def test_a_tenant_has_twenty_tasks_that_run_and_no_more(api: Running) -> None:
    headers = await api.key()
    place = await made_endpoint(api, headers)
    statuses = []
    for _ in range(21):
        reply = await api.client.post(f"{place}/recover", headers=headers, json={"since": SINCE})
        statuses.append(reply.status_code)

    assert statuses == [202] * 20 + [429]
    assert_refused(reply, 429, "rate_limit")
    assert int(reply.headers["retry-after"]) > 0
    # Another tenant has its own.
    await made_application(api, headers, uid="other")
    assert (await api.client.post("/api/v1/app/other/msg/expunge-all-contents", headers=headers)).status_code == 202


async def test_two_who_change_two_parts_at_once_both_do(api: Running) -> None:
    headers = await api.key()
    await made_application(api, headers, uid="acme")
    made = {"name": "a.b", "description": "old"}
    assert (await api.client.post("/api/v1/event-type", headers=headers, json=made)).status_code == 201
    for round_ in range(10):
        word = str(round_)
        changes: list[tuple[str, dict[str, object]]] = [
            ("/app/acme", {"name": word}), ("/app/acme", {"metadata": {"round": word}}),
            ("/event-type/a.b", {"description": word}), ("/event-type/a.b", {"groupName": word}),
        ]  # fmt: skip
        async with asyncio.TaskGroup() as group:
            for path, change in changes:
                group.create_task(api.client.patch(f"/api/v1{path}", headers=headers, json=change))
        app = (await api.client.get("/api/v1/app/acme", headers=headers)).json()
        kind = (await api.client.get("/api/v1/event-type/a.b", headers=headers)).json()
        assert (app["name"], app["metadata"]) == (word, {"round": word})
        assert (kind["description"], kind["groupName"]) == (word, word)


async def test_a_key_of_the_portal_moves_no_consumer(api: Running) -> None:
    headers = await api.key()
    await made_endpoint(api, headers)
    link = await api.client.post("/api/v1/auth/app-portal-access/acme", headers=headers)
    key = (await api.client.post("/api/v1/auth/portal-key", json={"token": link.json()["token"]})).json()["key"]
    portal, place = {"authorization": f"Bearer {key}"}, f"{PATH}/poller/crm"

    assert (await api.client.get(place, headers=portal)).status_code == 200
    assert_refused(await api.client.get(f"{place}/consumer/me", headers=portal), 403)
    seek = await api.client.post(f"{place}/consumer/me/seek", headers=portal, json={"after": SINCE})
    assert_refused(seek, 403)
    assert (await api.client.get(f"{place}/consumer/me", headers=headers)).status_code == 200
