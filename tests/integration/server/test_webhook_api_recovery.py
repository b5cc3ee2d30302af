"""The webhook API: recovery and its tasks, as whoever calls it over HTTP sees them."""

from tests.integration.server.running import Running
from tests.integration.server.webhook_calls import assert_refused, endpoint_path, places_in

SINCE = {"since": "2026-01-01T00:00:00Z"}
WAYS = ("recover", "replay-missing", "bulk-replay")


async def test_a_task_is_seen_listed_and_stopped_by_its_own_tenant_only(api: Running) -> None:
    path = await endpoint_path(api)
    own, other = await api.key(tenant="acme"), await api.key(tenant="other")
    client = api.client
    begun = [(await client.post(f"{path}/{way}", headers=own, json=SINCE)).json() for way in WAYS]
    task = f"/api/v1/background-task/{begun[0]['id']}"

    assert [each["status"] for each in begun] == ["running"] * 3
    assert (await client.get(task, headers=own)).json() == begun[0]
    assert_refused(await client.get(task, headers=other), 404)
    assert_refused(await client.delete(task, headers=other), 404)
    assert_refused(await client.post(f"{path}/recover", headers=other, json=SINCE), 404)
    assert (await client.get("/api/v1/background-task", headers=other)).json()["data"] == []
    listed = (await client.get("/api/v1/background-task?order=ascending", headers=own)).json()
    assert listed["data"] == begun

    assert (await client.delete(task, headers=own)).status_code == 204
    stopped = (await client.get(task, headers=own)).json()
    assert (stopped["status"], stopped["data"]["reason"]) == ("failed", "cancelled")
    for asked, found in (
        ("status=failed", 1),
        ("status=running", 2),
        ("task=endpoint.replay", 1),
        ("task=sdk.generate", 0),
    ):
        page = (await client.get(f"/api/v1/background-task?{asked}", headers=own)).json()
        assert len(page["data"]) == found, asked
    assert places_in(await client.get("/api/v1/background-task?status=lost", headers=own)) == [["query", "status"]]


async def test_the_same_request_again_begins_no_second_task(api: Running) -> None:
    path = await endpoint_path(api)
    headers = {**await api.key(), "idempotency-key": "once"}

    first = await api.client.post(f"{path}/recover", headers=headers, json=SINCE)
    second = await api.client.post(f"{path}/recover", headers=headers, json=SINCE)

    assert (first.status_code, second.status_code) == (202, 202)
    assert first.json() == second.json()
    assert len((await api.client.get("/api/v1/background-task", headers=headers)).json()["data"]) == 1


async def test_what_cannot_be_recovered_by_is_refused_at_its_place(api: Running) -> None:
    path, headers = await endpoint_path(api), await api.key()
    for way, body, field in (
        ("recover", {}, "since"),
        ("recover", {"since": "yesterday"}, "since"),
        ("recover", {"since": "0001-01-01T00:00:00+14:00"}, "since"),
        ("recover", {"since": "9999-12-31T23:59:59-14:00"}, "since"),
        ("replay-missing", {**SINCE, "until": "2025-12-31T00:00:00Z"}, "until"),
        ("replay-missing", {**SINCE, "until": "2026-01-01T00:00:00"}, "until"),
        ("bulk-replay", {**SINCE, "status": 7}, "status"),
        ("bulk-replay", {**SINCE, "statusCodeClass": 250}, "statusCodeClass"),
        ("bulk-replay", {**SINCE, "eventTypes": ["no type"]}, "eventTypes"),
        ("bulk-replay", {**SINCE, "eventTypes": ["a"] * 101}, "eventTypes"),
        ("bulk-replay", {**SINCE, "channel": "a\x00b"}, "channel"),
        ("bulk-replay", {**SINCE, "tag": ""}, "tag"),
    ):
        reply = await api.client.post(f"{path}/{way}", headers=headers, json=body)
        assert places_in(reply) == [["body", field]], body
