"""The frame of the webhook API: who may call, how each error looks, and what is done once."""

import asyncio
import re
import uuid
from pathlib import Path

import pytest

from rowcast.server.webhook_api_errors import is_webhook_api
from tests.integration.server.running import Running
from tests.integration.server.webhook_calls import assert_refused, made_application, places_in

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "webhook-api.md"
ROWS = re.findall(r"^\| ([A-Z]+) \| `(/[^`]*)` \| (?:`([a-z_:]+)`|–) \|", PAGE.read_text("utf-8"), re.MULTILINE)
GUARDED = [(method, re.sub(r"\{\w+\}", "nothing", path), scope) for method, path, scope in ROWS if scope]


async def test_the_page_lists_every_route(api: Running) -> None:
    paths = (await api.client.get("/api/openapi.json")).json()["paths"]
    served = {(method.upper(), path) for path, methods in paths.items() if is_webhook_api(path) for method in methods}

    assert {(method, path) for method, path, _ in ROWS} == served


async def test_every_route_asks_for_a_key_and_for_its_scope(api: Running) -> None:
    scopes = {scope for _, _, scope in GUARDED}
    assert len(scopes) > 1
    for method, path, scope in GUARDED:
        bare = await api.client.request(method, path)
        poor = await api.client.request(method, path, headers=await api.key(*(scopes - {scope})), json={})

        assert_refused(bare, 401, "authentication_failed")
        assert bare.headers["www-authenticate"] == "Bearer"
        assert scope in assert_refused(poor, 403, "insufficient access")["detail"]


async def test_a_key_of_another_tenant_finds_nothing_and_a_bound_one_changes_nothing_of_all(api: Running) -> None:
    made = await made_application(api, await api.key(), uid="acme")
    own, other = await api.key(tenant="acme"), await api.key(tenant="other")

    for name in ("acme", made["id"]):
        assert (await api.client.get(f"/api/v1/app/{name}", headers=own)).json() == made
        assert_refused(await api.client.get(f"/api/v1/app/{name}", headers=other), 404, "not_found")
    for method, path in (("POST", "/api/v1/app"), ("PUT", "/api/v1/app/acme"), ("DELETE", "/api/v1/app/acme")):
        for headers in (own, other):
            refused = await api.client.request(method, path, headers=headers, json={"name": "x"})
            assert_refused(refused, 403, "insufficient access")
    assert [each["id"] for each in (await api.client.get("/api/v1/app", headers=own)).json()["data"]] == [made["id"]]
    assert (await api.client.get("/api/v1/app", headers=other)).json()["data"] == []


async def test_every_error_under_these_paths_has_one_form(api: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    headers = await api.key()
    client = api.client

    assert_refused(await client.get("/api/v1/app/acme/nothing/at/all", headers=headers), 404, "not_found")
    refused = await client.delete("/api/v1/app", headers=headers)
    assert_refused(refused, 405, "method_not_allowed")
    assert "GET" in refused.headers["allow"]
    big = {"name": "x", "metadata": {"k": "x" * 300_000}}
    assert_refused(await client.post("/api/v1/app", headers=headers, json=big), 413, "payload_too_large")
    assert places_in(await client.get("/api/v1/app?limit=many", headers=headers)) == [["query", "limit"]]
    for header in ("", "Basic x", "Bearer", "Bearer rk_unknown"):
        assert_refused(await client.get("/api/v1/app", headers={"authorization": header}), 401, "authentication_failed")

    async def fault(*_: object, **__: object) -> None:
        raise ZeroDivisionError("secret words")

    monkeypatch.setattr("rowcast.webhooks.application_table.ApplicationTable.page", fault)
    assert "secret" not in str(assert_refused(await client.get("/api/v1/app", headers=headers), 500, "internal_error"))


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b"null", b"1", b"\xff\xfe", b"[" * 100_000, b'{"name":' * 30_000, b'{"name": "\\ud800"}',
     b'{"name": "a", "metadata": ' + b'{"a":' * 30_000, b'{"name": 1e999}', b'{"name": NaN}'],
)  # fmt: skip
async def test_a_body_that_is_no_request_is_refused_by_its_place(api: Running, body: bytes) -> None:
    headers = {**await api.key(), "content-type": "application/json"}

    assert places_in(await api.client.post("/api/v1/app", headers=headers, content=body))[0][0] == "body"


