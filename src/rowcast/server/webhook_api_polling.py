"""The webhook API: messages of an endpoint for whoever asks for them, instead of being posted to."""

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Annotated, Any

import msgspec
from litestar import Router, get, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import Parameter

from rowcast.core.errors import InvalidFieldError, PermissionDeniedError
from rowcast.server.described import Described
from rowcast.server.webhook_api import PREFIX, Asked, Iterator, PageLimit, Reply, caller, replied
from rowcast.server.webhook_api_answers import Answer
from rowcast.server.webhook_api_body import read_body
from rowcast.server.webhook_api_endpoints_frame import EndpointApi, EndpointName
from rowcast.server.webhook_api_filters import asked_text
from rowcast.server.webhook_api_message_forms import MessageOut, message_out
from rowcast.store.pool import Connection
from rowcast.webhooks.background_task import checked_time
from rowcast.webhooks.endpoint import Endpoint
from rowcast.webhooks.poller import Place, Poll, Poller, PollFilter, iterator_of, position_of

CONSUMER_LIMIT_CHARS = 256

AskedType = Annotated[str | None, Parameter(query="event_type")]
AskedChannel = Annotated[str | None, Parameter(query="channel")]
AskedAfter = Annotated[datetime | None, Parameter(query="after")]


class PollOut(msgspec.Struct, frozen=True):
    """What a poll answers. `iterator` goes on after it; `done` says that there is nothing more now."""

    data: list[MessageOut]
    iterator: str
    done: bool


class SeekIn(msgspec.Struct, frozen=True):
    """Since when a consumer wants messages."""

    after: datetime


class SeekOut(msgspec.Struct, frozen=True):
    """Where a consumer stands."""

    iterator: str


class PollingRoutes:
    """What the routes of polling share."""

    __slots__ = ("endpoints", "poller")

    def __init__(self, *, endpoints: EndpointApi, poller: Poller) -> None:
        """Keep them."""
        self.endpoints = endpoints
        self.poller = poller

    async def polled(
        self, request: Asked, name: EndpointName, read: Callable[[Connection, Endpoint, int], Awaitable[Poll]]
    ) -> Reply:
        """Answer what `read` gives, up to where everything is decided."""
        # Asked for before: nobody waits for a connection with another one in the hand.
        decided = await self.poller.decided()
        async with self.endpoints.api.database.transaction() as connection:
            endpoint = await self.endpoints.find(request, name, connection)
            return replied(Answer(200, poll_out(await read(connection, endpoint, decided))))


def polling_routes(routes: PollingRoutes) -> Router:
    """Give the routes under /api/v1/app/{app_id}/poller."""
    handlers = [_poll(routes), *_consuming(routes)]
    return Router(f"{PREFIX}/app/{{app_id:str}}/poller/{{sink_id:str}}", route_handlers=handlers, tags=["webhook API"])


def _poll(routes: PollingRoutes) -> HTTPRouteHandler:
    poller = routes.poller

    @get("/", guards=routes.endpoints.api.may("events:read"), described=Described(gives=PollOut))
    async def poll(
        request: Asked,
        app_id: str,
        sink_id: str,
        limit: PageLimit = 50,
        iterator: Iterator = None,
        after: AskedAfter = None,
        event_type: AskedType = None,
        channel: AskedChannel = None,
    ) -> Reply:
        """Give the endpoint's messages after the iterator, since `after`, or since the endpoint was made."""
        since = None if after is None else checked_time(after, place=("query", "after"))
        chosen = PollFilter(asked_text("event_type", event_type), asked_text("channel", channel))

        async def read(connection: Connection, endpoint: Endpoint, decided: int) -> Poll:
            if iterator:
                place = Place(position_of(iterator), decided)
            else:
                first = since or endpoint.created_at
                place = await poller.place_since(connection, endpoint.tenant_id, first, decided=decided)
            return await poller.poll(connection, endpoint, place, most=limit, chosen=chosen)

        return await routes.polled(request, (app_id, sink_id), read)

    return poll


def _consuming(routes: PollingRoutes) -> list[HTTPRouteHandler]:
    may_read, poller = routes.endpoints.api.may("events:read"), routes.poller

    @get("/consumer/{consumer_id:str}", guards=may_read, described=Described(gives=PollOut, refuses=(409,)))
    async def poll_as_consumer(
        request: Asked, app_id: str, sink_id: str, consumer_id: str, limit: PageLimit = 50, iterator: Iterator = None
    ) -> Reply:
        """Give what follows where this consumer stands; the iterator that it was given last moves it there first."""
        consumer = _own_consumer(request, consumer_id)

        async def read(connection: Connection, endpoint: Endpoint, decided: int) -> Poll:
            position = position_of(iterator) if iterator else None
            return await poller.poll_as(connection, endpoint, consumer, position=position, decided=decided, most=limit)

        return await routes.polled(request, (app_id, sink_id), read)

    taken = Described(SeekIn, SeekOut, (409,))

    @post("/consumer/{consumer_id:str}/seek", guards=may_read, status_code=200, described=taken)
    async def seek(request: Asked, app_id: str, sink_id: str, consumer_id: str) -> Reply:
        """Let a consumer go on with what was made since a moment."""
        after = read_body(await request.body(), SeekIn).after
        since = checked_time(after, place=("body", "after"))
        consumer, decided = _own_consumer(request, consumer_id), await poller.decided()

        async def act(connection: Connection, endpoint: Endpoint) -> Answer:
            position = await poller.seek(connection, endpoint, consumer, since=since, decided=decided)
            return Answer(200, SeekOut(iterator_of(position)))

        return await routes.endpoints.write(request, (app_id, sink_id), act)

    return [poll_as_consumer, seek]


def _own_consumer(request: Asked, consumer_id: str) -> str:
    """Give the name of a consumer, to a key that may move one: who only looks must not make another miss messages."""
    if caller(request).session is not None:
        raise PermissionDeniedError("A key that came from a link into the portal polls without a name.")
    return checked_consumer(consumer_id)


def poll_out(polled: Poll) -> PollOut:
    """Give what a poll answers."""
    shown: list[Any] = [message_out(each, has_content=True) for each in polled.messages]
    return PollOut(shown, iterator_of(polled.position), polled.is_done)


def checked_consumer(name: str) -> str:
    """Give the name of a consumer back if it can be one.

    Raises:
        InvalidFieldError: `input.field`.
    """
    if 1 <= len(name) <= CONSUMER_LIMIT_CHARS and name.isprintable():
        return name
    raise InvalidFieldError(
        f"A consumer's name has 1 to {CONSUMER_LIMIT_CHARS} printable characters.", place=("path", "consumer_id")
    )
