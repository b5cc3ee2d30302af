"""A socket server for tests: hub, gateway and listener on a port of its own, and tokens for it."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from rowcast.bus.bus import Bus
from rowcast.bus.memory import MemoryBus
from rowcast.core.clock import Clock, SystemClock
from rowcast.realtime.authorize import Authorizer, sign_token
from rowcast.realtime.gateway import Gateway, GatewayLimits
from rowcast.realtime.hub import Hub, HubLimits
from rowcast.realtime.websocket import SocketLimits

SECRET = "a secret for tests that has more than 32 bytes"
QUICK = GatewayLimits(refusal_delay_s=0.0, socket=SocketLimits(join_refusal_delay_s=0.0))


def token(
    *,
    role: str = "authenticated",
    tenant_id: str | None = "acme",
    sub: str | None = None,
    expires_in_s: int = 86_400,
    secret: str = SECRET,
) -> str:
    """Give a signed token, by default of somebody of the tenant `acme`."""
    claims: dict[str, object] = {"role": role, "exp": int(time.time()) + expires_in_s}
    claims |= {"sub": sub} if sub else {}
    return sign_token(claims | ({"tenant_id": tenant_id} if tenant_id else {}), secret)


class NoHttp(asyncio.Protocol):
    """Answers every request with 404 and ends the connection."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        transport.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\nConnection: close\r\n\r\nhttp")
        transport.close()


class SocketServer:
    """What a test needs of a running server."""

    def __init__(self, hub: Hub, bus: Bus, gateway: Gateway, server: asyncio.Server) -> None:
        self.hub = hub
        self.bus = bus
        self.gateway = gateway
        self._server = server
        self.port: int = server.sockets[0].getsockname()[1]

    def url(self, family: str = "/realtime/v1", scheme: str = "ws") -> str:
        return f"{scheme}://127.0.0.1:{self.port}{family}"

    def stop_listening(self) -> None:
        self._server.close()

    async def until(self, holds: Callable[[Hub], bool]) -> None:
        """Wait until something holds of the hub."""
        async with asyncio.timeout(10):
            while not holds(self.hub):
                await asyncio.sleep(0.005)


@asynccontextmanager
async def serving(
    *,
    port: int = 0,
    bus: Bus | None = None,
    clock: Clock | None = None,
    http: Callable[[], asyncio.Protocol] = NoHttp,
    limits: GatewayLimits = QUICK,
    authorizer: Authorizer | None = None,
    **wiring: Any,
) -> AsyncIterator[SocketServer]:
    """Serve for the time of a block; a bus that is given is opened and closed by whoever gave it.

    `wiring` goes to the hub: `outside`, `tenant_limits`, `hub_limits`.
    """
    bus = bus or MemoryBus()
    hub_limits = wiring.pop("hub_limits", HubLimits(close_s=2.0))
    hub = Hub(bus=bus, clock=clock or SystemClock(), limits=hub_limits, **wiring)
    await hub.open()
    authorizer = authorizer or Authorizer(secret=SECRET)
    gateway = Gateway(hub=hub, authorizer=authorizer, http_protocol_factory=http, limits=limits)
    server = await asyncio.get_running_loop().create_server(gateway, "127.0.0.1", port)
    try:
        yield SocketServer(hub, bus, gateway, server)
    finally:
        server.close()
        await hub.close()