@pytest.mark.parametrize("query", ["limit=0", "limit=251", "limit=-1", "limit=99999999999999999999", "limit=1.5",
                                   "iterator=%00", "iterator=msg_1", "iterator=-", "iterator=app_%27", "order=up"])  # fmt: skip
async def test_a_query_out_of_its_limits_is_refused_by_its_place(api: Running, query: str) -> None:
    reply = await api.client.get(f"/api/v1/app?{query}", headers=await api.key())

    assert places_in(reply) == [["query", query.partition("=")[0]]]


@pytest.mark.parametrize("name", ["%00", "%ff", "a%0Ab", "x" * 1_000, "%F0%9F%92%A5", "..%2F..", "' or 1=1 --"])
async def test_a_name_that_nothing_has_finds_nothing(api: Running, name: str) -> None:
    headers = await api.key()

    for method in ("GET", "PATCH", "PUT", "DELETE"):
        assert_refused(
            await api.client.request(method, f"/api/v1/app/{name}", headers=headers, json={"name": "x"}),
            404,
            "not_found",
        )


async def test_a_post_with_a_key_is_done_once_however_often_it_comes(api: Running) -> None:
    headers = {**await api.key(), "idempotency-key": f"auto_{uuid.uuid4()}"}

    async with asyncio.timeout(60), asyncio.TaskGroup() as group:
        calls = [
            group.create_task(api.client.post("/api/v1/app", headers=headers, json={"name": "Acme"})) for _ in range(20)
        ]
    listed = (await api.client.get("/api/v1/app", headers=headers)).json()["data"]

    assert {call.result().status_code for call in calls} == {201}
    assert len({call.result().text for call in calls}) == 1
    assert len(listed) == 1


async def test_a_key_with_another_request_is_a_conflict_and_another_callers_is_its_own(api: Running) -> None:
    mine, theirs = await api.key(), await api.key()
    mark = {"idempotency-key": "one"}
    first = await api.client.post("/api/v1/app", headers={**mine, **mark}, json={"name": "Acme"})

    other_body = await api.client.post("/api/v1/app", headers={**mine, **mark}, json={"name": "Other"})
    other_query = await api.client.post(
        "/api/v1/app?get_if_exists=true", headers={**mine, **mark}, json={"name": "Acme"}
    )
    other_caller = await api.client.post("/api/v1/app", headers={**theirs, **mark}, json={"name": "Other"})

    assert_refused(other_body, 409, "conflict")
    assert_refused(other_query, 409, "conflict")
    assert other_caller.status_code == 201
    assert other_caller.json()["id"] != first.json()["id"]


async def test_a_refusal_is_not_kept_under_its_key(api: Running) -> None:
    headers = {**await api.key(), "idempotency-key": "one"}
    first = await made_application(api, await api.key(), uid="acme")
    body = {"name": "Acme", "uid": "acme"}
    assert_refused(await api.client.post("/api/v1/app", headers=headers, json=body), 409, "conflict")

    await api.client.delete(f"/api/v1/app/{first['id']}", headers=headers)

    assert (await api.client.post("/api/v1/app", headers=headers, json=body)).status_code == 201


async def test_a_key_that_is_none_is_refused(api: Running) -> None:
    for mark in ("", "x" * 300):
        headers = {**await api.key(), "idempotency-key": mark}
        reply = await api.client.post("/api/v1/app", headers=headers, json={"name": "Acme"})

        assert places_in(reply) == [["header", "idempotency-key"]]
