"""The one door for sockets and HTTP on one port: reads how a connection begins and hands it to whoever it is for."""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import cast

import msgspec

from rowcast.core.errors import InvalidInputError
from rowcast.core.telemetry import tell
from rowcast.realtime.authorize import Authorizer, Claims, Refusal, subject_of
from rowcast.realtime.handshake import (
    HEAD_LIMIT_BYTES,
    Refused,
    Upgrade,
    accepted,
    is_socket_path,
    is_upgrade,
    read_upgrade,
    refused,
)
from rowcast.realtime.hub import Hub
from rowcast.realtime.limits import Meter
from rowcast.realtime.protocol import VERSIONS
from rowcast.realtime.session import Session
from rowcast.realtime.websocket import SocketLimits, SocketProtocol

_NOT_FOUND = Refused(404, "There is no socket at this address; use /socket/websocket or /realtime/v1/websocket")
_HEAD_TOO_BIG = Refused(431, f"The request head is over {HEAD_LIMIT_BYTES} bytes")
_NOT_WELCOME = Refused(403, "Pages of this origin may not open a socket here")
_TOO_MANY_USERS = Refused(429, "Too many connected users")
_TOO_MANY_JOINS = Refused(429, "Too many joins per second")
_STOPPING = Refused(503, "Realtime is restarting, please standby")


class GatewayLimits(msgspec.Struct, frozen=True):
    """Patience with connections that have not said what they want, and the wait before a refusal is told."""

    head_s: float = 10.0
    refusal_delay_s: float = 2.0
    socket: SocketLimits = SocketLimits()


class Gateway:
    """Makes the protocol of each new connection: `loop.create_server(gateway, ...)`."""

    __slots__ = ("authorizer", "http_protocol_factory", "hub", "is_welcome", "limits")

    def __init__(
        self,
        *,
        hub: Hub,
        authorizer: Authorizer,
        http_protocol_factory: Callable[[], asyncio.Protocol],
        limits: GatewayLimits | None = None,
        is_welcome: Callable[[str, str], bool] | None = None,
    ) -> None:
        """Hand sockets to `hub` and everything else to protocols of `http_protocol_factory`.

        `is_welcome` tells from the headers Host and Origin whether a socket may be opened; without it, always.
        """
        self.hub = hub
        self.authorizer = authorizer
        self.http_protocol_factory = http_protocol_factory
        self.limits = limits or GatewayLimits()
        self.is_welcome = is_welcome or (lambda host, origin: True)

    def __call__(self) -> asyncio.Protocol:
        """Give the protocol of a new connection."""
        return Sniffer(self)


