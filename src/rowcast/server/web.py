"""HTTP and sockets on one port: uvicorn's protocol and our gateway behind one listener."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from uvicorn.config import Config
from uvicorn.server import ServerState

from rowcast.server.http_connection import HttpConnection

_HTTP_CLOSE_S = 2.0


class HttpProtocols:
    """Makes uvicorn's HTTP protocols for an ASGI application and ends them together."""

    __slots__ = ("_config", "_lifespan", "_state")

    def __init__(self, application: Any) -> None:
        """Prepare for `application`, any ASGI 3 application."""
        self._config = Config(
            application,
            http=HttpConnection,
            ws="none",
            log_config=None,
            access_log=False,
            server_header=False,
            date_header=False,
            timeout_keep_alive=65,
            # Never trust X-Forwarded-For from strangers: the limit by address would be theirs to dodge.
            proxy_headers=False,
            lifespan="on",
        )
        self._config.load()
        self._state = ServerState()
        self._lifespan = self._config.lifespan_class(self._config)

    async def open(self) -> None:
        """Start the application."""
        await self._lifespan.startup()

    def __call__(self) -> asyncio.Protocol:
        """Give the protocol of one new connection."""
        protocol: asyncio.Protocol = self._config.http_protocol_class(  # type: ignore[call-arg]
            config=self._config, server_state=self._state, app_state=self._lifespan.state
        )
        return protocol

    async def close(self) -> None:
        """Let requests in flight end for a bounded time, then cut the connections and stop the application."""
        for connection in list(self._state.connections):
            connection.shutdown()
        try:
            async with asyncio.timeout(_HTTP_CLOSE_S):
                while self._state.tasks or self._state.connections:  # noqa: ASYNC110 - uvicorn tells nobody
                    await asyncio.sleep(0.01)
        except TimeoutError:
            for task in list(self._state.tasks):
                task.cancel()
        await self._lifespan.shutdown()


@asynccontextmanager
async def listening(listener: socket.socket, factory: Callable[[], asyncio.BaseProtocol]) -> AsyncIterator[None]:
    """Serve connections of `listener` for the time of a block; what is open then is the factory's to close."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(factory, sock=listener, backlog=4096)
    try:
        yield
    finally:
        server.close()
