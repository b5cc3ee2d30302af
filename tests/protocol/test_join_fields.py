"""Fields of a join that the stock clients of today do not send: a wait for changes, and no `config` at all."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from rowcast.realtime.limits import RealtimeLimits
from rowcast.store.pool import Database
from tests.integration.realtime.changing import publish, run
from tests.protocol.changes_server import serving_changes
from tests.protocol.raw_socket import RawSocket, frame, raw_socket
from tests.protocol.socket_server import serving, token

TABLE = "create table users (id bigint primary key, name text)"
WAIT = {"postgres_changes_options": {"wait": True, "timeout": 20_000}}


@asynccontextmanager
async def client_of(dsn: str, database: Database, *, vsn: str = "2.0.0") -> AsyncIterator[RawSocket]:
    publish(dsn, TABLE, tables="users")
    async with (
        serving_changes(dsn, database) as server,
        raw_socket(server.port, token(role="service_role"), vsn) as client,
    ):
        yield client


async def next_frame(client: RawSocket) -> Any:
    """Give the next frame as `topic`, `event` and `payload`, in either version."""
    async with asyncio.timeout(30):
        found = await client.hear()
    return found[2:] if isinstance(found, list) else [found["topic"], found["event"], found["payload"]]


def wanted(table: str) -> dict[str, Any]:
    return {"postgres_changes": [{"event": "*", "schema": "public", "table": table}], **WAIT}


async def test_a_join_that_waits_for_changes_is_answered_when_they_are_live(dsn: str, database: Database) -> None:
    async with client_of(dsn, database) as client:
        await client.say("1", "1", "realtime:r", "phx_join", {"config": wanted("users")})
        reply, live = await next_frame(client), await next_frame(client)
        run(dsn, "insert into users values (1, 'ann')")
        change = await next_frame(client)

    assert reply[2]["status"] == "ok"
    assert live[2]["message"] == "Subscribed to PostgreSQL"
    assert change[2]["data"]["record"] == {"id": 1, "name": "ann"}


async def test_a_join_that_waits_for_changes_that_cannot_be_is_refused(dsn: str, database: Database) -> None:
    async with client_of(dsn, database) as client:
        await client.say("1", "1", "realtime:r", "phx_join", {"config": wanted("nope")})
        _, event, payload = await next_frame(client)
        await client.heartbeat()

    assert (event, payload["status"]) == ("phx_reply", "error")
    assert payload["response"]["reason"].startswith(
        "RealtimeDisabledForConfiguration: Unable to subscribe to changes with given parameters. "
    )


async def test_a_join_that_waits_where_nobody_tells_of_changes_is_refused() -> None:
    async with serving() as server, raw_socket(server.port, token()) as client:
        reply = await client.join("r", **wanted("users"))

    assert reply["status"] == "error"
    assert reply["response"]["reason"].startswith("RealtimeDisabledForConfiguration: ")


@pytest.mark.parametrize("vsn", ["1.0.0", "2.0.0"])
async def test_a_join_without_a_config_hears_each_change_as_an_event_of_its_own(
    dsn: str, database: Database, vsn: str
) -> None:
    topic = "realtime:public:users:name=eq.ann"
    join = {"topic": topic, "event": "phx_join", "payload": {"user_token": token(role="service_role")}, "ref": "1"}
    async with client_of(dsn, database, vsn=vsn) as client:
        if vsn == "1.0.0":
            await client.write(frame(1, json.dumps(join).encode()))
        else:
            await client.say("1", "1", topic, "phx_join", join["payload"])
        reply, live = await next_frame(client), await next_frame(client)
        run(
            dsn,
            "insert into users values (1, 'ann'), (2, 'bob')",
            "update users set name = name",
            "alter table users replica identity full",
            "delete from users",
        )
        changes = [await next_frame(client) for _ in range(3)]

    asked = {"schema": "public", "table": "users", "filter": "name=eq.ann"}
    (binding,) = reply[2]["response"]["postgres_changes"]
    assert {name: binding[name] for name in asked} == asked
    assert live[1:] == ["system", live[2]]
    assert live[2]["message"] == "Subscribed to PostgreSQL"
    assert [(one[0], one[1], one[2]["type"]) for one in changes] == [
        (topic, kind, kind) for kind in ("INSERT", "UPDATE", "DELETE")
    ]
    assert changes[0][2]["record"] == {"id": 1, "name": "ann"}
    assert changes[2][2]["old_record"] == {"id": 1, "name": "ann"}


async def test_presences_may_be_shown_to_every_channel_of_a_server() -> None:
    async with (
        serving(tenant_limits=RealtimeLimits(is_presence_on=True)) as server,
        raw_socket(server.port, token()) as client,
    ):
        await client.join("r")

        assert await next_frame(client) == ["realtime:r", "presence_state", {}]