class Sniffer(asyncio.Protocol):
    """Reads the head of a request, in however many pieces it comes, and hands the connection over."""

    __slots__ = ("_gateway", "_head", "_is_after_http", "_is_answered", "_started_at_s", "_transport")

    def __init__(self, gateway: Gateway, *, is_after_http: bool = False) -> None:
        """Serve one connection; `is_after_http` when HTTP was spoken on it before and found a request to upgrade."""
        self._gateway = gateway
        self._head = b""
        self._is_after_http = is_after_http
        self._is_answered = False
        self._started_at_s = gateway.hub.clock.monotonic_s()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take a new connection."""
        # Not every event loop's transports derive from the one of the standard library.
        self._transport = cast(asyncio.Transport, transport)
        self._gateway.hub.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget it."""
        self._is_answered = True
        self._gateway.hub.remove(self)

    def data_received(self, data: bytes) -> None:
        """Look whether enough is here to know."""
        self._head += data
        if self._is_after_http:
            # Whoever upgrades makes us the transport's protocol only after this call; a socket set now would be lost.
            asyncio.get_running_loop().call_soon(self._decide)
        else:
            self._decide()

    def _decide(self) -> None:
        if self._is_answered:
            return
        is_ours = is_socket_path(self._head, has_tenants=self._gateway.authorizer.tenancy.has_path)
        if is_ours is False:
            self._hand_to_http()
        elif is_ours and b"\r\n\r\n" in self._head:
            self._open_socket()
        elif len(self._head) > HEAD_LIMIT_BYTES:
            self._refuse(_HEAD_TOO_BIG, delay_s=0.0)

    def look(self, now_s: float) -> None:
        """Cut a connection that does not say what it wants."""
        if not self._is_answered and now_s - self._started_at_s > self._gateway.limits.head_s:
            self.cut("no_request")

    def shut(self, text: str, code: int) -> None:
        """End it: nothing has begun here yet."""
        self._transport.close()

    def cut(self, reason: str) -> None:
        """End it now."""
        tell("socket.cut", reason=reason)
        self._transport.abort()

    def _hand_to_http(self) -> None:
        if self._is_after_http:
            # HTTP has just handed it to us: giving it back would go round for ever.
            self._refuse(_NOT_FOUND, delay_s=0.0)
            return
        protocol = self._gateway.http_protocol_factory()
        if hasattr(protocol, "ws_protocol_class"):
            # uvicorn makes a protocol of this class when a later request on the connection asks to upgrade.
            protocol.ws_protocol_class = partial(_after_http, self._gateway)
        self._gateway.hub.remove(self)
        self._transport.set_protocol(protocol)
        protocol.connection_made(self._transport)
        protocol.data_received(self._head)

    def _open_socket(self) -> None:
        head, _, rest = self._head.partition(b"\r\n\r\n")
        if not is_upgrade(head):
            self._hand_to_http()
            return
        if not self._gateway.hub.is_open:
            self._refuse(_STOPPING, delay_s=0.0)
            return
        upgrade = read_upgrade(head)
        if isinstance(upgrade, Refused):
            self._refuse(upgrade, delay_s=self._gateway.limits.refusal_delay_s)
            return
        claims = self._claims(upgrade)
        if isinstance(claims, Refused):
            self._refuse(claims, delay_s=self._gateway.limits.refusal_delay_s)
            return
        self._start(upgrade, claims, rest)

    def _claims(self, upgrade: Upgrade) -> Claims | Refused:
        if not self._gateway.is_welcome(upgrade.visit.host, upgrade.origin):
            return _NOT_WELCOME
        try:
            found = self._gateway.authorizer.admit(upgrade.token, upgrade.visit, now=self._gateway.hub.clock.now())
        except InvalidInputError as error:
            return Refused(error.http_status, str(error), error.code)
        if isinstance(found, Refusal):
            return Refused(403, found.text, "auth.denied") if found.is_denial else Refused(401, found.upgrade_text)
        if upgrade.own_headers == found.headers:
            return found
        return msgspec.structs.replace(found, headers=upgrade.own_headers)

    def _start(self, upgrade: Upgrade, claims: Claims, rest: bytes) -> None:
        hub = self._gateway.hub
        meter, user = hub.meters.of(claims.public_tenant), subject_of(claims)
        too_many = self._count(meter, user)
        if too_many is not None:
            self._refuse(too_many, delay_s=self._gateway.limits.refusal_delay_s)
            return
        self._is_answered = True
        hub.remove(self)
        session = Session(self._gateway.authorizer, claims, hub.next_number(), hub.rules, user, meter)
        version = VERSIONS[upgrade.parameters.get("vsn", "1.0.0")]
        self._transport.write(accepted(upgrade))
        tell("socket.opened", version=version)
        if claims.is_service and upgrade.origin:
            # Only pages name their origin, and whoever can open a page can take its key.
            tell("socket.service_key_exposed")
        SocketProtocol(hub, session, version=version, limits=self._gateway.limits.socket).attach(self._transport, rest)

    def _count(self, meter: Meter, user: str | None) -> Refused | None:
        """Count a socket, or give why it is one too many."""
        if not meter.may_join(self._gateway.hub.clock.now().timestamp()):
            return _TOO_MANY_JOINS
        return None if meter.connect(user) else _TOO_MANY_USERS

    def _refuse(self, refusal: Refused, *, delay_s: float) -> None:
        """Answer and end; after a wait, so that a client with a bad token does not try a thousand times a second."""
        self._is_answered = True
        tell("socket.refused", status=refusal.status)
        hub = self._gateway.hub
        self._head = b""
        if delay_s:
            hub.wheel.call_at(hub.clock.monotonic_s() + delay_s, partial(self._answer, refusal))
        else:
            self._answer(refusal)

    def _answer(self, refusal: Refused) -> None:
        if not self._transport.is_closing():
            self._transport.write(refused(refusal))
            self._transport.close()


def _after_http(gateway: Gateway, **_: object) -> Sniffer:
    return Sniffer(gateway, is_after_http=True)
