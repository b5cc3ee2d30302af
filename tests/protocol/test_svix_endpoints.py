"""Unmodified `svix` SDKs against a server: endpoints and all that belongs to one."""

from typing import Any

from tests.protocol.svix_client import SDKS, sdk_on, the_error

URL = "https://hooks.example.com/in"


@SDKS
async def test_endpoints_live_as_the_sdk_expects(dsn: str, version: str) -> None:
    is_old = version.startswith("1.")
    async with sdk_on(dsn, version) as (svix, api, _):
        await svix.application.create(api.ApplicationIn(name="Acme", uid="acme"))
        # Version 1 has older words.
        types: dict[str, Any] = {"filter_types" if is_old else "event_types": ["orders.paid", "signed_up"]}
        upsert_in = api.EndpointUpdate if is_old else api.EndpointUpsertIn
        upsert = svix.endpoint.update if is_old else svix.endpoint.upsert
        made = await svix.endpoint.create(
            "acme",
            api.EndpointIn(
                url=URL, uid="crm", description="CRM", disabled=True, channels=["eu", "us-1"], throttle_rate=9,
                metadata={"team": "sales"}, **types,
            ),
        )  # fmt: skip
        read = await svix.endpoint.get("acme", "crm")
        patched = await svix.endpoint.patch("acme", made.id, api.EndpointPatch(disabled=False, throttle_rate=None))
        put = await upsert("acme", "crm", upsert_in(url=URL + "/put"))
        added = await upsert("acme", "shop", upsert_in(url=URL))
        first = await svix.endpoint.list("acme", api.EndpointListOptions(limit=1))
        rest = await svix.endpoint.list("acme", api.EndpointListOptions(limit=1, iterator=first.iterator))
        falling = await svix.endpoint.list("acme", api.EndpointListOptions(order=api.Ordering.DESCENDING))
        taken = await the_error(svix.endpoint.create("acme", api.EndpointIn(url=URL, uid="crm")))
        inside = await the_error(svix.endpoint.create("acme", api.EndpointIn(url="https://127.0.0.1/")))
        await svix.endpoint.delete("acme", "crm")
        gone = await the_error(svix.endpoint.get("acme", made.id))

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
    assert (patched.disabled, patched.throttle_rate, patched.channels, patched.uid) == (False, None, made.channels, "crm")
    assert (put.id, put.url, put.uid, put.description, put.channels, put.metadata) == (
        made.id, URL + "/put", "crm", "", None, {},
    )  # fmt: skip
    assert (added.uid, added.url) == ("shop", URL)
    assert [each.id for page in (first, rest) for each in page.data] == sorted([made.id, added.id])
    assert (first.done, rest.done, first.prev_iterator) == (False, True, f"-{first.data[0].id}")
    assert [each.id for each in falling.data] == sorted([made.id, added.id], reverse=True)
    assert [taken.status_code, inside.status_code, gone.status_code] == [409, 422, 404]
    assert inside.detail[0].loc == ["body", "url"]
