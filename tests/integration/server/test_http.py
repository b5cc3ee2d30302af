"""Who may call, how each error looks, and that nothing of another tenant shows."""

import re
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest

from rowcast.core.errors import AuthenticationError, LimitExceededError, RowcastError
from rowcast.server.http import bearer, place_of_fault, problem_response
from rowcast.server.keys import create_key, revoke_key
from rowcast.server.webhook_api_errors import is_webhook_api
from tests.integration.server.running import Running, assert_problem

ROUTES = [
    ("GET", "/api/v1/events", "events:read"),
    ("POST", "/api/v1/events", "events:write"),
    ("GET", f"/api/v1/events/{uuid.UUID(int=1)}", "events:read"),
    ("POST", f"/api/v1/events/{uuid.UUID(int=1)}/replay", "deliveries:replay"),
    ("POST", "/api/v1/outbox/publish", "outbox:publish"),
    ("GET", "/api/v1/deliveries", "deliveries:read"),
    ("GET", "/api/v1/deliveries/1", "deliveries:read"),
    ("GET", "/api/v1/dead-letters", "deliveries:read"),
    ("POST", "/api/v1/dead-letters/replay", "deliveries:replay"),
    ("GET", "/api/v1/endpoints", "endpoints:read"),
    ("POST", "/api/v1/endpoints", "endpoints:write"),
    ("GET", "/api/v1/endpoints/ep_1", "endpoints:read"),
    ("PUT", "/api/v1/endpoints/ep_1", "endpoints:write"),
    ("DELETE", "/api/v1/endpoints/ep_1", "endpoints:write"),
    ("POST", "/api/v1/sources", "sources:write"),
    ("GET", "/api/v1/sources", "sources:read"),
    ("GET", "/api/v1/sources/src_1", "sources:read"),
    ("PUT", "/api/v1/sources/src_1", "sources:write"),
    ("DELETE", "/api/v1/sources/src_1", "sources:write"),
    ("POST", "/api/v1/sources/src_1/rotate", "sources:write"),
    ("GET", "/api/v1/realtime/statistics", "realtime:read"),
]


async def test_every_route_of_the_api_asks_for_a_key(api: Running) -> None:
    for method, path, _ in ROUTES:
        reply = await api.client.request(method, path)

        assert_problem(reply, 401, "auth.missing")
        assert reply.headers["www-authenticate"] == "Bearer"


async def test_every_route_of_the_api_asks_for_its_scope(api: Running) -> None:
    scopes = {scope for _, _, scope in ROUTES}
    for method, path, scope in ROUTES:
        reply = await api.client.request(method, path, headers=await api.key(*(scopes - {scope})), json={})

        problem = assert_problem(reply, 403, "auth.denied")
        assert scope in problem["detail"]


async def test_the_list_of_guarded_routes_is_whole(api: Running) -> None:
    paths = (await api.client.get("/api/openapi.json")).json()["paths"]
    listed = {
        (method.upper(), path)
        for path, methods in paths.items()
        for method in methods
        if path.startswith("/api/v1") and not is_webhook_api(path)
    }

    assert len(listed) == len(ROUTES)


@pytest.mark.parametrize("header", ["", "Basic abc", "Bearer", "rk_1"])
async def test_a_header_without_a_token_is_no_proof(api: Running, header: str) -> None:
    assert_problem(await api.client.get("/api/v1/events", headers={"authorization": header}), 401, "auth.missing")


async def test_an_unknown_a_revoked_and_an_expired_key_are_told_alike(api: Running) -> None:
    yesterday = datetime.now(UTC) - timedelta(days=1)
    revoked = await create_key(api.app.database, name="r", scopes=["events:read"])
    expired = await create_key(api.app.database, name="e", scopes=["events:read"], expires_at=yesterday)
    await revoke_key(api.app.database, revoked.id)

    replies = [
        await api.client.get("/api/v1/events", headers={"authorization": f"Bearer {text}"})
        for text in ("rk_nobody", revoked.text, expired.text)
    ]

    for reply in replies:
        assert_problem(reply, 401, "auth.key")
    assert len({reply.text for reply in replies}) == 1


async def test_a_path_that_is_not_there_is_a_problem(api: Running) -> None:
    assert_problem(await api.client.get("/api/v1/nothing"), 404, "input.not_found")
    assert_problem(await api.client.get("/nothing"), 404, "input.not_found")


async def test_a_method_that_a_path_does_not_take_is_a_problem(api: Running) -> None:
    reply = await api.client.delete("/api/v1/events", headers=await api.key())

    assert_problem(reply, 405, "input.method")
    assert {"GET", "POST"} <= {word.strip() for word in reply.headers["allow"].split(",")}


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b'{"eventType": 1}', b"\xff\xfe"])
async def test_a_body_that_is_no_request_is_refused(api: Running, body: bytes) -> None:
    headers = {**await api.key(), "content-type": "application/json"}

    assert_problem(await api.client.post("/api/v1/events", headers=headers, content=body), 400, "input.invalid")


@pytest.mark.parametrize("body", [b"[" * 100_000, b'{"a":' * 40_000], ids=["lists", "objects"])
async def test_a_body_that_is_nested_too_deeply_is_the_callers_fault(api: Running, body: bytes) -> None:
    headers = {**await api.key(), "content-type": "application/json"}

    assert_problem(await api.client.post("/api/v1/events", headers=headers, content=body), 400, "input.not_json")


