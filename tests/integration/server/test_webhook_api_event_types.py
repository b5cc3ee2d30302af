"""Event types over the webhook API."""

from typing import Any

import pytest

from rowcast.core.event import DECLARED, Event
from tests.integration.server.running import Running
from tests.integration.server.webhook_calls import assert_refused, places_in

PATH = "/api/v1/event-type"
SCHEMAS = {"1": {"type": "object", "required": ["total"]}}


class Grown(Event, type="webhookapi.grown"):
    """A tree has grown."""

    height: int


async def added(api: Running, headers: dict[str, str], name: str, **fields: Any) -> dict[str, Any]:
    reply = await api.client.post(PATH, headers=headers, json={"name": name, "description": "x", **fields})
    assert reply.status_code == 201, reply.text
    value: dict[str, Any] = reply.json()
    return value


async def test_an_event_type_is_added_read_changed_and_archived(api: Running) -> None:
    headers = await api.key()

    made = await added(api, headers, "invoice.paid", schemas=SCHEMAS, featureFlag="beta", groupName="billing")
    place = f"{PATH}/invoice.paid"
    patched = await api.client.patch(
        place, headers=headers, json={"schemas": None, "featureFlag": None, "archived": True}
    )
    put = await api.client.put(place, headers=headers, json={"description": "New", "featureFlags": ["a", "b"]})
    removed = await api.client.delete(place, headers=headers)
    read = (await api.client.get(place, headers=headers)).json()
    gone = await api.client.delete(f"{place}?expunge=true", headers=headers)

    assert (made["schemas"], made["featureFlags"], made["featureFlag"]) == (SCHEMAS, ["beta"], "beta")
    assert (made["archived"], made["deprecated"], made["groupName"], made["isDeclared"]) == (
        False,
        False,
        "billing",
        False,
    )
    assert (patched.json()["schemas"], patched.json()["featureFlags"], patched.json()["archived"]) == (None, None, True)
    assert (patched.json()["groupName"], patched.json()["description"]) == ("billing", "x")
    assert (put.status_code, put.json()["featureFlag"], put.json()["groupName"], put.json()["archived"]) == (
        200,
        "a",
        None,
        False,
    )
    assert (removed.status_code, removed.content, read["archived"], gone.status_code) == (204, b"", True, 204)
    assert_refused(await api.client.get(place, headers=headers), 404, "not_found")


async def test_what_a_class_declares_is_shown_and_not_changed(api: Running) -> None:
    assert "webhookapi.grown" in DECLARED.names()
    headers = await api.key()
    place = f"{PATH}/webhookapi.grown"

    shown = (await api.client.get(place, headers=headers)).json()
    listed = (await api.client.get(f"{PATH}?with_content=true&limit=250", headers=headers)).json()["data"]

    assert (shown["isDeclared"], shown["description"], list(shown["schemas"])) == (True, "A tree has grown.", ["1"])
    assert shown in listed
    for method in ("PUT", "PATCH", "DELETE"):
        refused = await api.client.request(method, place, headers=headers, json={"description": "x"})
        assert_refused(refused, 409, "conflict")
    taken = await api.client.post(PATH, headers=headers, json={"name": "webhookapi.grown", "description": "x"})
    assert_refused(taken, 409, "conflict")


async def test_event_types_belong_to_all_tenants(api: Running) -> None:
    await added(api, await api.key(), "invoice.paid")
    own = await api.key(tenant="acme")

    assert (await api.client.get(f"{PATH}/invoice.paid", headers=own)).status_code == 200
    for method, path in (
        ("POST", PATH),
        ("PUT", f"{PATH}/x"),
        ("PATCH", f"{PATH}/invoice.paid"),
        ("DELETE", f"{PATH}/invoice.paid"),
    ):
        reply = await api.client.request(method, path, headers=own, json={"name": "x", "description": "x"})
        assert_refused(reply, 403, "insufficient access")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"name": "x"}, "description"), ({"description": "x"}, "name"), ({"name": "a b", "description": "x"}, "name"),
        ({"name": "export", "description": "x"}, "name"), ({"name": "x" * 257, "description": "x"}, "name"),
        ({"name": "\N{COLLISION SYMBOL}", "description": "x"}, "name"),
        ({"name": "x", "description": "x", "schemas": {"1": {"type": "no"}}}, "schemas"),
        ({"name": "x", "description": "x", "schemas": {"1": {"$ref": "http://127.0.0.1:9/"}}}, "schemas"),
        ({"name": "x", "description": "x", "schemas": []}, "schemas"),
        ({"name": "x", "description": "x", "archived": "yes"}, "archived"),
        ({"name": "x", "description": "x", "featureFlags": [1]}, "featureFlags"),
    ],
)  # fmt: skip
async def test_what_is_no_event_type_is_refused_by_its_field(api: Running, body: object, field: str) -> None:
    assert places_in(await api.client.post(PATH, headers=await api.key(), json=body))[0][:2] == ["body", field]


async def test_a_schema_that_is_nested_without_an_end_is_refused(api: Running) -> None:
    headers = {**await api.key(), "content-type": "application/json"}
    for bomb in (b'{"not":' * 5_000 + b"{}" + b"}" * 5_000, b'{"not":' * 100 + b"{}" + b"}" * 100):
        body = b'{"name": "x", "description": "x", "schemas": {"1": ' + bomb + b"}}"
        assert places_in(await api.client.post(PATH, headers=headers, content=body))[0][0] == "body"


@pytest.mark.parametrize(
    "query", ["limit=251", "iterator=%00", "iterator=-", "iterator=a%20b", "order=up", "with_content=perhaps"]
)
async def test_a_query_out_of_its_limits_is_refused_by_its_place(api: Running, query: str) -> None:
    assert places_in(await api.client.get(f"{PATH}?{query}", headers=await api.key()))[0][0] == "query"


async def test_all_types_are_exported_in_each_format(api: Running) -> None:
    headers = await api.key()
    await added(api, headers, "invoice.paid", schemas=SCHEMAS)
    await added(api, headers, "invoice.old", archived=True)

    replies = {
        form: await api.client.get(f"{PATH}/export?format={form}", headers=headers)
        for form in ("json-schema", "asyncapi", "openapi", "typescript")
    }

    assert {reply.status_code for reply in replies.values()} == {200}
    assert {"invoice.paid", "webhookapi.grown"} <= replies["json-schema"].json()["$defs"].keys()
    assert all("invoice.paid" in reply.text and "invoice.old" not in reply.text for reply in replies.values())
    assert replies["typescript"].headers["content-type"].startswith("text/plain")
    assert places_in(await api.client.get(f"{PATH}/export?format=yaml", headers=headers)) == [["query", "format"]]
