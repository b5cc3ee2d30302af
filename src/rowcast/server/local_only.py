"""Who may talk to a development server: programs of this machine and pages of this machine, not pages of the Internet.

Its tokens are public and its page shows keys, so a page that a developer happens to look at must not reach it: neither
by opening a socket or posting a form (the browser then names the page's `Origin`), nor by a name of its own that
suddenly stands for 127.0.0.1 (the browser then names that in `Host`).
"""

import ipaddress
import re
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from rowcast.core.codec import encode_json
from rowcast.core.errors import PermissionDeniedError
from rowcast.core.telemetry import tell
from rowcast.server.http import problem_of

Welcome = Callable[[str, str], bool]
"""From the headers Host and Origin, empty where absent, whether a request is served."""
_Message = MutableMapping[str, Any]
_Application = Callable[[_Message, Callable[[], Awaitable[_Message]], Callable[[_Message], Awaitable[None]]], Any]

_AUTHORITY = re.compile(r"(?P<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9_.-]+)(:[0-9]{1,5})?\Z", re.ASCII)
# Nobody can own a name under these on the Internet (RFC 2606, RFC 6761 and the reservation of `internal`).
_INSIDE = (".localhost", ".internal", ".test")


def is_local(host: str, origin: str) -> bool:
    """Tell from the headers Host and Origin whether a request comes from this machine or its network."""
    asked = _host_of(host)
    # A program that names no host is no browser, and an address cannot be made to stand for another one.
    if host and not (_is_inside(asked) or _is_address(asked)):
        return False
    page = _host_of(origin.partition("://")[2])
    return not origin or _is_inside(page) or _is_loopback(page) or (page != "" and page == asked)


class LocalOnly:
    """Serves an ASGI application to whoever is welcome."""

    def __init__(self, application: Any, is_welcome: Welcome) -> None:
        """Stand before `application`."""
        self._application: _Application = application
        self._is_welcome = is_welcome

    async def __call__(
        self, scope: _Message, receive: Callable[[], Awaitable[_Message]], send: Callable[[_Message], Awaitable[None]]
    ) -> None:
        """Serve one request, or refuse it."""
        if scope["type"] == "http" and not self._is_welcome(_header(scope, b"host"), _header(scope, b"origin")):
            await _refuse(send)
            return
        await self._application(scope, receive, send)


async def _refuse(send: Callable[[_Message], Awaitable[None]]) -> None:
    error = PermissionDeniedError(
        "This development server answers programs and pages of this machine only. Open it as localhost or by address."
    )
    tell("http.refused", code=error.code)
    body = encode_json(problem_of(error))
    headers = [(b"content-type", b"application/problem+json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": error.http_status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _header(scope: _Message, name: bytes) -> str:
    """Two of them are none that a browser sends: joined they name no host."""
    return ",".join(value.decode("latin-1") for key, value in scope["headers"] if key == name)


def _host_of(authority: str) -> str:
    """Give the host of `host` or `host:port`; empty for anything else."""
    found = _AUTHORITY.match(authority)
    return found["host"].strip("[]").rstrip(".").lower() if found else ""


def _is_inside(host: str) -> bool:
    """A name without a dot is looked up on this machine or its network only."""
    return host != "" and ("." not in host or host.endswith(_INSIDE)) and ":" not in host


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _is_loopback(host: str) -> bool:
    return _is_address(host) and ipaddress.ip_address(host).is_loopback
