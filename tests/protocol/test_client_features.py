"""What stock clients of all versions do together: every one hears every other, tokens are renewed, changes are chosen."""

import time
import uuid
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest

from rowcast.core.clock import SystemClock
from rowcast.realtime.limits import RealtimeLimits
from rowcast.store.pool import Database
from rowcast.testing.fake_clock import FakeClock
from tests.integration.realtime.changing import publish, run
from tests.integration.server.running import running
from tests.protocol.changes_server import serving_changes
from tests.protocol.js_client import OLDER, VERSIONS, JsClient, js_client
from tests.protocol.python_client import NEWEST, PYTHONS, Room, connected, room
from tests.protocol.socket_server import serving, token
from tests.protocol.test_postgres_changes_js_client import listening
from tests.protocol.test_recovery import SAY
from tests.protocol.test_recovery import token as user_token
from tests.protocol.test_recovery import url as url_of

ORDERS = "create table orders (id bigint primary key, status text, total numeric, note text)"
KINDS = ("2.0.0", "1.0.0", OLDER)


@asynccontextmanager
async def everybody(url: str) -> AsyncIterator[dict[str, JsClient | Room]]:
    """Run one client of each kind, joined to one room."""
    async with AsyncExitStack() as stack:
        clients: dict[str, JsClient | Room] = {}
        for vsn in KINDS:
            client = await stack.enter_async_context(js_client(url, token(), vsn))
            await client.join("room", broadcast={"self": True, "ack": True})
            clients[f"js {vsn}"] = client
        for python in (NEWEST, "older"):
            made = room(await stack.enter_async_context(connected(url, token(), python)), "room", "said")
            await made.join()
            clients[f"python {python}"] = made
        yield clients


async def next_message(client: JsClient | Room) -> dict[str, Any]:
    return await (client.message() if isinstance(client, Room) else client.message("room"))


async def test_clients_of_every_kind_hear_each_other() -> None:
    async with serving() as server, everybody(server.url()) as clients:
        for name, client in clients.items():
            if isinstance(client, Room):
                await client.channel.send_broadcast("said", {"text": name})
            else:
                await client.say("send", name="room", event="said", payload={"text": name})
        heard = {}
        for name, client in clients.items():
            messages = [await next_message(client) for _ in clients]
            heard[name] = {message["payload"]["text"] for message in messages}

    assert heard == {name: set(clients) for name in clients}


async def test_bytes_reach_those_whose_version_can_show_them_and_disturb_no_other() -> None:
    async with serving() as server, everybody(server.url()) as clients:
        speaker = clients["js 2.0.0"]
        assert isinstance(speaker, JsClient)
        await speaker.say("send", name="room", event="said", bytes=[0, 125, 255])
        await speaker.say("send", name="room", event="said", payload={"text": "after"})
        first = {name: (await next_message(client))["payload"] for name, client in clients.items()}

    assert first.pop("js 2.0.0") == {"bytes": [0, 125, 255]}
    assert list(first.values()) == [{"text": "after"}] * 4


@VERSIONS
@pytest.mark.parametrize("payload", [[1, None], "text", 7, {"deep": {"er": ["é", "\U0001f389"]}}, {}])
async def test_payloads_of_all_kinds_arrive_as_they_were(vsn: str, payload: object) -> None:
    async with serving() as server, js_client(server.url(), token(), vsn) as client:
        await client.join("room", broadcast={"self": True})
        await client.say("send", name="room", event="said", payload=payload)

        assert (await client.message("room"))["payload"] == payload


@VERSIONS
async def test_a_token_that_is_renewed_in_time_keeps_the_channel(vsn: str) -> None:
    clock = FakeClock(SystemClock().now())
    async with (
        serving(clock=clock) as server,
        js_client(server.url(), token(expires_in_s=40), vsn) as renewing,
        js_client(server.url(), token(expires_in_s=40), vsn) as careless,
    ):
        for client in (renewing, careless):
            await client.join("room", broadcast={"self": True})
        await renewing.say("authorize", token=token(expires_in_s=900))
        await renewing.fact(lambda fact: "authorized" in fact)
        await renewing.say("send", name="room", event="first", payload={})
        await renewing.message("room")
        clock.tick(45)
        await careless.fact(lambda fact: fact.get("status") == "CLOSED", seconds=30)
        await renewing.say("send", name="room", event="still", payload={})

        assert (await renewing.message("room"))["event"] == "still"


@PYTHONS
async def test_a_token_that_the_python_client_renews_in_time_keeps_the_channel(python: str) -> None:
    clock = FakeClock(SystemClock().now())
    async with serving(clock=clock) as server, connected(server.url(), token(expires_in_s=40), python) as client:
        joined = room(client, "room", "said")
        await joined.join()
        await client.set_auth(token(expires_in_s=900))
        await joined.channel.send_broadcast("said", {"n": 1})
        await joined.message()
        clock.tick(45)
        async with js_client(server.url(), token(expires_in_s=44), "2.0.0") as late:
            # Who comes with the old kind of token now is refused: that time has passed here.
            refused = await late.join("room")
        await joined.channel.send_broadcast("said", {"n": 2})

        assert refused["status"] == "CHANNEL_ERROR"
        assert (await joined.message())["payload"] == {"n": 2}


