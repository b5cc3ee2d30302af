"""The webhook API: polling, as whoever calls it over HTTP sees it."""

from rowcast.store.sql import parse_query
from tests.integration.server.running import Running
from tests.integration.server.webhook_calls import assert_refused, endpoint_path, places_in

SINCE = "2026-01-01T00:00:00Z"


async def test_messages_are_polled_by_their_own_tenant_only(api: Running) -> None:
    path = (await endpoint_path(api)).replace("endpoint", "poller")
    own, other = await api.key(tenant="acme"), await api.key(tenant="other")
    emit = parse_query("test", "select rowcast.emit('acme', 'orders.paid', '{\"n\":1}'::jsonb)")
    await api.app.database.fetch(emit)
    client = api.client

    page = (await client.get(path, headers=own)).json()
    assert page.keys() == {"data", "iterator", "done"}
    assert [each["payload"] for each in page["data"]] == [{"n": 1}]
    assert (await client.get(path, headers=own, params={"iterator": page["iterator"]})).json()["data"] == []
    for refused in (
        await client.get(path, headers=other),
        await client.get(f"{path}/consumer/me", headers=other),
        await client.post(f"{path}/consumer/me/seek", headers=other, json={"after": SINCE}),
        await client.get(path.replace("shop", "nobody"), headers=own),
    ):
        assert_refused(refused, 404)


async def test_what_cannot_be_polled_by_is_refused_at_its_place(api: Running) -> None:
    path, headers = (await endpoint_path(api)).replace("endpoint", "poller"), await api.key()
    for field, value in (
        ("iterator", "at_g"),
        ("after", "never"),
        ("after", "9999-12-31T23:59:59Z"),
        ("limit", "0"),
        ("event_type", "a\x00b"),
        ("channel", "a\x00b"),
    ):
        reply = await api.client.get(path, headers=headers, params={field: value})
        assert places_in(reply) == [["query", field]], (field, value)
    for name in ("a%00b", "x" * 257):
        reply = await api.client.get(f"{path}/consumer/{name}", headers=headers)
        assert places_in(reply) == [["path", "consumer_id"]]
    reply = await api.client.post(f"{path}/consumer/me/seek", headers=headers, json={"after": "9999-12-31T23:59:59Z"})
    assert places_in(reply) == [["body", "after"]]
