"""Recovery and replay as stock clients see them: what the bus has lost, what lies in the table, and honest answers."""

import time
import uuid
from typing import Any

from rowcast.realtime.authorize import sign_token
from rowcast.store.sql import parse_query
from tests.integration.server.running import JWT_SECRET, Running, running
from tests.protocol.js_client import VERSIONS, js_client

EMIT = parse_query("emit", "select rowcast.emit('acme', 'orders.made', '{}') as id")
SETTLE = parse_query(
    "settle", "insert into rowcast.event_state (event_id, status) select id, 'published' from rowcast.event"
)
RAISE = parse_query("raise", "update rowcast.feed_cursor set low_seq = (select max(seq) + 1 from rowcast.event)")
SAY = parse_query(
    "say",
    "insert into realtime.messages (topic, extension, event, payload, private, tenant_id) "
    "select 'room', 'broadcast', 'said', jsonb_build_object('n', n), true, 'acme' from generate_series(1, 5) n",
)
OLD = parse_query("old", "update rowcast.realtime_session set changed_at = changed_at - interval '2 days'")


def url(server: Running) -> str:
    return f"ws://127.0.0.1:{server.port}/realtime/v1"


def token() -> str:
    return sign_token({"role": "authenticated", "tenant_id": "acme", "exp": int(time.time()) + 86_400}, JWT_SECRET)


def recovering(session: str) -> dict[str, Any]:
    return {"private": True, "broadcast": {"recover": {"session": session}}}


@VERSIONS
async def test_what_a_node_never_got_from_the_bus_comes_all_the_same(dsn: str, vsn: str) -> None:
    """Nobody relays here: the event is settled as if another node had told it while the bus was away."""
    async with running(dsn) as server, js_client(url(server), token(), vsn) as client:
        await client.join("tenant:acme", **recovering(str(uuid.uuid4())))
        made = await server.app.database.fetch_one(EMIT)
        await server.app.database.execute(SETTLE)
        await server.app.database.execute(RAISE)
        message = await client.message("tenant:acme")

    assert made is not None
    assert message["meta"] == {"id": str(made["id"]), "replayed": True}


@VERSIONS
async def test_messages_of_the_database_are_replayed_in_order(dsn: str, vsn: str) -> None:
    since = int(time.time() * 1000) - 60_000
    async with running(dsn) as server, js_client(url(server), token(), vsn) as client:
        await server.app.database.execute(SAY)
        await client.join("room", private=True, broadcast={"replay": {"since": since, "limit": 3}})
        heard = [await client.message("room") for _ in range(3)]

    assert [message["payload"]["n"] for message in heard] == [3, 4, 5]
    assert all(message["meta"]["replayed"] for message in heard)


async def test_a_client_that_was_away_too_long_is_told_so(dsn: str) -> None:
    session = str(uuid.uuid4())
    async with running(dsn) as server:
        async with js_client(url(server), token(), "2.0.0") as client:
            await client.join("tenant:acme", **recovering(session))
            first = await client.fact(lambda fact: "system" in fact)
        await server.app.database.execute(OLD)
        async with js_client(url(server), token(), "2.0.0") as client:
            await client.join("tenant:acme", **recovering(session))
            second = await client.fact(lambda fact: "system" in fact)

    assert first["system"]["extension"] == second["system"]["extension"] == "recovery"
    assert first["system"]["message"] != second["system"]["message"]
    assert second["system"]["message"] == "Not everything could be recovered: fetch the present state"
