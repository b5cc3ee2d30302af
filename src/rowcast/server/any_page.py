"""Lets any page call routes that take users' tokens: a token is sent on purpose, never by the browser by itself."""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

_Message = MutableMapping[str, Any]
_Send = Callable[[_Message], Awaitable[None]]
_Application = Callable[[Any, Any, Any], Awaitable[None]]

_HEADERS = [
    (b"access-control-allow-origin", b"*"),
    (b"access-control-allow-methods", b"GET, POST, OPTIONS"),
    (b"access-control-allow-headers", b"authorization, apikey, content-type, x-client-info, x-tenant"),
    (b"access-control-expose-headers", b"retry-after"),
    (b"access-control-max-age", b"86400"),
]


def allow_any_page(app: Any) -> Any:
    """Give `app` with the headers of an answer that any page may read, errors among them."""
    inner: _Application = app

    async def allowing(scope: _Message, receive: Any, send: _Send) -> None:
        async def told(message: _Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *_HEADERS]
            await send(message)

        await inner(scope, receive, told)

    return allowing
