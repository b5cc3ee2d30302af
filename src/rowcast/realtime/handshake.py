"""The opening of a WebSocket (RFC 6455, section 4): request heads read, answers written. Pure."""

import base64
import binascii
import hashlib
from http import HTTPStatus
from urllib.parse import parse_qsl, unquote

import msgspec

from rowcast.core.codec import encode_json
from rowcast.realtime.protocol import VERSIONS
from rowcast.realtime.tenancy import TENANT_HEADER, Visit, may_become_split, split_path

SOCKET_PATHS = ("/socket/websocket", "/realtime/v1/websocket")
TENANT_PARAMETER = "tenant_id"
"""The connect parameter with which a `service_role` token names a tenant."""
HEAD_LIMIT_BYTES = 32 * 1024
_GET = b"GET "
_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_KEY_BYTES = 16
_QUERY_FIELDS_LIMIT = 64


class Upgrade(msgspec.Struct, frozen=True):
    """A request for a socket: the answer to its key, the parameters of its address, its token, and whose it may be.

    `own_headers` are those whose names begin with `x-`, as JSON, without the token.
    """

    accept: str
    parameters: dict[str, str]
    token: str
    visit: Visit = Visit()
    origin: str = ""
    own_headers: bytes = b"{}"


class Refused(msgspec.Struct, frozen=True):
    """No socket: HTTP status and text, as stock clients know them, and where they do not know it a code of ours."""

    status: int
    text: str
    code: str = ""


def is_socket_path(start: bytes, *, has_tenants: bool = False) -> bool | None:
    """Tell from its first bytes whether a request asks for one of our paths; None while it may still do so.

    With `has_tenants` each tenant has such paths of its own.
    """
    if has_tenants and start.startswith(_GET):
        found = split_path(start[len(_GET) :])
        if found is None and may_become_split(start[len(_GET) :]):
            return None
        start = start if found is None else _GET + found[1]
    for path in SOCKET_PATHS:
        wanted = _GET + path.encode()
        if start.startswith(wanted) and len(start) > len(wanted):
            return start[len(wanted) : len(wanted) + 1] in b"? "
        if len(start) <= len(wanted) and wanted.startswith(start):
            return None
    return False


def is_upgrade(head: bytes) -> bool:
    """Tell whether a whole head asks to become a WebSocket."""
    headers = _headers(head)
    return "upgrade" in _words(headers.get("connection", "")) and "websocket" in _words(headers.get("upgrade", ""))


def read_upgrade(head: bytes) -> Upgrade | Refused:
    """Give the request for a socket in a whole head, up to and with its empty line."""
    headers = _headers(head)
    key = headers.get("sec-websocket-key", "")
    if headers.get("sec-websocket-version") != "13":
        return Refused(HTTPStatus.UPGRADE_REQUIRED, "WebSocket version 13 is needed")
    if not _is_key(key):
        return Refused(HTTPStatus.BAD_REQUEST, "Sec-WebSocket-Key is missing or wrong")
    parameters = _parameters(head)
    if parameters is None or parameters.get("vsn", "1.0.0") not in VERSIONS:
        return Refused(HTTPStatus.BAD_REQUEST, "The parameters cannot be read; vsn must be 1.0.0 or 2.0.0")
    # A token in a header may come URL-encoded, as the stock server takes it.
    token = unquote(headers["x-api-key"]) if "x-api-key" in headers else parameters.get("apikey", "")
    if not token.strip():
        return Refused(HTTPStatus.UNAUTHORIZED, "API key is missing")
    own = {name: value for name, value in headers.items() if name.startswith("x-") and name != "x-api-key"}
    visit = _visit(head, headers, parameters)
    return Upgrade(_accept(key), parameters, token.strip(), visit, headers.get("origin", ""), encode_json(own))


def accepted(upgrade: Upgrade) -> bytes:
    """Give the answer that opens the socket."""
    return (
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Accept: {upgrade.accept}\r\n\r\n"
    ).encode()


def refused(refusal: Refused) -> bytes:
    """Give the answer that refuses it, and ends the connection."""
    body = encode_json({"error": refusal.text} | ({"code": refusal.code} if refusal.code else {}))
    status = HTTPStatus(refusal.status)
    extra = "Sec-WebSocket-Version: 13\r\n" if status == HTTPStatus.UPGRADE_REQUIRED else ""
    head = (
        f"HTTP/1.1 {status.value} {status.phrase}\r\nContent-Type: application/json\r\n{extra}"
        f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + body


def _visit(head: bytes, headers: dict[str, str], parameters: dict[str, str]) -> Visit:
    found = split_path(_target(head))
    return Visit(
        host=headers.get("host", ""),
        header=headers.get(TENANT_HEADER),
        path=None if found is None else found[0],
        parameter=parameters.get(TENANT_PARAMETER, ""),
    )


def _target(head: bytes) -> bytes:
    return head.split(b"\r\n", 1)[0].split(b" ")[1]


def _headers(head: bytes) -> dict[str, str]:
    """Repeated headers are joined by commas, as HTTP says."""
    found: dict[str, str] = {}
    for line in head.decode("latin-1").split("\r\n")[1:]:
        name, colon, value = line.partition(":")
        if colon:
            key = name.lower()
            found[key] = f"{found[key]}, {value.strip()}" if key in found else value.strip()
    return found


def _words(value: str) -> frozenset[str]:
    return frozenset(word.strip().lower() for word in value.split(","))


def _parameters(head: bytes) -> dict[str, str] | None:
    query = _target(head).decode("latin-1").partition("?")[2]
    try:
        return dict(parse_qsl(query, keep_blank_values=True, max_num_fields=_QUERY_FIELDS_LIMIT))
    except ValueError:
        return None


def _is_key(key: str) -> bool:
    try:
        return len(base64.b64decode(key, validate=True)) == _KEY_BYTES
    except (binascii.Error, ValueError):
        return False


def _accept(key: str) -> str:
    # SHA-1 is what RFC 6455 asks for; nothing is kept secret by it.
    return base64.b64encode(hashlib.sha1(key.encode() + _GUID, usedforsecurity=False).digest()).decode()
