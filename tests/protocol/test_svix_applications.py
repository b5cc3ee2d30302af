"""Unmodified `svix` SDKs against a server: applications, event types, links into the portal, and how errors arrive."""

from typing import Any

from tests.protocol.svix_client import SDKS, sdk_on, svix_client, the_error

SCHEMA = {"1": {"type": "object", "properties": {"total": {"type": "number"}}, "required": ["total"]}}


@SDKS
async def test_applications_live_as_the_sdk_expects(dsn: str, version: str) -> None:
    async with sdk_on(dsn, version) as (svix, api, _):
        made = await svix.application.create(
            api.ApplicationIn(name="Acme", uid="acme", throttle_rate=9, metadata={"plan": "gold"})
        )
        same = await svix.application.get_or_create(api.ApplicationIn(name="Other", uid="acme"))
        read = await svix.application.get("acme")
        patched = await svix.application.patch(made.id, api.ApplicationPatch(name="New", throttle_rate=None))
        # Version 1 has the older word for it.
        upsert = getattr(svix.application, "upsert", None) or svix.application.update
        put = await upsert("acme", api.ApplicationIn(name="Put"))
        added = await upsert("beta", api.ApplicationIn(name="Beta"))
        listed = await svix.application.list(api.ApplicationListOptions(limit=1))
        rest = await svix.application.list(api.ApplicationListOptions(limit=1, iterator=listed.iterator))
        back = await svix.application.list(api.ApplicationListOptions(limit=1, iterator=rest.prev_iterator))
        falling = await svix.application.list(api.ApplicationListOptions(order=api.Ordering.DESCENDING))
        await svix.application.delete("acme")
        left = await svix.application.list()

    assert (made.id[:4], made.uid, made.name, made.throttle_rate, made.metadata) == (
        "app_",
        "acme",
        "Acme",
        9,
        {"plan": "gold"},
    )
    assert made.created_at.tzinfo is not None
    assert made.updated_at >= made.created_at
    assert same == read == made
    assert (patched.name, patched.throttle_rate, patched.uid, patched.metadata) == (
        "New",
        None,
        "acme",
        {"plan": "gold"},
    )
    assert (put.id, put.name, put.uid, put.metadata) == (made.id, "Put", "acme", {})
    assert (added.uid, added.id != made.id) == ("beta", True)
    assert [each.id for page in (listed, rest) for each in page.data] == [made.id, added.id]
    assert (listed.done, rest.done, listed.iterator, listed.prev_iterator) == (False, True, made.id, f"-{made.id}")
    assert back.data == listed.data
    assert [each.id for each in falling.data] == [added.id, made.id]
    assert [each.id for each in left.data] == [added.id]


@SDKS
async def test_event_types_live_as_the_sdk_expects(dsn: str, version: str) -> None:
    async with sdk_on(dsn, version) as (svix, api, _):
        upsert = getattr(api, "EventTypeUpsertIn", None) or api.EventTypeUpdate
        made = await svix.event_type.create(
            api.EventTypeIn(
                name="Invoice.paid", description="Paid", schemas=SCHEMA, group_name="billing", feature_flags=["beta"]
            )
        )
        read = await svix.event_type.get("Invoice.paid")
        patched = await svix.event_type.patch("Invoice.paid", api.EventTypePatch(deprecated=True, feature_flags=None))
        update = getattr(svix.event_type, "upsert", None) or svix.event_type.update
        put = await update("Invoice.paid", upsert(description="Put"))
        added = await update("Invoice.sent", upsert(description="Sent", schemas=SCHEMA))
        bare = await svix.event_type.list(api.EventTypeListOptions(limit=1))
        full = await svix.event_type.list(api.EventTypeListOptions(with_content=True, iterator=bare.iterator, limit=1))
        await svix.event_type.delete("Invoice.sent")
        visible = await svix.event_type.list()
        archived = await svix.event_type.list(api.EventTypeListOptions(include_archived=True))
        await svix.event_type.delete("Invoice.sent", api.EventTypeDeleteOptions(expunge=True))
        gone = await svix.event_type.list(api.EventTypeListOptions(include_archived=True))

    assert (made.name, made.description, made.schemas, made.archived, made.deprecated) == (
        "Invoice.paid", "Paid", SCHEMA, False, False,
    )  # fmt: skip
    assert (made.group_name, made.feature_flags, made.feature_flag) == ("billing", ["beta"], "beta")
    assert made.created_at.tzinfo is not None
    assert read == made
    assert (patched.deprecated, patched.feature_flags, patched.description) == (True, None, "Paid")
    assert (put.description, put.schemas, put.deprecated) == ("Put", None, False)
    assert ([each.schemas for each in bare.data], bare.done, bare.iterator) == ([None], False, "Invoice.paid")
    assert [(each.name, each.schemas) for each in full.data] == [("Invoice.sent", SCHEMA)]
    assert added.name == "Invoice.sent"
    assert _added(visible) == [("Invoice.paid", False)]
    assert _added(archived) == [("Invoice.paid", False), ("Invoice.sent", True)]
    assert _added(gone) == [("Invoice.paid", False)]