@VERSIONS
async def test_changes_are_chosen_by_filter_column_and_table(dsn: str, database: Database, vsn: str) -> None:
    publish(dsn, ORDERS, "create table notes (id bigint primary key, body text)", tables="orders, notes")
    orders = {"schema": "public", "table": "orders"}
    bindings = [
        {**orders, "event": "INSERT", "filter": "total=gt.100,status=in.(open,late)"},
        {**orders, "event": "*", "select": ["status"]},
        {**orders, "event": "UPDATE", "filter": "note=not.is.null"},
        {"event": "*", "schema": "*"},
        {"event": "DELETE", "schema": "public", "table": "notes"},
    ]
    async with serving_changes(dsn, database) as server, listening(server, vsn, *bindings) as client:
        subscribed = await client.fact(lambda fact: "status" in fact)
        run(
            dsn,
            "insert into orders values (1, 'open', 150, null), (2, 'open', 50, null), (3, 'paid', 150, null)",
            "update orders set note = 'x' where id = 2",
            "insert into notes values (1, 'n')",
            "delete from notes",
        )
        await client.fact(lambda fact: fact.get("place") == 4)
        heard: dict[int, list[Any]] = {place: [] for place in range(4)}
        for fact in client.facts:
            if "change" in fact:
                heard[fact["place"]].append(fact["change"])

    assert subscribed["status"] == "SUBSCRIBED"
    assert [change["new"]["id"] for change in heard[0]] == [1]
    assert [change["new"] for change in heard[1]] == [
        {"id": 1, "status": "open"}, {"id": 2, "status": "open"}, {"id": 3, "status": "paid"}, {"id": 2, "status": "open"},
    ]  # fmt: skip
    assert [change["new"]["id"] for change in heard[2]] == [2]
    assert [(change["table"], change["eventType"]) for change in heard[3]][3:] == [
        ("orders", "UPDATE"),
        ("notes", "INSERT"),
        ("notes", "DELETE"),
    ]


@VERSIONS
async def test_changes_that_cannot_be_told_are_explained_and_the_rest_of_the_channel_works(
    dsn: str, database: Database, vsn: str
) -> None:
    publish(dsn, ORDERS, tables="orders")
    asked = {"event": "*", "schema": "public", "table": "orders", "filter": "nope=eq.1"}
    async with serving_changes(dsn, database) as server, listening(server, vsn, asked) as client:
        subscribed = await client.fact(lambda fact: "status" in fact)
        system = await client.fact(lambda fact: "system" in fact)

    assert subscribed["status"] == "SUBSCRIBED"
    assert "invalid column for filter nope" in system["system"]["message"]


@PYTHONS
async def test_the_python_client_is_told_again_what_the_database_said(dsn: str, python: str) -> None:
    since = int(time.time() * 1000) - 60_000
    asked = {"replay": {"since": since, "limit": 3}}
    async with running(dsn) as server, connected(url_of(server), user_token(), python) as client:
        await server.app.database.execute(SAY)
        joined = room(client, "room", "said", private=True, broadcast=asked)
        state, _ = await joined.join()
        heard = [await joined.message() for _ in range(3)]

    assert state == "SUBSCRIBED"
    assert [(message["payload"]["n"], message["meta"]["replayed"]) for message in heard] == [
        (3, True),
        (4, True),
        (5, True),
    ]


@PYTHONS
async def test_the_python_client_is_refused_a_replay_of_a_public_channel(python: str) -> None:
    """The JavaScript clients refuse it by themselves."""
    asked = {"replay": {"since": 0, "limit": 3}}
    async with serving() as server, connected(server.url(), token(), python) as client:
        refused, error = await room(client, "room", broadcast=asked).join()

    assert refused == "CHANNEL_ERROR"
    assert "UnableToReplayMessages: Replay is not allowed for public channels" in str(error)


@PYTHONS
async def test_the_python_client_recovers_what_came_while_it_was_away(dsn: str, python: str) -> None:
    asked = {"recover": {"session": str(uuid.uuid4())}}
    async with running(dsn) as server:
        async with connected(url_of(server), user_token(), python) as client:
            state, _ = await room(client, "room", "said", private=True, broadcast=asked).join()
        await server.app.database.execute(SAY)
        async with connected(url_of(server), user_token(), python) as client:
            joined = room(client, "room", "said", private=True, broadcast=asked)
            await joined.join()
            heard = [(await joined.message())["payload"]["n"] for _ in range(5)]

    assert state == "SUBSCRIBED"
    assert heard == [1, 2, 3, 4, 5]


@VERSIONS
async def test_a_server_of_private_channels_only_says_so(vsn: str) -> None:
    limits = RealtimeLimits(is_private_only=True, channels_per_socket=1)
    async with serving(tenant_limits=limits) as server, js_client(server.url(), token(), vsn) as client:
        public = await client.join("room")
        private = await client.join("own", private=True)
        second = await client.join("other", private=True)

    assert public["error"] == "PrivateOnly: This project only allows private channels"
    assert private["status"] == "SUBSCRIBED"
    assert second["error"] == "ChannelRateLimitReached: Too many channels"
