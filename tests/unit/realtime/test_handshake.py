"""Request heads: whose they are, and what is asked for."""

import json

import pytest

from rowcast.realtime.handshake import Refused, Upgrade, accepted, is_socket_path, is_upgrade, read_upgrade, refused
from rowcast.realtime.tenancy import Visit
from tests.protocol.raw_socket import request

PATH = "/socket/websocket"


def read(target: str, **options: str) -> Upgrade | Refused:
    return read_upgrade(request(target, **options))


@pytest.mark.parametrize(
    ("start", "is_ours"),
    [
        (b"", None),
        (b"G", None),
        (b"GET /socket/websocket", None),
        (b"GET /realtime/v1/webs", None),
        (b"GET /socket/websocket?", True),
        (b"GET /socket/websocket HTTP/1.1", True),
        (b"GET /realtime/v1/websocket?a=b", True),
        (b"GET /socket/websocket/", False),
        (b"GET /socket/websockets", False),
        (b"POST /socket/websocket ", False),
        (b"get /socket/websocket ", False),
        (b"GET //socket/websocket ", False),
        (b"\x16\x03\x01", False),
    ],
)
def test_the_first_bytes_tell_whose_a_request_is(start: bytes, is_ours: bool | None) -> None:
    assert is_socket_path(start) is is_ours


@pytest.mark.parametrize(
    ("start", "is_ours"),
    [
        (b"GET /", None),
        (b"GET /t/acm", None),
        (b"GET /t/acme/socket/webs", None),
        (b"GET /t/acme/socket/websocket?x", True),
        (b"GET /t/acme/realtime/v1/websocket HTTP/1.1", True),
        (b"GET /t//socket/websocket?x", True),
        (b"GET /socket/websocket?x", True),
        (b"GET /t/acme/api/broadcast", False),
        (b"GET /t/acme HTTP/1.1", False),
        (b"GET /t/a/t/b/socket/websocket?", False),
        (b"GET /tt", False),
        (b"POST /t/acme/socket/websocket?", False),
    ],
)
def test_tenants_have_paths_of_their_own_where_that_is_asked_for(start: bytes, is_ours: bool | None) -> None:
    assert is_socket_path(start, has_tenants=True) is is_ours
    assert b"/t/" not in start or is_socket_path(start) is False


def test_all_that_may_name_a_tenant_is_kept_as_it_came() -> None:
    found = read(f"/t/acme{PATH}?apikey=t&tenant_id=p", extra="X-Tenant: one\r\nx-tenant:two\r\n")

    assert isinstance(found, Upgrade)
    assert found.visit == Visit(host="localhost", header="one, two", path="acme", parameter="p")


def test_a_code_of_ours_goes_beside_the_text() -> None:
    assert refused(Refused(400, "no", "input.tenant")).endswith(b'{"error":"no","code":"input.tenant"}')


@pytest.mark.parametrize(
    ("headers", "is_one"),
    [
        ("Connection: Upgrade\r\nUpgrade: websocket", True),
        ("connection: keep-alive, UPGRADE\r\nupgrade: WebSocket", True),
        ("Connection: keep-alive\r\nConnection: Upgrade\r\nUpgrade: websocket", True),
        ("Connection: keep-alive\r\nUpgrade: websocket", False),
        ("Connection: Upgrade\r\nUpgrade: h2c", False),
        ("Connection: Upgrade", False),
    ],
)
def test_an_upgrade_is_asked_for_by_two_headers(headers: str, is_one: bool) -> None:
    assert is_upgrade(f"GET {PATH} HTTP/1.1\r\n{headers}".encode()) is is_one


def test_the_answer_to_the_key_is_the_one_of_the_rfc() -> None:
    head = f"GET {PATH}?apikey=t HTTP/1.1\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    upgrade = read_upgrade(head.encode())

    assert isinstance(upgrade, Upgrade)
    assert upgrade.accept == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
    assert b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n" in accepted(upgrade)


def test_parameters_are_decoded_and_the_token_is_stripped() -> None:
    upgrade = read(f"{PATH}?apikey=%20to%2Dken+&vsn=2.0.0&tenant_id=acme")

    assert isinstance(upgrade, Upgrade)
    assert upgrade.token == "to-ken"
    assert upgrade.parameters["tenant_id"] == "acme"


def test_the_header_goes_before_the_parameter() -> None:
    upgrade = read(f"{PATH}?apikey=parameter", extra="X-API-Key: header%2D\r\n")

    assert isinstance(upgrade, Upgrade)
    assert upgrade.token == "header-"


@pytest.mark.parametrize("target", [PATH, f"{PATH}?", f"{PATH}?apikey=", f"{PATH}?apikey=%20"])
def test_without_a_token_the_stock_text_says_so(target: str) -> None:
    assert read(target) == Refused(401, "API key is missing")


@pytest.mark.parametrize("vsn", ["9", "2", "", "2.0.1", "1.0"])
def test_an_unknown_version_is_refused(vsn: str) -> None:
    refusal = read(f"{PATH}?apikey=t&vsn={vsn}")

    assert isinstance(refusal, Refused)
    assert refusal.status == 400


def test_a_refusal_is_json_and_ends_the_connection() -> None:
    head, _, body = refused(Refused(401, "API key is missing")).partition(b"\r\n\r\n")

    assert head.startswith(b"HTTP/1.1 401 Unauthorized\r\n")
    assert b"Connection: close" in head
    assert f"Content-Length: {len(body)}".encode() in head
    assert json.loads(body) == {"error": "API key is missing"}


def test_headers_of_the_applications_own_are_kept_for_policies_without_the_token() -> None:
    found = read(PATH, extra="X-Shop: s1\r\nX-Shop: s2\r\nX-Api-Key: secret\r\nAccept: a\r\n")

    assert isinstance(found, Upgrade)
    assert json.loads(found.own_headers) == {"x-shop": "s1, s2"}