@SDKS
async def test_refusals_arrive_as_the_sdks_own_errors(dsn: str, version: str) -> None:
    async with sdk_on(dsn, version) as (svix, api, server):
        await svix.application.create(api.ApplicationIn(name="Acme", uid="acme"))
        async with svix_client(version, server.port, "rk_nobody") as nobody:
            unknown = await the_error(nobody.application.list())
        refused = {
            "nobody": unknown,
            "missing": await the_error(svix.application.get("nobody")),
            "taken": await the_error(svix.application.create(api.ApplicationIn(name="Acme", uid="acme"))),
            "wrong": await the_error(svix.application.create(api.ApplicationIn(name="Acme", uid="app_1"))),
            "hosted": await the_error(svix.streaming.stream.list()),
            "limit": await the_error(svix.application.list(api.ApplicationListOptions(limit=251))),
        }
        assert await svix.health.get() is None

    kinds = {name: (type(error).__name__, error.status_code) for name, error in refused.items()}
    assert kinds == {
        "missing": ("HttpError", 404), "taken": ("HttpError", 409), "wrong": ("HTTPValidationError", 422),
        "nobody": ("HttpError", 401), "hosted": ("HttpError", 501), "limit": ("HTTPValidationError", 422),
    }  # fmt: skip
    codes = {name: error.code for name, error in refused.items() if hasattr(error, "code")}
    assert codes == {
        "missing": "not_found", "taken": "conflict", "nobody": "authentication_failed", "hosted": "not_implemented",
    }  # fmt: skip
    assert refused["wrong"].detail[0].loc == ["body", "uid"]
    assert refused["limit"].detail[0].loc == ["query", "limit"]
    assert all(error.detail for error in refused.values())


@SDKS
async def test_a_link_opens_the_portal_once_and_its_key_can_be_ended(dsn: str, version: str) -> None:
    async with sdk_on(dsn, version) as (svix, api, server):
        made = await svix.application.create(api.ApplicationIn(name="Acme", uid="acme"))
        access = api.AppPortalAccessIn(expiry=3600, session_id="s1")
        links = [await svix.authentication.app_portal_access("acme", access) for _ in range(3)]
        keys = [
            (await server.client.post("/api/v1/auth/portal-key", json={"token": link.token})).json()["key"]
            for link in links[:2]
        ]
        again = await server.client.post("/api/v1/auth/portal-key", json={"token": links[0].token})
        async with svix_client(version, server.port, keys[0]) as first:
            seen = await first.application.list()
            refused = await the_error(first.application.create(api.ApplicationIn(name="Other")))
            await first.authentication.logout()
            ended = await the_error(first.application.list())
        async with svix_client(version, server.port, keys[1]) as second:
            assert [each.id for each in (await second.application.list()).data] == [made.id]
            await svix.authentication.expire_all("acme", api.ApplicationTokenExpireIn(session_ids=["s1"]))
            expired = await the_error(second.application.list())
        unused = await server.client.post("/api/v1/auth/portal-key", json={"token": links[2].token})

    assert links[0].url.endswith(f"#token={links[0].token}")
    assert [each.id for each in seen.data] == [made.id]
    assert (again.status_code, unused.status_code) == (401, 401)
    assert [error.status_code for error in (refused, ended, expired)] == [403, 401, 401]


def _added(page: Any) -> list[tuple[str, bool]]:
    """Give what this test added; capitals come first, before what the classes of other tests declare."""
    return [(each.name, each.archived) for each in page.data if each.name.startswith("Invoice")]
