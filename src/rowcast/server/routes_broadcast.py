"""HTTP of the stock server: broadcasts without a socket. Statuses and bodies are those that stock clients know."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Protocol

from litestar import HttpMethod, Request, Response, Router, post, route
from litestar.exceptions import HTTPException

from rowcast.core.clock import Clock
from rowcast.core.errors import InvalidInputError, LimitExceededError, PermissionDeniedError, RowcastError, StoreError
from rowcast.core.telemetry import tell
from rowcast.realtime.authorize import Authorizer, Claims
from rowcast.realtime.effects import MayWrite
from rowcast.realtime.messages import Broadcast, Form, TopicKey
from rowcast.realtime.tenancy import Visit
from rowcast.realtime.tenant_topics import private_key
from rowcast.server.broadcast_requests import Faults, Message, read_batch, read_single, single_target
from rowcast.server.described import Described
from rowcast.server.rolling_rate import Rate, RollingRates
from rowcast.server.visits import visit_of

BODY_LIMIT_BYTES = 8 * 1024 * 1024
_FAMILIES = ("/api", "/realtime/v1/api")
_MEDIA_TYPES = ("application/json", "application/octet-stream")
_UNSUPPORTED = "Unsupported Media Type. Use application/json or application/octet-stream"
_TOO_MANY = "You have exceeded your rate limit"
_BATCH_TOO_BIG = "Too many messages to broadcast, please reduce the batch size"
_SAID = dict[str, Any]
_REFUSALS = dict.fromkeys((400, 401, 403, 404, 413, 415, 422, 429, 500, 503), _SAID)
_BATCH = Described(_SAID, {202: None, **_REFUSALS}, is_whole=True, bearer="user")
_SINGLE = Described(Any, {202: None, **_REFUSALS}, is_whole=True, bearer="user", taken_as=_MEDIA_TYPES)

MayBroadcast = Callable[[Claims, TopicKey], Awaitable[bool]]
"""Tells whether claims may broadcast on a private topic; default: denied."""


class Asked(Protocol):
    """Who knows what clients may do: the policies behind the hub."""

    async def answer(self, question: MayWrite) -> object:
        """Give True when it may."""
        ...


def may_broadcast(outside: Asked) -> MayBroadcast:
    """Give the question to the policies: the same that a socket's first broadcast asks."""

    async def may(claims: Claims, key: TopicKey) -> bool:
        return await outside.answer(MayWrite(claims, key.topic, "broadcast")) is True

    return may


class Publisher(Protocol):
    """What hands broadcasts to all nodes: the hub."""

    def publish(self, broadcast: Broadcast) -> bool:
        """Hand over a broadcast; False when too many wait."""
        ...


class Caller:
    """Who calls, and how much has come from that tenant."""

    __slots__ = ("claims", "rate", "tenant_id")

    def __init__(self, claims: Claims, rate: Rate) -> None:
        """Keep the claims of a valid token."""
        self.claims = claims
        self.tenant_id = claims.public_tenant
        self.rate = rate

    def key(self, message: Message) -> TopicKey:
        """Give where a message goes."""
        if message.is_private:
            return private_key(self.claims, message.topic)
        return TopicKey(self.tenant_id, False, message.topic)


class BroadcastDesk:
    """Takes messages of callers, checks what they may do and how much, and hands them on."""

    __slots__ = ("_authorizer", "_clock", "_may_write", "_publisher", "_rates")

    def __init__(
        self,
        *,
        publisher: Publisher,
        authorizer: Authorizer,
        clock: Clock,
        may_write: MayBroadcast,
        events_per_s: float,
    ) -> None:
        """Hand to `publisher` what tokens that `authorizer` takes may send; each tenant `events_per_s` on average."""
        self._publisher = publisher
        self._authorizer = authorizer
        self._clock = clock
        self._may_write = may_write
        self._rates = RollingRates(limit_per_s=events_per_s)

    def find_caller(self, headers: Mapping[str, str], visit: Visit) -> Caller | None:
        """Give who calls, by `Authorization: Bearer` or `apikey`; None for nobody we know.

        Raises:
            InvalidInputError: `input.tenant`.
            PermissionDeniedError: `auth.denied`, when the token may not speak for the tenant that was named.
        """
        scheme, _, token = headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not token.strip():
            token = headers.get("apikey") or headers.get("x-api-key", "")
        claims = self._authorizer.admit(token.strip(), visit, now=self._clock.now())
        if isinstance(claims, Claims):
            return Caller(claims, self._rates.of(claims.public_tenant, now_s=self._clock.monotonic_s()))
        if claims.is_denial:
            raise PermissionDeniedError(f"{claims.text}.")
        return None

    async def may_send(self, caller: Caller, message: Message) -> bool:
        """Tell whether a caller may send a message: on public topics everybody may."""
        return not message.is_private or await self._may_write(caller.claims, caller.key(message))

    def send(self, caller: Caller, message: Message, *, is_batch: bool) -> None:
        """Hand one message to all nodes.

        Raises:
            LimitExceededError: `limit.rate`, when too much waits for the bus.
        """
        self._rates.add(caller.tenant_id, 1, now_s=self._clock.monotonic_s())
        if not self._publisher.publish(_broadcast(caller.key(message), message, is_batch=is_batch)):
            raise LimitExceededError("Too many broadcasts wait for the other nodes.", retry_after_s=1.0)


