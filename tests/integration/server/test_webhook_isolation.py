"""No key of one tenant learns or changes anything of another's, by any route of the webhook API."""

from itertools import cycle
from typing import Any

import httpx
import pytest

from rowcast.server.keys import SCOPES
from tests.integration.server.running import Running
from tests.integration.server.webhook_isolation_world import (
    BODIES,
    KEYLESS,
    NAMELESS,
    Ids,
    Place,
    documented_scopes,
    everything,
    made_tenant,
    random_ids,
    routes_of,
)

# What changes least goes first, what removes goes last, and the application after all that is in it.
ORDER = {"GET": 0, "POST": 1, "PUT": 2, "PATCH": 3, "DELETE": 4}


async def test_every_route_has_an_entry_here(api: Running) -> None:
    routes = list(routes_of(api))
    missing = [place for place in routes if not _is_known(place)]
    unsaid = set(routes) - KEYLESS - documented_scopes().keys()

    assert len(routes) > 40
    assert not missing, f"say in webhook_isolation_world.py what these routes are sent: {missing}"
    assert not unsaid, f"docs/reference/webhook-api.md has no row for {unsaid}"


@pytest.mark.parametrize("other", [0, 1], ids=["ids", "uids"])
async def test_what_is_anothers_is_answered_like_what_is_not_there(api: Running, other: int) -> None:
    """Each name in a path once another tenant's and once nobody's: status, body and headers are the same 404."""
    everybody = await api.key()
    ours, theirs = [await made_tenant(api, everybody, word) for word in ("acme", "zeta")]
    before = await everything(api, theirs.tenant)
    callers = {"all scopes": await api.key(tenant=ours.tenant)}
    if not other:
        callers["portal"] = await _portal_key(api, everybody, ours)
    for place in sorted(filter(_names_something, routes_of(api))):
        for caller, headers in callers.items():
            seen: set[int] = set()
            for own in ({}, {"app_id": ours.names["app_id"][other]}):
                if own and place[1].count("{") == 1:
                    continue
                theirs_reply = await _asked(api, place, theirs.path(place[1], own, other=other), headers)
                nobody_reply = await _asked(api, place, random_ids().path(place[1], own, other=other), headers)
                # A uid in a PUT that nobody has is a new thing of our own, whoever else has one of that name.
                if not (place[0] == "PUT" and other and own):
                    assert _told(theirs_reply) == _told(nobody_reply), (caller, place)
                    seen.add(theirs_reply.status_code)
            assert seen <= {403, 404}, (caller, place, seen)
            assert caller != "all scopes" or seen <= {404} or _is_for_all(place), (place, seen)

    assert await everything(api, theirs.tenant) == before


async def test_every_route_asks_for_a_key_with_the_scope_that_its_page_says(api: Running) -> None:
    everybody = await api.key()
    ours, theirs = [await made_tenant(api, everybody, word) for word in ("acme", "zeta")]
    before = await everything(api, theirs.tenant)
    only = {scope: await api.key(scope, tenant=ours.tenant) for scope in SCOPES}
    others = {scope: await api.key(*(each for each in SCOPES if each != scope)) for scope in SCOPES}
    said = documented_scopes()
    for place in sorted(set(routes_of(api)) - KEYLESS):
        scope, path = said[place], theirs.path(place[1].replace("{name}", "order.paid"), {})
        nobody = await _asked(api, place, path, {})
        assert (nobody.status_code, nobody.json()["code"]) == (401, "authentication_failed"), place
        lacking = await _asked(api, place, path, others[scope])
        assert (lacking.status_code, lacking.json()["code"]) == (403, "insufficient access"), place
        opened = await _asked(api, place, path, only[scope])
        assert (opened.status_code == 403) is _is_for_all(place), (place, opened.text)
        assert theirs.tenant not in opened.text, (place, opened.text)

    assert await everything(api, theirs.tenant) == before


async def test_lists_and_iterators_show_nothing_of_another_tenant(api: Running) -> None:
    everybody = await api.key()
    ours, theirs = [await made_tenant(api, everybody, word) for word in ("acme", "zeta")]
    headers = await api.key(tenant=ours.tenant)
    marks = [names[0] for parameter, names in theirs.names.items() if parameter not in ("sink_id", "consumer_id")]
    for place in sorted(set(routes_of(api))):
        if place[0] != "GET" or "{name}" in place[1]:
            continue
        for query in ("", *(f"iterator={minus}{mark}" for mark, minus in zip(marks, cycle(["", "-"]), strict=False))):
            reply = await api.client.get(ours.path(place[1], {}), params=query, headers=headers)
            shown = reply.text.replace(query.partition("=")[2] or " ", "")
            assert reply.status_code in (200, 204, 404, 422), (place, query, reply.text)
            assert not [mark for mark in marks if mark in shown], (place, query, shown)


async def test_a_key_of_the_tenant_itself_passes_everywhere(api: Running) -> None:
    """The control: what is asked of another's things above is asked of one's own, and each of them is there."""
    everybody = await api.key()
    theirs = await made_tenant(api, everybody, "zeta")
    own = await api.key(tenant="zeta")
    # Resending first: what was expunged cannot be sent again.
    places = sorted(
        filter(_names_something, routes_of(api)), key=lambda each: (ORDER[each[0]], -each[1].count("/"), each[1])
    )
    for place in places:
        headers = everybody if _is_for_all(place) else own
        reply = await _asked(api, place, theirs.path(place[1], {}), headers)
        assert reply.is_success, (place, reply.status_code, reply.text)


async def test_an_idempotency_key_is_its_callers_own(api: Running) -> None:
    everybody = await api.key()
    ours, theirs = [await made_tenant(api, everybody, word) for word in ("acme", "zeta")]
    key = {"idempotency-key": "auto_same"}
    path = "/app/{app_id}/endpoint/{endpoint_id}/secret/rotate"
    first = await api.client.post(theirs.path(path, {}), headers={**await api.key(tenant="zeta"), **key}, json={})
    mine = await api.client.post(ours.path(path, {}), headers={**await api.key(tenant="acme"), **key}, json={})
    foreign = await api.client.post(theirs.path(path, {}), headers={**await api.key(tenant="acme"), **key}, json={})

    assert (first.status_code, mine.status_code, foreign.status_code) == (200, 200, 404)
    assert first.json()["key"] != mine.json()["key"]


def _is_known(place: Place) -> bool:
    return place in NAMELESS or place in BODIES or place[0] in ("GET", "DELETE")


def _names_something(place: Place) -> bool:
    return "{" in place[1] and place not in NAMELESS


def _is_for_all(place: Place) -> bool:
    """Tell whether a route asks for a key that is bound to no tenant: those that change applications and event types."""
    method, path = place
    return (
        path in ("/app", "/app/{app_id}", "/event-type", "/event-type/{name}") and method != "GET"
    ) or path.startswith("/auth/app")


async def _portal_key(api: Running, everybody: dict[str, str], ids: Ids) -> dict[str, str]:
    body = {"readOnly": True}
    link = await api.client.post(f"/api/v1/auth/app-portal-access/{ids.tenant}", headers=everybody, json=body)
    key = await api.client.post("/api/v1/auth/portal-key", json={"token": link.json()["token"]})
    return {"authorization": f"Bearer {key.json()['key']}"}


async def _asked(api: Running, place: Place, path: str, headers: dict[str, str]) -> httpx.Response:
    body: Any = BODIES.get(place)
    return await api.client.request(place[0], path, headers=headers, json=body)


def _told(reply: httpx.Response) -> tuple[int, str, dict[str, str]]:
    return reply.status_code, reply.text, dict(reply.headers)
