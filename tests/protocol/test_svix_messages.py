"""Unmodified `svix` SDKs against a server: messages, and what became of them."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.integration.webhooks.engine import WITHIN_S
from tests.protocol.svix_client import SDKS, sdk_on, the_error

SCHEMA = {"1": {"type": "object", "properties": {"total": {"type": "number"}}, "required": ["total"]}}


@SDKS
async def test_messages_live_as_the_sdk_expects(dsn: str, version: str) -> None:
    later = datetime.now(UTC) + timedelta(hours=1)
    async with sdk_on(dsn, version) as (svix, api, _):
        await svix.event_type.create(api.EventTypeIn(name="Invoice.paid", description="", schemas=SCHEMA))
        full = api.MessageCreateOptions(with_content=True, idempotency_key="k1")
        body = api.MessageIn(
            application=api.ApplicationIn(name="Acme", uid="acme"),
            event_type="Invoice.paid",
            payload={"total": 1.5},
            event_id="invoice-1",
            channels=["eu"],
            tags=["vip"],
            payload_retention_period=30,
            deliver_at=later,
        )
        made, again = [await svix.message.create("acme", body, full) for _ in range(2)]
        bare = await svix.message.create("acme", api.MessageIn(event_type="user.signup", payload={"name": "Ann"}))
        raw = await svix.message.create("acme", api.message.message_in_raw("user.raw", "<a/>", "application/xml"))
        reads = [
            await svix.message.get("acme", name, api.MessageGetOptions(with_content=True))
            for name in (made.id, "invoice-1")
        ]
        hidden = await svix.message.get("acme", made.id, api.MessageGetOptions(with_content=False))
        refused = {
            "taken": await the_error(svix.message.create("acme", body)),
            "misfit": await the_error(svix.message.create("acme", _message(api, "Invoice.paid", total="x"))),
            "large": await the_error(svix.message.create("acme", _message(api, "a", text="x" * 70_000))),
            "nobody": await the_error(svix.message.get("acme", "nobody")),
        }

    assert (made.id[:4], made.event_id, made.event_type, made.payload) == (
        "msg_", "invoice-1", "Invoice.paid", {"total": 1.5},
    )  # fmt: skip
    assert (made.channels, made.tags, made.deliver_at) == (["eu"], ["vip"], later)
    assert abs(made.timestamp - datetime.now(UTC)) < timedelta(minutes=5)
    assert again == made
    assert (bare.event_id, bare.channels, bare.tags, bare.deliver_at) == (None, None, None, None)
    # Version 1 puts the payload back in by itself.
    assert bare.payload == ({"name": "Ann"} if version.startswith("1.") else {})
    assert (raw.event_type, raw.payload) == ("user.raw", {})
    assert reads == [made, made]
    assert (hidden.payload, hidden.id) == ({}, made.id)
    assert {name: (type(error).__name__, error.status_code) for name, error in refused.items()} == {
        "taken": ("HttpError", 409), "misfit": ("HTTPValidationError", 422), "nobody": ("HttpError", 404),
        "large": ("HttpError", 413),
    }  # fmt: skip
    assert refused["misfit"].detail[0].loc == ["body", "payload"]


@SDKS
async def test_messages_are_listed_as_the_sdk_asks(dsn: str, version: str) -> None:
    async with sdk_on(dsn, version) as (svix, api, _):
        await svix.application.create(api.ApplicationIn(name="Acme", uid="acme"))
        sent = [
            await svix.message.create("acme", _message(api, event_type, channels=channels, tags=tags))
            for event_type, channels, tags in (
                ("Invoice.paid", ["eu"], ["vip"]), ("user.a", None, None), ("user.b", None, None), ("user.c", ["us"], None),
            )
        ]  # fmt: skip

        async def listed(**asked: Any) -> Any:
            return await svix.message.list("acme", api.MessageListOptions(**asked))

        first = await listed(limit=3)
        rest = await listed(limit=3, iterator=first.iterator)
        back = await listed(limit=3, iterator=rest.prev_iterator)
        narrowed = [
            await listed(**asked)
            for asked in (
                {"event_types": ["Invoice.paid", "none"]}, {"channel": "eu"}, {"tag": "vip"},
                {"before": sent[1].timestamp}, {"after": sent[2].timestamp},
            )
        ]  # fmt: skip
        contents = [await listed(with_content=True, limit=1), await listed(with_content=False, limit=1)]

    ids = [each.id for each in sent]
    assert _ids(first, rest) == ids[::-1]
    assert (first.done, rest.done, first.iterator, rest.prev_iterator) == (False, True, ids[1], f"-{ids[0]}")
    assert _ids(back) == _ids(first)
    assert [_ids(page) for page in narrowed] == [[ids[0]]] * 4 + [[ids[3]]]
    assert [page.data[0].payload for page in contents] == [{"n": 1}, {}]
    assert (rest.data[0].channels, rest.data[0].tags, rest.data[0].event_type) == (["eu"], ["vip"], "Invoice.paid")


@SDKS
async def test_what_messages_held_is_removed_as_the_sdk_asks(dsn: str, version: str) -> None:
    async with sdk_on(dsn, version, roles=("gateway", "delivery")) as (svix, api, _):
        await svix.application.create(api.ApplicationIn(name="Acme", uid="acme"))
        channels = {"channels": ["eu"]}
        await svix.endpoint.create("acme", api.EndpointIn(url="https://hooks.example.com/in", **channels))
        first, second, third = [await svix.message.create("acme", _message(api, f"user.n{n}")) for n in (1, 2, 3)]
        await svix.message.expunge_content("acme", first.id)
        if version == "2.9.1":
            many = await svix.message.bulk_expunge_content("acme", api.BulkExpungeContentsIn(ids=[second.id, "nobody"]))
            assert {name: str(said) for name, said in many.results.items()} == {
                second.id: "expunged", "nobody": "not-found",
            }  # fmt: skip
        else:
            await svix.message.expunge_content("acme", second.id)
        left = await _payloads(svix, api)
        task = await svix.message.expunge_all_contents("acme")
        async with asyncio.timeout(WITHIN_S):
            while (done := await svix.background_task.get(task.id)).status.value == "running":
                await asyncio.sleep(0.05)
        none = await _payloads(svix, api)
        active = [
            (await svix.message.precheck("acme", api.MessagePrecheckIn(event_type="user.a", **asked))).active
            for asked in ({}, channels, {"channels": ["us"]})
        ]

    assert left == {first.id: {"expired": True}, second.id: {"expired": True}, third.id: {"n": 1}}
    assert (task.id[:6], task.task.value, task.updated_at.tzinfo is not None) == (
        "qtask_",
        "application.purge_content",
        True,
    )
    assert (done.status.value, done.data) == ("finished", {"messagesPurged": 1})
    assert set(map(str, none.values())) == {"{'expired': True}"}
    assert active == [False, True, False]


async def _payloads(svix: Any, api: Any) -> dict[str, Any]:
    page = await svix.message.list("acme", api.MessageListOptions(with_content=True))
    return {each.id: each.payload for each in page.data}


def _message(api: Any, event_type: str, **more: Any) -> Any:
    said = {name: more.pop(name) for name in ("channels", "tags") if more.get(name)}
    return api.MessageIn(
        event_type=event_type, payload={name: value for name, value in more.items() if value} or {"n": 1}, **said
    )


def _ids(*pages: Any) -> list[str]:
    return [each.id for page in pages for each in page.data]