def broadcast_routes(desk: BroadcastDesk) -> Router:
    """Give the routes that take broadcasts, under both families of paths."""

    @post("/broadcast", status_code=202, request_max_body_size=BODY_LIMIT_BYTES, described=_BATCH)
    async def broadcast(request: Request[Any, Any, Any]) -> Response[Any]:
        """Take a batch of messages."""
        return await _take_batch(desk, request)

    @post("/broadcast/{rest:path}", status_code=202, request_max_body_size=BODY_LIMIT_BYTES, described=_SINGLE)
    async def broadcast_one(request: Request[Any, Any, Any]) -> Response[Any]:
        """Take one message; topic and event stand in the path."""
        return await _take_one(desk, request)

    @route(["/broadcast", "/broadcast/{rest:path}"], http_method=HttpMethod.OPTIONS, include_in_schema=False)
    async def allow(request: Request[Any, Any, Any]) -> Response[Any]:
        """Tell a browser that any page may call."""
        return _answer(204, None)

    return Router(
        "/",
        route_handlers=[Router(family, route_handlers=[broadcast, broadcast_one, allow]) for family in _FAMILIES],
        after_request=_with_cors,
        exception_handlers={RowcastError: _on_refusal, HTTPException: _on_http_error, RecursionError: _on_depth},
        tags=["broadcast"],
    )


async def _take_batch(desk: BroadcastDesk, request: Request[Any, Any, Any]) -> Response[Any]:
    caller = _found(desk, request)
    if caller is None:
        return _answer(401, {"message": "Unauthorized"})
    if caller.rate.is_over:
        return _answer(429, {"message": _TOO_MANY}, caller.rate)
    messages = read_batch(await request.body())
    if isinstance(messages, Mapping):
        return _answer(422, {"errors": messages}, caller.rate)
    return await _send_batch(desk, caller, messages)


async def _take_one(desk: BroadcastDesk, request: Request[Any, Any, Any]) -> Response[Any]:
    target = single_target(request.scope.get("raw_path") or request.scope["path"].encode())
    if target is None:
        return _answer(404, {"error": "not found"})
    caller = _found(desk, request)
    if caller is None:
        return _answer(401, {"message": "Unauthorized"})
    if caller.rate.is_over:
        return _answer(429, {"message": "Too many requests"}, caller.rate)
    message = await _read_one(request, target)
    return await _send_one(desk, caller, message) if isinstance(message, Message) else message


async def _send_batch(desk: BroadcastDesk, caller: Caller, messages: Sequence[Message]) -> Response[Any]:
    if not caller.rate.has_room_for(len(messages)):
        return _answer(429, {"message": _BATCH_TOO_BIG}, caller.rate)
    for message in messages:
        # What may not be written is dropped without a word, as it is on the socket.
        if await desk.may_send(caller, message):
            desk.send(caller, message, is_batch=True)
        else:
            tell("broadcast.dropped", reason="denied")
    return _answer(202, None, caller.rate)


async def _read_one(request: Request[Any, Any, Any], target: tuple[str, str]) -> Message | Response[Any]:
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type not in _MEDIA_TYPES:
        return _answer(415, {"error": _UNSUPPORTED})
    is_private = request.query_params.get("private") in ("true", "True", "1")
    is_binary = media_type == _MEDIA_TYPES[1]
    found = read_single(*target, await request.body(), is_private=is_private, is_binary=is_binary)
    return found if isinstance(found, Message) else _answer(422, {"errors": found})


async def _send_one(desk: BroadcastDesk, caller: Caller, message: Message) -> Response[Any]:
    if not await desk.may_send(caller, message):
        return _answer(403, {"message": "Unauthorized"}, caller.rate)
    desk.send(caller, message, is_batch=False)
    return _answer(202, None, caller.rate)


def _found(desk: BroadcastDesk, request: Request[Any, Any, Any]) -> Caller | None:
    return desk.find_caller(request.headers, visit_of(request))


def _broadcast(key: TopicKey, message: Message, *, is_batch: bool) -> Broadcast:
    if is_batch:
        return Broadcast(key.tenant_id, key.is_private, key.topic, "", message.verbatim, form="verbatim")
    form: Form = "binary" if message.is_binary else "user"
    return Broadcast(key.tenant_id, key.is_private, key.topic, message.event, message.payload, form=form)


def _answer(status: int, body: Faults | None, rate: Rate | None = None) -> Response[Any]:
    return Response(
        b"" if body is None else body, status_code=status, headers=rate.headers if rate else {},
        media_type="application/json",
    )  # fmt: skip


async def _with_cors(response: Any) -> Any:
    response.headers.update(_CORS)
    return response


_CORS = {
    "access-control-allow-origin": "*",
    "access-control-allow-methods": "POST, OPTIONS",
    "access-control-allow-headers": "authorization, apikey, content-type, x-api-key, x-client-info, x-tenant",
    "access-control-expose-headers": "x-rate-rolling, x-rate-limit, x-rate-limit-remaining",
    "access-control-max-age": "86400",
}


def _refused(status: int, body: Faults) -> Response[Any]:
    return Response(body, status_code=status, headers=dict(_CORS), media_type="application/json")


def _on_refusal(_: Request[Any, Any, Any], error: RowcastError) -> Response[Any]:
    if error.code in ("input.tenant", "auth.denied"):
        return _refused(error.http_status, {"message": str(error), "code": error.code})
    if isinstance(error, InvalidInputError):
        return _refused(400, {"errors": {"detail": "Bad Request"}})
    if isinstance(error, LimitExceededError):
        return _refused(429, {"message": "Too many requests"})
    tell("http.broadcast_failed", code=error.code)
    return _refused(500 if not isinstance(error, StoreError) else 503, {"message": "Please try again"})


def _on_http_error(_: Request[Any, Any, Any], error: HTTPException) -> Response[Any]:
    return _refused(error.status_code, {"message": error.detail})


def _on_depth(_: Request[Any, Any, Any], error: RecursionError) -> Response[Any]:
    return _refused(400, {"errors": {"detail": "Bad Request"}})
