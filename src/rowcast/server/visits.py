"""Which tenant an HTTP request names beside its token, and with which claims it speaks there."""

from collections.abc import Awaitable, Callable, MutableMapping
from datetime import datetime
from typing import Any
from urllib.parse import unquote

from litestar.connection import ASGIConnection

from rowcast.core.errors import InvalidTokenError, PermissionDeniedError
from rowcast.realtime.authorize import Authorizer, Claims, Refusal
from rowcast.realtime.handshake import TENANT_PARAMETER
from rowcast.realtime.tenancy import TENANT_HEADER, Visit, split_path

_Message = MutableMapping[str, Any]
_Application = Callable[[_Message, Callable[[], Awaitable[_Message]], Callable[[_Message], Awaitable[None]]], Any]
_SEGMENT = "rowcast.tenant"
# What is called with tokens. The rest of the API has keys, which say themselves whose they are.
_ROADS = (b"/realtime/v1/api/", b"/api/broadcast", b"/api/realtime/", b"/api/tenants")


class TenantPaths:
    """Serves `/t/<tenant>/...` as the path behind it, and keeps who was named."""

    __slots__ = ("_application",)

    def __init__(self, application: Any) -> None:
        """Stand before `application`."""
        self._application: _Application = application

    async def __call__(
        self, scope: _Message, receive: Callable[[], Awaitable[_Message]], send: Callable[[_Message], Awaitable[None]]
    ) -> None:
        """Serve one request."""
        found = split_path(_raw_path(scope)) if scope["type"] == "http" else None
        if found is not None and found[1].startswith(_ROADS):
            named, rest = found
            scope = {**scope, "path": unquote(rest.decode("latin-1")), "raw_path": rest, _SEGMENT: named}
        await self._application(scope, receive, send)


def visit_of(connection: ASGIConnection[Any, Any, Any, Any]) -> Visit:
    """Give what a request says of its tenant."""
    scope: Any = connection.scope
    header = _header(scope, TENANT_HEADER.encode())
    return Visit(
        host=_header(scope, b"host") or "",
        header=header,
        path=scope.get(_SEGMENT),
        parameter=connection.query_params.get(TENANT_PARAMETER, ""),
    )


def admitted(
    connection: ASGIConnection[Any, Any, Any, Any], token: str, *, authorizer: Authorizer, now: datetime
) -> Claims:
    """Give the claims with which a request speaks.

    Raises:
        InvalidInputError: `input.tenant`, when it names what is no tenant.
        InvalidTokenError: `auth.token`.
        PermissionDeniedError: `auth.denied`, when the token is for another tenant than the one named.
    """
    found = authorizer.admit(token, visit_of(connection), now=now)
    if not isinstance(found, Refusal):
        return found
    if found.is_denial:
        raise PermissionDeniedError(f"{found.text}.")
    raise InvalidTokenError(f"{found.text}. Send a valid token, as Authorization or as apikey.")


def _raw_path(scope: _Message) -> bytes:
    return bytes(scope.get("raw_path") or scope["path"].encode())


def _header(scope: _Message, name: bytes) -> str | None:
    """Two of them are none that a decent client sends: joined they name nobody."""
    found = [value.decode("latin-1") for key, value in scope["headers"] if key == name]
    return ", ".join(found) if found else None
