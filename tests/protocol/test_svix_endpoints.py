"""Unmodified `svix` SDKs against a server: endpoints and all that belongs to one."""

import asyncio
import json
from typing import Any

from standardwebhooks import Webhook

from tests.integration.egress.receivers import answer, receiving
from tests.integration.webhooks.engine import WITHIN_S, Receiver
from tests.protocol.svix_client import SDKS, sdk_on, the_error

URL = "https://hooks.example.com/in"
SCHEMA = {"1": {"type": "object", "properties": {"id": {"type": "string"}, "total": {"type": "number", "minimum": 5}}}}
TEMPLATE = '{"text": "{{ type }}: {{ data.id }} {{ variables.shop }}", "total": "{{ data.total }}"}'


@SDKS
async def test_endpoints_live_as_the_sdk_expects(dsn: str, version: str) -> None:
    is_old = version.startswith("1.")
    async with sdk_on(dsn, version) as (svix, api, _):
        await _are_made_and_changed(svix, api, is_old=is_old)
        await _are_listed_refused_and_removed(svix, api)
        await _keep_secrets_and_headers(svix, api, is_old=is_old)
        await _keep_transformations(svix, api, is_old=is_old)


async def _are_made_and_changed(svix: Any, api: Any, *, is_old: bool) -> None:
    # Version 1 has older words.
    types: dict[str, Any] = {"filter_types" if is_old else "event_types": ["orders.paid", "signed_up"]}
    await svix.application.create(api.ApplicationIn(name="Acme", uid="made"))
    upsert_in = api.EndpointUpdate if is_old else api.EndpointUpsertIn
    upsert = svix.endpoint.update if is_old else svix.endpoint.upsert
    made = await svix.endpoint.create(
        "made",
        api.EndpointIn(
            url=URL, uid="crm", description="CRM", disabled=True, channels=["eu", "us-1"], throttle_rate=9,
            metadata={"team": "sales"}, **types,
        ),
    )  # fmt: skip
    read = await svix.endpoint.get("made", "crm")
    patched = await svix.endpoint.patch("made", made.id, api.EndpointPatch(disabled=False, throttle_rate=None))
    put = await upsert("made", "crm", upsert_in(url=URL + "/put"))
    added = await upsert("made", "shop", upsert_in(url=URL))

    shown = made.filter_types if is_old else made.event_types
    assert (made.id[:3], made.uid, made.url, made.description, made.disabled) == ("ep_", "crm", URL, "CRM", True)
    assert (shown, made.channels, made.throttle_rate, made.metadata) == (
        ["orders.paid", "signed_up"], ["eu", "us-1"], 9, {"team": "sales"},
    )  # fmt: skip
    assert made.created_at.tzinfo is not None
    assert made.updated_at >= made.created_at
    assert read == made
    if is_old:
        assert (made.version, made.rate_limit) == (1, 9)
    assert (patched.disabled, patched.throttle_rate, patched.channels, patched.uid) == (
        False,
        None,
        made.channels,
        "crm",
    )
    assert (put.id, put.url, put.uid, put.description, put.channels, put.metadata) == (
        made.id, URL + "/put", "crm", "", None, {},
    )  # fmt: skip
    assert (added.uid, added.url) == ("shop", URL)


async def _are_listed_refused_and_removed(svix: Any, api: Any) -> None:
    await svix.application.create(api.ApplicationIn(name="Acme", uid="listed"))
    ids = sorted([(await svix.endpoint.create("listed", api.EndpointIn(url=URL, uid=uid))).id for uid in ("a", "b")])
    first = await svix.endpoint.list("listed", api.EndpointListOptions(limit=1))
    rest = await svix.endpoint.list("listed", api.EndpointListOptions(limit=1, iterator=first.iterator))
    falling = await svix.endpoint.list("listed", api.EndpointListOptions(order=api.Ordering.DESCENDING))
    taken = await the_error(svix.endpoint.create("listed", api.EndpointIn(url=URL, uid="a")))
    inside = await the_error(svix.endpoint.create("listed", api.EndpointIn(url="https://127.0.0.1/")))
    await svix.endpoint.delete("listed", "a")
    gone = await the_error(svix.endpoint.get("listed", "a"))

    assert [each.id for page in (first, rest) for each in page.data] == ids
    assert (first.done, rest.done, first.prev_iterator) == (False, True, f"-{first.data[0].id}")
    assert [each.id for each in falling.data] == ids[::-1]
    assert [taken.status_code, inside.status_code, gone.status_code] == [409, 422, 404]
    assert inside.detail[0].loc == ["body", "url"]


