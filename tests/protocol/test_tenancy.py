"""Tenants named beside the token: by header, path or host, from stock clients and from whoever means harm."""

import json
from collections.abc import Sequence
from typing import Any

import pytest

from rowcast.core.delivery import Owed
from rowcast.core.envelope import Envelope
from rowcast.realtime.authorize import Authorizer
from rowcast.realtime.sink import RealtimeSink
from rowcast.realtime.tenancy import Source, Tenancy
from tests.protocol.events import order_confirmed
from tests.protocol.js_client import JS, js_client
from tests.protocol.raw_socket import KEY, RawSocket, raw_connection
from tests.protocol.socket_server import SECRET, serving, token

DOMAIN = "rt.localhost"
VERSIONS = pytest.mark.parametrize("vsn", ["2.0.0", "1.0.0"])
ANON = token(role="anon", tenant_id=None)
OTHER = "This token is for another tenant than the one that the connection names"


def by(*sources: Source) -> dict[str, Any]:
    """Give what makes a server ask these sources for the tenant."""
    return {"authorizer": Authorizer(secret=SECRET, tenancy=Tenancy(("claim", *sources), DOMAIN))}


def owed(event: Envelope) -> list[tuple[Envelope, Owed]]:
    return [(event, Owed("realtime", "*"))]


def address(port: int, tenant: str, way: str) -> str:
    """Give what an application configures as its server."""
    return f"ws://{tenant}.{DOMAIN}:{port}/socket" if way == "host" else f"ws://127.0.0.1:{port}/t/{tenant}/realtime/v1"


@pytest.fixture(autouse=True)
def names_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NODE_OPTIONS", f"--require {JS / 'names.cjs'} --dns-result-order=ipv4first")


@VERSIONS
@pytest.mark.parametrize("way", ["path", "host"])
async def test_stock_clients_of_two_tenants_meet_their_own_and_never_each_other(way: Source, vsn: str) -> None:
    async with (
        serving(**by(way)) as server,
        js_client(address(server.port, "acme", way), ANON, vsn) as one,
        js_client(address(server.port, "acme", way), ANON, vsn) as two,
        js_client(address(server.port, "globex", way), ANON, vsn) as stranger,
    ):
        joined = [await each.join("room", broadcast={"self": True, "ack": True}) for each in (one, two, stranger)]
        await stranger.say("send", name="room", event="theirs", payload={})
        await one.say("send", name="room", event="ours", payload={})

        assert [each["status"] for each in joined] == ["SUBSCRIBED"] * 3
        assert (await two.message("room"))["event"] == "ours"
        assert (await stranger.message("room"))["event"] == "theirs"


@pytest.mark.parametrize("way", ["path", "host"])
async def test_a_stock_client_without_a_tenants_token_gets_nothing_private_there_and_with_one_it_does(
    way: Source,
) -> None:
    async with serving(**by(way)) as server, js_client(address(server.port, "acme", way), ANON, "2.0.0") as client:
        refused = [await client.join(topic, private=True) for topic in ("tenant:acme", "room", "tenant:default")]
        others = await client.join("tenant:globex", token=token(tenant_id="globex"), private=True)
        own = await client.join("tenant:acme:orders", token=token(tenant_id="acme"), private=True)
        await RealtimeSink(bus=server.bus).tell(owed(order_confirmed("acme")))

        assert [each["status"] for each in (*refused, others)] == ["CHANNEL_ERROR"] * 4
        assert all("You do not have permissions to read" in each["error"] for each in refused)
        assert others["error"] == f"Unauthorized: {OTHER}"
        assert own["status"] == "SUBSCRIBED"
        assert (await client.message("tenant:acme:orders"))["event"] == "orders.confirmed"


def head(target: str, *lines: str) -> bytes:
    """Give an upgrade with exactly these further header lines, none of them checked."""
    fixed = ("Upgrade: websocket", "Connection: Upgrade", f"Sec-WebSocket-Key: {KEY}", "Sec-WebSocket-Version: 13")
    return "\r\n".join([f"GET {target} HTTP/1.1", *fixed, *lines, "", ""]).encode("latin-1")


async def answer(port: int, request: bytes) -> tuple[int, dict[str, Any]]:
    """Give status and body of the answer to one upgrade."""
    async with raw_connection(port) as connection:
        return await answered(connection, request)


async def answered(connection: RawSocket, request: bytes) -> tuple[int, dict[str, Any]]:
    await connection.write(request)
    start = await connection.reader.readuntil(b"\r\n\r\n")
    status = int(start.split(b" ")[1])
    return status, {} if status == 101 else json.loads(await connection.rest())


PATH = "/socket/websocket?vsn=2.0.0&apikey="
HOST = "Host: 127.0.0.1"