async def test_a_field_that_nobody_knows_is_refused_by_its_name(api: Running) -> None:
    body = {"eventType": "a.b", "payload": {}, "tenantId": "acme", "tenannt": "acme"}

    problem = assert_problem(
        await api.client.post("/api/v1/events", headers=await api.key(), json=body), 400, "input.invalid"
    )

    assert "tenannt" in problem["detail"]


@pytest.mark.parametrize("query", ["limit=0", "limit=501", "limit=many", "status=lost"])
async def test_a_query_out_of_its_limits_is_refused_by_its_name(api: Running, query: str) -> None:
    problem = assert_problem(
        await api.client.get(f"/api/v1/events?{query}", headers=await api.key()), 400, "input.invalid"
    )

    assert query.partition("=")[0] in problem["detail"]


async def test_a_body_over_the_limit_is_not_read(api: Running) -> None:
    body = {"eventType": "a.b", "payload": {"text": "x" * 300_000}, "tenantId": "acme"}

    assert_problem(await api.client.post("/api/v1/events", headers=await api.key(), json=body), 413, "input.too_large")


async def test_a_fault_of_ours_shows_nothing_of_itself(api: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fault(*_: object, **__: object) -> None:
        raise ZeroDivisionError("secret words")

    monkeypatch.setattr("rowcast.outbox.table.EventTable.page", fault)
    reply = await api.client.get("/api/v1/events", headers=await api.key())

    assert_problem(reply, 500, "rowcast.error")
    assert "secret" not in reply.text


async def test_the_api_describes_itself(api: Running) -> None:
    document = (await api.client.get("/api/openapi.json")).json()

    assert document["info"]["title"] == "rowcast"
    assert "/api/v1/events" in document["paths"]


async def test_a_body_that_is_not_there_is_missed_in_words(api: Running) -> None:
    reply = await api.client.post("/api/v1/dead-letters/replay", headers=await api.key())
    wrong = await api.client.post("/api/v1/dead-letters/replay", headers=await api.key(), json=[])

    assert assert_problem(reply, 400, "input.invalid")["detail"] == "The body is missing."
    assert "object" in assert_problem(wrong, 400, "input.invalid")["detail"]


@pytest.mark.parametrize(
    ("path", "methods"),
    [("/api/v1/app", "GET, OPTIONS, POST"), ("/api/v1/event-type/x", "DELETE, GET, OPTIONS, PATCH, PUT"), ("/in/x", "GET, OPTIONS, POST")],
)  # fmt: skip
async def test_a_path_tells_its_methods(api: Running, path: str, methods: str) -> None:
    told, refused = await api.client.options(path), await api.client.request("TRACE", path)

    assert (told.status_code, refused.status_code, told.headers["allow"]) == (204, 405, methods)
    assert sorted(refused.headers["allow"].split(", ")) == methods.split(", ")


async def test_a_request_of_another_protocol_version_does_no_harm(api: Running) -> None:
    async with httpx.AsyncClient(base_url=str(api.client.base_url)) as other:
        replies = [await other.get("/livez") for _ in range(3)]

    assert [reply.status_code for reply in replies] == [200, 200, 200]


def test_a_limit_says_when_to_come_back() -> None:
    reply = problem_response(LimitExceededError("Slow down.", retry_after_s=2.4))

    assert reply.headers["retry-after"] == "3"
    assert reply.status_code == 429


def test_the_scheme_of_a_key_may_be_written_in_any_case() -> None:
    assert bearer("bEARER  rk_1 ") == "rk_1"
    with pytest.raises(AuthenticationError):
        bearer("Bearer   ")


def test_the_place_of_a_fault_is_its_innermost_line() -> None:
    try:
        raise RowcastError("x")
    except RowcastError as error:
        assert place_of_fault(error).startswith("test_http.py:")


@pytest.mark.parametrize("query", ["sink=%00", "sink=%ff", "tenantId=%00", "tenantId=a%20b"])
async def test_a_text_that_no_database_takes_finds_nothing(api: Running, query: str) -> None:
    reply = await api.client.get(f"/api/v1/deliveries?{query}", headers=await api.key())

    assert reply.status_code in (200, 400), reply.text
    assert reply.json().get("data", []) == []


async def test_the_page_about_http_lists_every_route_with_its_scope(api: Running) -> None:
    page = (Path(__file__).parents[3] / "docs" / "reference" / "http.md").read_text("utf-8")
    documented = set(re.findall(r"^\| ([A-Z]+) \| `(/[^`]*)` \| (?:`([a-z:]+)`|–) \|", page, re.MULTILINE))
    paths = (await api.client.get("/api/openapi.json")).json()["paths"]
    guarded = {
        (method, re.sub(r"/[^/]*\d[^/]*(?=/|$)", "/{}", path.removeprefix("/api/v1"))): scope
        for method, path, scope in ROUTES
    }

    served = {
        (method.upper(), path) for path, methods in paths.items() for method in methods if not is_webhook_api(path)
    }
    assert {(method, path) for method, path, _ in documented} == served
    for method, path, scope in documented:
        if path.startswith("/api/v1"):
            assert guarded[method, re.sub(r"\{\w+\}", "{}", path.removeprefix("/api/v1"))] == scope