async def _keep_secrets_and_headers(svix: Any, api: Any, *, is_old: bool) -> None:
    await svix.application.create(api.ApplicationIn(name="Acme", uid="kept"))
    endpoint = svix.endpoint
    await endpoint.create("kept", api.EndpointIn(url=URL, uid="crm", headers={"x-team": "sales", "x-api-key": "k"}))
    secret = await endpoint.get_secret("kept", "crm")
    rotated = await endpoint.rotate_secret("kept", "crm", api.EndpointSecretRotateIn(grace_period_seconds=60))
    second = await endpoint.get_secret("kept", "crm")
    wrong = await the_error(endpoint.rotate_secret("kept", "crm", api.EndpointSecretRotateIn(key="short")))
    given = await endpoint.get_headers("kept", "crm")
    set_headers = endpoint.update_headers if is_old else endpoint.set_headers
    await set_headers("kept", "crm", api.EndpointHeadersIn(headers={"x-a": "1", "x-b": "2"}))
    change = api.EndpointHeadersPatchIn(headers={"X-A": "3", "x-c": "4"}, delete_headers=["X-B"])
    await endpoint.patch_headers("kept", "crm", change)
    changed = await endpoint.get_headers("kept", "crm")

    assert secret.key.startswith("whsec_")
    assert second.key != secret.key
    # The newest one reads what is answered, the older ones pass it over.
    assert rotated is None or rotated == second
    assert (wrong.status_code, wrong.detail[0].loc) == (422, ["body", "key"])
    assert (given.headers, given.sensitive) == ({"x-team": "sales"}, ["x-api-key"])
    assert (changed.headers, changed.sensitive) == ({"X-A": "3", "x-c": "4"}, [])


async def _keep_transformations(svix: Any, api: Any, *, is_old: bool) -> None:
    read, patch = _transformation(svix, is_old=is_old)
    none = await read("kept", "crm")
    change = api.EndpointTransformationPatch(code=TEMPLATE, enabled=True, variables={"shop": "A"})
    await patch("kept", "crm", change)
    kept = await read("kept", "crm")
    script = api.EndpointTransformationPatch(code="function handler(webhook) { return webhook }")
    refused = await the_error(patch("kept", "crm", script))

    assert (none.code, none.enabled) == (None, False)
    assert (kept.code, kept.enabled, kept.variables) == (TEMPLATE, True, {"shop": "A"})
    assert kept.updated_at.tzinfo is not None
    assert (refused.status_code, refused.detail[0].loc) == (422, ["body", "code"])


@SDKS
async def test_an_example_is_received_verified_and_counted(dsn: str, version: str) -> None:
    receiver = Receiver()
    receiver.answers = {"/a": [answer()], "/b": [answer()]}
    async with receiving(receiver) as port:
        settings: dict[str, Any] = {
            "roles": ("gateway", "relay", "delivery"),
            "webhooks__allow_private": (f"127.0.0.1:{port}",),
            "webhooks__allow_http": True,
        }
        async with sdk_on(dsn, version, **settings) as (svix, api, _):
            await svix.application.create(api.ApplicationIn(name="Acme", uid="acme"))
            await svix.event_type.create(api.EventTypeIn(name="Invoice.paid", description="Paid", schemas=SCHEMA))
            for uid in ("a", "b"):
                await svix.endpoint.create("acme", api.EndpointIn(url=f"http://127.0.0.1:{port}/{uid}", uid=uid))
            keys = [(await svix.endpoint.get_secret("acme", "a")).key]
            await svix.endpoint.rotate_secret("acme", "a", api.EndpointSecretRotateIn())
            keys.append((await svix.endpoint.get_secret("acme", "a")).key)
            sent = await svix.endpoint.send_example("acme", "a", api.EventExampleIn(event_type="Invoice.paid"))
            stats = await _counted(svix, api, "a")
            other = await svix.endpoint.get_stats("acme", "b", api.EndpointGetStatsOptions())
            attempts = await svix.endpoint.get_attempt_stats("acme", "a") if version == "2.9.1" else None
            _, patch = _transformation(svix, is_old=version.startswith("1."))
            await patch("acme", "b", api.EndpointTransformationPatch(code=TEMPLATE, enabled=True))
            await svix.endpoint.send_example("acme", "b", api.EventExampleIn(event_type="Invoice.paid"))
            await _counted(svix, api, "b")

    assert [path for path, _, _ in receiver.requests] == ["/a", "/b"]
    (_, headers, body) = receiver.requests[0]
    for key in keys:
        assert Webhook(key).verify(body, headers) == json.loads(body)
    assert (sent.id, sent.event_type, sent.payload) == (
        headers["webhook-id"], "Invoice.paid", {"id": "example", "total": 5},
    )  # fmt: skip
    # A message of the API is posted as it was sent.
    assert json.loads(body) == sent.payload
    assert json.loads(receiver.requests[1][2]) == {"text": "Invoice.paid: example ", "total": 5}
    assert (stats.success, stats.pending, stats.sending, stats.fail, stats.canceled) == (1, 0, 0, 0, 0)
    assert (other.success, other.pending, other.fail) == (0, 0, 0)
    assert attempts is None or (attempts.success, attempts.fail, attempts.canceled) == (1, 0, 0)


def _transformation(svix: Any, *, is_old: bool) -> tuple[Any, Any]:
    """Give how this version reads and changes a transformation."""
    own = svix.endpoint if is_old else svix.endpoint.transformation
    return (own.transformation_get, own.patch_transformation) if is_old else (own.get, own.patch)


async def _counted(svix: Any, api: Any, uid: str) -> Any:
    """Give the numbers of an endpoint as soon as its message is there."""
    async with asyncio.timeout(WITHIN_S):
        while True:
            stats = await svix.endpoint.get_stats("acme", uid, api.EndpointGetStatsOptions())
            if stats.success or stats.fail:
                return stats
            await asyncio.sleep(0.05)