@pytest.mark.parametrize(
    ("lines", "status", "code"),
    [
        ([HOST, "X-Tenant: acme"], 101, None),
        ([HOST, "x-tenant:acme"], 101, None),
        ([HOST], 101, None),
        ([HOST, "X-Tenant: globex"], 403, "auth.denied"),
        ([HOST, "X-Tenant: ACME"], 403, "auth.denied"),
        ([HOST, "X-Tenant: default"], 403, "auth.denied"),
        ([HOST, "X-Tenant: acme", "X-Tenant: globex"], 400, "input.tenant"),
        ([HOST, "X-Tenant: acme", "X-Tenant: acme"], 400, "input.tenant"),
        ([HOST, "X-Tenant: acme,globex"], 400, "input.tenant"),
        ([HOST, "X-Tenant:"], 400, "input.tenant"),
        ([HOST, "X-Tenant: acme\x00"], 400, "input.tenant"),
        ([HOST, "X-Tenant: acme\nX-Tenant: globex"], 400, "input.tenant"),
        ([HOST, "X-Tenant: \xe4cme"], 400, "input.tenant"),
        ([HOST, "X-Tenant: " + "a" * 20_000], 400, "input.tenant"),
        # None of these is the header: the token's own tenant stays.
        ([HOST, "X-Tenant : globex"], 101, None),
        ([HOST, " X-Tenant: globex"], 101, None),
        ([HOST, "X_Tenant: globex"], 101, None),
        ([HOST, "X-Forwarded-Host: globex.rt.localhost"], 101, None),
    ],
)
async def test_no_header_moves_a_token_to_another_tenant(lines: Sequence[str], status: int, code: str | None) -> None:
    async with serving(**by("header")) as server:
        found, body = await answer(server.port, head(PATH + token(), *lines))

    assert (found, body.get("code")) == (status, code), body


@pytest.mark.parametrize(
    ("host", "status", "code"),
    [
        ("Host: acme.rt.localhost", 101, None),
        ("Host: Acme.RT.localhost.:7400", 101, None),
        ("Host: rt.localhost", 101, None),
        ("Host: 127.0.0.1:7400", 101, None),
        ("Host: [::1]:7400", 101, None),
        ("X-Nothing: here", 101, None),
        ("Host: globex.rt.localhost", 403, "auth.denied"),
        ("Host: acme.rt.localhost\r\nHost: globex.rt.localhost", 400, "input.tenant"),
        ("Host: globex.rt.localhost\r\nHost: 127.0.0.1", 400, "input.tenant"),
        ("Host: a.acme.rt.localhost", 400, "input.tenant"),
        ("Host: .rt.localhost", 400, "input.tenant"),
        ("Host: \xe4cme.rt.localhost", 400, "input.tenant"),
        ("Host: " + "a" * 64 + ".rt.localhost", 400, "input.tenant"),
        ("Host: acme.rt.localhost:7400:7400", 400, "input.tenant"),
    ],
)
async def test_no_host_moves_a_token_to_another_tenant(host: str, status: int, code: str | None) -> None:
    async with serving(**by("host")) as server:
        found, body = await answer(server.port, head(PATH + token(), host))

    assert (found, body.get("code")) == (status, code), body


@pytest.mark.parametrize(
    ("prefix", "status", "code"),
    [
        ("/t/acme", 101, None),
        ("", 101, None),
        ("/t/globex", 403, "auth.denied"),
        ("/t/%61cme", 400, "input.tenant"),
        ("/t/", 400, "input.tenant"),
        ("/t/" + "a" * 129, 400, "input.tenant"),
        ("/t/a:b", 400, "input.tenant"),
    ],
)
async def test_no_path_moves_a_token_to_another_tenant(prefix: str, status: int, code: str | None) -> None:
    async with serving(**by("path")) as server:
        found, body = await answer(server.port, head(prefix + PATH + token(), HOST))

    assert (found, body.get("code")) == (status, code), body


async def test_without_the_setting_nothing_beside_the_token_is_heard() -> None:
    lines = ("Host: globex.rt.localhost", "X-Tenant: globex")
    async with serving() as server:
        by_token = await answer(server.port, head(PATH + token(), *lines))
        async with raw_connection(server.port) as connection:
            await connection.write(head(f"/t/acme{PATH}{token()}", *lines))
            other_path = await connection.rest()

    assert by_token[0] == 101
    assert other_path.startswith(b"HTTP/1.1 404 ")


async def test_a_path_in_many_pieces_is_the_same_path() -> None:
    async with serving(**by("path")) as server, raw_connection(server.port) as connection:
        for byte in (request := head(f"/t/acme{PATH}{token()}", HOST))[:-1]:
            await connection.write(bytes([byte]))
        status, _ = await answered(connection, request[-1:])

    assert status == 101
