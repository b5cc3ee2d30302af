"""HTTP: a topic as server-sent events, for clients without WebSocket."""

import itertools
import os
from collections.abc import AsyncIterator
from typing import Any

from litestar import Request, Router, get
from litestar.response import Stream as StreamResponse

from rowcast.core.errors import PermissionDeniedError, StoreError
from rowcast.core.telemetry import tell
from rowcast.core.topic import checked_topic
from rowcast.realtime.authorize import Authorizer, Claims
from rowcast.realtime.channel_policy import Access, Fault
from rowcast.realtime.effects import MayRead
from rowcast.realtime.hub import Hub
from rowcast.realtime.messages import TopicKey
from rowcast.realtime.recover import DurableLog
from rowcast.realtime.sse import Place, Stream, StreamLimits, place_text, read_place, system_text
from rowcast.realtime.tenant_topics import private_key
from rowcast.server.described import Described
from rowcast.server.visits import admitted

_HEADERS = {
    "content-type": "text/event-stream; charset=utf-8",
    "cache-control": "no-store",
    "x-accel-buffering": "no",
    "access-control-allow-origin": "*",
}
_PLACES = 4
_RETRY = b"retry: 2000\n\n"
_NOT_WHOLE = "Some messages could not be recovered"


class StreamDesk:
    """Opens streams: who may hear what is decided as for a socket."""

    __slots__ = ("_authorizer", "_hub", "_limits", "_log", "_names")

    def __init__(
        self, *, hub: Hub, authorizer: Authorizer, log: DurableLog | None, limits: StreamLimits | None = None
    ) -> None:
        """Listen at `hub`; without `log` nothing is recovered."""
        self._hub = hub
        self._authorizer = authorizer
        self._log = log
        self._limits = limits or StreamLimits()
        self._names = (f"{os.urandom(8).hex()}-{number}" for number in itertools.count())

    def check(self, request: Request[Any, Any, Any]) -> Claims:
        """Give the claims with which a request speaks.

        Raises:
            InvalidInputError: `input.tenant`.
            InvalidTokenError: `auth.token`.
            PermissionDeniedError: `auth.denied`, when the token may not speak for the tenant that was named.
        """
        return admitted(request, _token(request), authorizer=self._authorizer, now=self._hub.clock.now())

    async def key_of(self, claims: Claims, topic: str, *, is_private: bool) -> TopicKey:
        """Give the topic, if the claims may hear it.

        Raises:
            InvalidTopicError: `input.topic`.
            PermissionDeniedError: `auth.denied`.
            StoreError: `store.unavailable`, when it could not be found out.
        """
        checked_topic(topic)
        if not is_private:
            return TopicKey(claims.public_tenant, False, topic)
        access = await self._hub.outside.answer(MayRead(claims, topic, wants_presence=False))
        if isinstance(access, Fault):
            raise StoreError(f"{access.text}. Try again.")
        if not isinstance(access, Access) or not access.reads_broadcast:
            raise PermissionDeniedError(f"You do not have permissions to read from this Channel topic: {topic}")
        return private_key(claims, topic)

    async def frames(self, claims: Claims, key: TopicKey, last_id: str) -> AsyncIterator[bytes]:
        """Give the stream's text until the client goes, the server stops, or the token runs out."""
        stream, name, meter = Stream(key, self._limits), next(self._names), self._hub.meters.of(key.tenant_id)
        if not meter.connect(None):
            yield system_text(key.topic, "error", "Too many connected users")
            return
        self._hub.listen(key, stream)
        tell("stream.opened")
        try:
            yield _RETRY
            for text in await self._begin(stream, name, last_id):
                yield text
            async for text in self._run(stream, name, claims):
                yield text
        finally:
            meter.disconnect(None)
            self._hub.unsubscribe(key, stream)
            if self._log is not None:
                self._log.unwatch(key, name)
            tell("stream.closed")

    async def _begin(self, stream: Stream, name: str, last_id: str) -> list[bytes]:
        """Find out what was missed, and give what is said first."""
        key, now = stream.key, self._hub.clock.now()
        if self._log is None or not key.is_private:
            stream.release(None)
            return []
        place = self._read(key, last_id)
        away_s = 0.0 if place is None else now.timestamp() - place.at_s
        try:
            missed = await self._log.watch(key, name, place=None if place is None else place.position, away_s=away_s)
        except StoreError as error:
            stream.is_over = True
            return [system_text(key.topic, "error", f"{error.code}: please try again")]
        stream.release(missed)
        is_told = (bool(last_id) and place is None) or (missed is not None and not missed.is_whole)
        return [system_text(key.topic, "error", _NOT_WHOLE)] if is_told else []

    async def _run(self, stream: Stream, name: str, claims: Claims) -> AsyncIterator[bytes]:
        clock, quiet = self._hub.clock, 0
        while not stream.is_over and self._hub.is_open:
            if claims.expires_at_s <= clock.now().timestamp():
                yield system_text(stream.key.topic, "error", "Token has expired")
                return
            names, text = await stream.next()
            quiet = 0 if text else quiet + 1
            if text:
                yield text
                self._arrived(stream.key, name, names)
            # The place follows what was given by a second or two.
            if quiet < _PLACES or quiet * self._limits.look_s >= self._limits.heartbeat_s:
                quiet = min(quiet, _PLACES)
                yield self._place(stream.key, name)

    def _arrived(self, key: TopicKey, name: str, ids: list[str]) -> None:
        """Count as given: the place is told only behind it, so a client that tells us the place has it."""
        if self._log is not None and ids:
            for each in ids:
                self._log.sent(key, name, each)
            self._log.acknowledged(key, name, ids[-1])

    def _place(self, key: TopicKey, name: str) -> bytes:
        found = self._log.place(key, name) if self._log is not None and key.is_private else None
        if found is None:
            return b": heartbeat\n\n"
        place = str(Place(found, int(self._hub.clock.now().timestamp())))
        return place_text(f"{place}.{self._authorizer.seal(_sealed(key, place))}")

    def _read(self, key: TopicKey, last_id: str) -> Place | None:
        """Give the place that a client came back with, if we gave it for this topic: it is no way into the past."""
        place, _, seal = last_id.rpartition(".")
        if not place or self._authorizer.seal(_sealed(key, place)) != seal:
            return None
        return read_place(place, now=self._hub.clock.now())


def sse_routes(desk: StreamDesk) -> Router:
    """Give `GET /api/realtime/sse`."""

    @get("/api/realtime/sse", described=Described(gives=str, given_as=("text/event-stream",), bearer="user"))
    async def stream(request: Request[Any, Any, Any], topic: str, private: bool = True) -> StreamResponse:
        """Stream a topic's broadcasts; `Last-Event-ID` goes on where an earlier stream ended."""
        claims = desk.check(request)
        key = await desk.key_of(claims, topic, is_private=private)
        last_id = str(request.headers.get("last-event-id") or request.query_params.get("lastEventId", ""))
        return StreamResponse(desk.frames(claims, key, last_id[:200]), headers=dict(_HEADERS))

    return Router("/", route_handlers=[stream], tags=["realtime"])


def _token(request: Request[Any, Any, Any]) -> str:
    scheme, _, token = str(request.headers.get("authorization", "")).partition(" ")
    if scheme.lower() == "bearer" and token.strip():
        return token.strip()
    return str(request.headers.get("apikey") or request.query_params.get("apikey", ""))


def _sealed(key: TopicKey, place: str) -> str:
    return f"{key.tenant_id}\n{key.topic}\n{place}"
