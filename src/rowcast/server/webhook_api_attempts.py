"""The webhook API: attempts, where messages stand, and sending again."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Annotated

from litestar import Router, delete, get, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import Parameter

from rowcast.server.described import Described
from rowcast.server.webhook_api import PREFIX, Asked, EmptyReply, Reply, replied
from rowcast.server.webhook_api_answers import Answer
from rowcast.server.webhook_api_attempt_forms import (
    AttemptOut,
    Empty,
    EndpointMessageOut,
    MessageEndpointOut,
    attempt_out,
    endpoint_message_out,
    message_endpoint_out,
)
from rowcast.server.webhook_api_endpoints_frame import ENDPOINT_PATH, EndpointApi
from rowcast.server.webhook_api_pages import Page, Turn, page_of
from rowcast.server.webhook_api_query import (
    ATTEMPTS,
    CHOSEN,
    EVENT_TYPES,
    SHOWN,
    AskedShown,
    AskedTurn,
    ChosenAttempts,
    newest_first,
    oldest_first,
    passed_attempt,
    passed_message,
)
from rowcast.store.pool import Connection
from rowcast.webhooks.attempt_list import Attempt, AttemptList, Leg
from rowcast.webhooks.endpoint import Endpoint
from rowcast.webhooks.ids import ATTEMPT_PREFIX, ENDPOINT_PREFIX, MESSAGE_PREFIX
from rowcast.webhooks.message_table import Message, MessageTable

OfEndpoint = Annotated[str | None, Parameter(query="endpoint_id")]
Place = tuple[str, str]
"""What a path names: an application and a message, each by id or by the caller's own name."""

_LISTED = {"shown": SHOWN, "chosen": CHOSEN, "attempts": ATTEMPTS}
_ATTEMPTS = Described(gives=Page[AttemptOut], asks=EVENT_TYPES)
_ATTEMPT_PATH = "/{app_id:str}/msg/{message_id:str}/attempt/{attempt_id:str}"


class AttemptRoutes:
    """What the routes of attempts share."""

    __slots__ = ("api", "attempts", "endpoints", "messages", "nudge")

    def __init__(
        self,
        endpoints: EndpointApi,
        *,
        messages: MessageTable,
        attempts: AttemptList,
        nudge: Callable[[], None] | None = None,
    ) -> None:
        """Ask for what they need; `nudge` is for whoever delivers in this process."""
        self.nudge = nudge
        self.api = endpoints.api
        self.endpoints = endpoints
        self.messages = messages
        self.attempts = attempts

    async def message(self, request: Asked, place: Place, connection: Connection) -> tuple[str, Message]:
        """Give the tenant and the message that a path names.

        Raises:
            NotFoundError: `input.not_found`.
        """
        app_id, message_id = place
        tenant_id = (await self.api.application(request, app_id, connection)).tenant_id
        return tenant_id, await self.messages.get(connection, tenant_id, self.api.named(message_id))

    async def target(self, connection: Connection, tenant_id: str, name: str | None) -> str | None:
        """Give the id of the endpoint that a query names, None for every one; one that was removed has its id still.

        Raises:
            NotFoundError: `input.not_found`, for a uid that no endpoint has.
        """
        if not name or name.startswith(ENDPOINT_PREFIX):
            return self.api.named(name) if name else None
        return (await self.endpoints.table.named(connection, tenant_id, self.api.named(name))).id


def attempt_routes(own: AttemptRoutes) -> Router:
    """Give the routes under /api/v1/app/{app_id} that are about attempts."""
    handlers = [
        _at_endpoint(own), _at_message(own), *_looking(own), _messages(own), _destinations(own), _sending(own),
    ]  # fmt: skip
    return Router(f"{PREFIX}/app", route_handlers=handlers, tags=["webhook API"])


def _at_endpoint(own: AttemptRoutes) -> HTTPRouteHandler:
    @get(
        "/{app_id:str}/attempt/endpoint/{endpoint_id:str}",
        guards=own.api.may("deliveries:read"),
        dependencies={**_LISTED, "turn": newest_first(ATTEMPT_PREFIX)},
        described=_ATTEMPTS,
    )
    async def list_attempts_of_endpoint(
        request: Asked,
        app_id: str,
        endpoint_id: str,
        turn: AskedTurn,
        attempts: ChosenAttempts,
        shown: AskedShown,
    ) -> Reply:
        """List attempts at one endpoint, those of the newest deliveries first."""
        after = passed_attempt(turn)
        async with own.api.database.transaction() as connection:
            endpoint = await own.endpoints.find(request, (app_id, endpoint_id), connection)
            rows = await own.attempts.of_endpoint(
                connection, endpoint, chosen=attempts, after=after, is_falling=turn.reads_falling, most=turn.rows
            )
        return _page(rows, turn, show=partial(attempt_out, shown=shown))

    return list_attempts_of_endpoint


def _at_message(own: AttemptRoutes) -> HTTPRouteHandler:
    @get(
        "/{app_id:str}/attempt/msg/{message_id:str}",
        guards=own.api.may("deliveries:read"),
        dependencies={**_LISTED, "turn": newest_first(ATTEMPT_PREFIX)},
        described=_ATTEMPTS,
    )
    async def list_attempts_of_message(
        request: Asked,
        app_id: str,
        message_id: str,
        turn: AskedTurn,
        attempts: ChosenAttempts,
        shown: AskedShown,
        endpoint_id: OfEndpoint = None,
    ) -> Reply:
        """List attempts at posting one message, those of the newest deliveries first."""
        after = passed_attempt(turn)
        async with own.api.database.transaction() as connection:
            tenant_id, message = await own.message(request, (app_id, message_id), connection)
            place = (tenant_id, message.event_id, await own.target(connection, tenant_id, endpoint_id))
            rows = await own.attempts.of_message(
                connection, place, chosen=attempts, after=after, is_falling=turn.reads_falling, most=turn.rows
            )
        return _page(rows, turn, show=partial(attempt_out, shown=shown))

    return list_attempts_of_message


def _looking(own: AttemptRoutes) -> list[HTTPRouteHandler]:
    @get(
        _ATTEMPT_PATH,
        guards=own.api.may("deliveries:read"),
        dependencies={"shown": SHOWN},
        described=Described(gives=AttemptOut),
    )
    async def read_attempt(request: Asked, app_id: str, message_id: str, attempt_id: str, shown: AskedShown) -> Reply:
        """Give one attempt with what was answered to it."""
        async with own.api.database.transaction() as connection:
            tenant_id, message = await own.message(request, (app_id, message_id), connection)
            found = await own.attempts.get(connection, tenant_id, message.event_id, name=attempt_id)
        return replied(Answer(200, attempt_out(found, shown=shown)))

    @delete(f"{_ATTEMPT_PATH}/content", guards=own.api.may("events:write"), status_code=204)
    async def expunge_attempt(request: Asked, app_id: str, message_id: str, attempt_id: str) -> EmptyReply:
        """Remove what was answered to one attempt; that it was, and what came of it, stays."""

        async def act(connection: Connection) -> None:
            tenant_id, message = await own.message(request, (app_id, message_id), connection)
            found = await own.attempts.get(connection, tenant_id, message.event_id, name=attempt_id)
            await own.attempts.expunge(connection, found)

        return await own.api.write_empty(request, act)

    return [read_attempt, expunge_attempt]


def _messages(own: AttemptRoutes) -> HTTPRouteHandler:
    @get(
        f"{ENDPOINT_PATH}/msg",
        guards=own.api.may("deliveries:read"),
        dependencies={**_LISTED, "turn": newest_first(MESSAGE_PREFIX)},
        described=Described(gives=Page[EndpointMessageOut], asks=EVENT_TYPES),
    )
    async def list_attempted_messages(
        request: Asked,
        app_id: str,
        endpoint_id: str,
        turn: AskedTurn,
        attempts: ChosenAttempts,
        shown: AskedShown,
    ) -> Reply:
        """List the messages that an endpoint is or was owed, newest first, and where each stands."""
        after = passed_message(turn)
        async with own.api.database.transaction() as connection:
            endpoint = await own.endpoints.find(request, (app_id, endpoint_id), connection)
            rows = await own.attempts.messages_of(
                connection, endpoint, chosen=attempts, after=after, is_falling=turn.reads_falling, most=turn.rows
            )
        page = page_of(rows, turn, key=lambda row: row[0].id, show=lambda row: endpoint_message_out(*row, shown=shown))
        return replied(Answer(200, page))

    return list_attempted_messages


def _destinations(own: AttemptRoutes) -> HTTPRouteHandler:
    @get(
        "/{app_id:str}/msg/{message_id:str}/endpoint",
        guards=own.api.may("deliveries:read"),
        dependencies={"turn": oldest_first(ENDPOINT_PREFIX)},
        described=Described(gives=Page[MessageEndpointOut]),
    )
    async def list_attempted_destinations(request: Asked, app_id: str, message_id: str, turn: AskedTurn) -> Reply:
        """List the endpoints that are or were owed a message, by id, and where it stands with each."""
        async with own.api.database.transaction() as connection:
            tenant_id, message = await own.message(request, (app_id, message_id), connection)
            legs = await own.attempts.legs_of(connection, tenant_id, message.event_id)
        endpoints = (await own.endpoints.table.for_tenants([tenant_id])).get(tenant_id, [])
        rows = _turned([(each, legs[each.id]) for each in endpoints if each.id in legs], turn)
        page = page_of(rows, turn, key=lambda row: row[0].id, show=lambda row: message_endpoint_out(*row))
        return replied(Answer(200, page))

    return list_attempted_destinations


def _sending(own: AttemptRoutes) -> HTTPRouteHandler:
    path = "/{app_id:str}/msg/{message_id:str}/endpoint/{endpoint_id:str}/resend"

    @post(
        path, guards=own.api.may("deliveries:replay"), status_code=202, described=Described(gives=Empty, refuses=(409,))
    )
    async def resend_message(request: Asked, app_id: str, message_id: str, endpoint_id: str) -> Reply:
        """Send a message to an endpoint again, whatever came of it; what waits for its next attempt is tried now."""

        async def act(connection: Connection, endpoint: Endpoint) -> Answer:
            message = await own.messages.get(connection, endpoint.tenant_id, own.api.named(message_id))
            await own.attempts.resend(connection, endpoint, message)
            return Answer(202, Empty())

        reply = await own.endpoints.write(request, (app_id, endpoint_id), act)
        if own.nudge is not None:
            own.nudge()
        return reply

    return resend_message


def _page(rows: Sequence[Attempt], turn: Turn, *, show: Callable[[Attempt], AttemptOut]) -> Reply:
    return replied(Answer(200, page_of(rows, turn, key=lambda each: each.id, show=show)))


def _turned(rows: Sequence[tuple[Endpoint, Leg]], turn: Turn) -> list[tuple[Endpoint, Leg]]:
    """Give as many rows as a page needs, in the order in which it reads them."""
    ordered = sorted(rows, key=lambda row: row[0].id, reverse=turn.reads_falling)
    if not turn.after:
        return ordered[: turn.rows]
    beyond = [row for row in ordered if (row[0].id < turn.after if turn.reads_falling else row[0].id > turn.after)]
    return beyond[: turn.rows]
