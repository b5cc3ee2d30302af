"""The webhook API: numbers of an endpoint, and an example message for it alone."""

from datetime import datetime
from typing import Annotated, Any

import msgspec
from litestar import Router, get, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import Parameter

from rowcast.core.clock import Clock
from rowcast.core.codec import encode_json
from rowcast.server.described import Described
from rowcast.server.webhook_api import PREFIX, Asked, Reply, replied
from rowcast.server.webhook_api_answers import Answer
from rowcast.server.webhook_api_body import read_body
from rowcast.server.webhook_api_endpoints_frame import ENDPOINT_PATH, EndpointApi
from rowcast.server.webhook_api_filters import asked_time
from rowcast.server.webhook_api_message_forms import MessageOut, message_out
from rowcast.store.pool import Connection
from rowcast.webhooks.endpoint import Endpoint
from rowcast.webhooks.endpoint_stats import AttemptStats, EndpointStats, MessageStats
from rowcast.webhooks.event_type_table import EventTypeTable
from rowcast.webhooks.example_payload import SMALL, example_payload
from rowcast.webhooks.example_table import ExampleTable
from rowcast.webhooks.ids import message_id
from rowcast.webhooks.json_schema import newest_schema
from rowcast.webhooks.message_draft import MessageDraft, checked_message
from rowcast.webhooks.message_table import MessageTable
from rowcast.webhooks.payload_check import PayloadCheck

Since = Annotated[datetime | None, Parameter(query="since")]
Until = Annotated[datetime | None, Parameter(query="until")]


class ExampleIn(msgspec.Struct, frozen=True, rename="camel"):
    """Which example to send; a payload of one's own must fit the type."""

    event_type: str
    example_index: int | None = None
    payload: dict[str, Any] | None = None


class Examples:
    """What an example is made of, and where it is written."""

    __slots__ = ("_check", "_clock", "_messages", "_table", "_types")

    def __init__(self, *, types: EventTypeTable, check: PayloadCheck, clock: Clock) -> None:
        """Ask for what it needs."""
        self._types = types
        self._check = check
        self._clock = clock
        self._table = ExampleTable()
        self._messages = MessageTable()

    async def send(self, connection: Connection, endpoint: Endpoint, data: ExampleIn) -> MessageOut:
        """Write an example for one endpoint alone, and give it as a message.

        Raises:
            InvalidInputError: `input.event_type` or `input.payload`.
        """
        payload = data.payload if data.payload is not None else await self._made(connection, data)
        draft = MessageDraft(event_type=data.event_type, payload=encode_json(payload))
        checked_message(draft, now=self._clock.now())
        if data.payload is not None:
            await self._check.check(connection, draft)
        event_id = await self._table.send(
            connection,
            endpoint,
            event_type=data.event_type,
            payload=payload,
            aggregate_type=self._check.aggregate_type(data.event_type),
        )
        message = await self._messages.get(connection, endpoint.tenant_id, message_id(event_id))
        return message_out(message, has_content=True)

    async def _made(self, connection: Connection, data: ExampleIn) -> dict[str, Any]:
        known = await self._types.find(connection, data.event_type)
        newest = None if known is None else newest_schema(known.draft.schemas)
        return dict(SMALL) if newest is None else example_payload(newest[1], index=data.example_index or 0)


def endpoint_stats_routes(ground: EndpointApi, examples: Examples) -> Router:
    """Give the routes stats, attempt-stats and send-example of an endpoint."""
    handlers = [*_counting(ground), _sending(ground, examples)]
    return Router(f"{PREFIX}/app", route_handlers=handlers, tags=["webhook API"])


def _counting(ground: EndpointApi) -> list[HTTPRouteHandler]:
    stats, may_read = EndpointStats(), ground.api.may("endpoints:read")

    @get(f"{ENDPOINT_PATH}/stats", guards=may_read, described=Described(gives=MessageStats))
    async def read_stats(
        request: Asked, app_id: str, endpoint_id: str, since: Since = None, until: Until = None
    ) -> Reply:
        """Count the messages of an endpoint by what became of them."""
        async with ground.api.database.transaction() as connection:
            found = await ground.find(request, (app_id, endpoint_id), connection)
            counted = await stats.messages(connection, found, since=asked_time(since), until=asked_time(until))
        return replied(Answer(200, counted))

    @get(f"{ENDPOINT_PATH}/attempt-stats", guards=may_read, described=Described(gives=AttemptStats))
    async def read_attempt_stats(
        request: Asked, app_id: str, endpoint_id: str, since: Since = None, until: Until = None
    ) -> Reply:
        """Count the attempts of an endpoint by what they came to, in whole hours."""
        async with ground.api.database.transaction() as connection:
            found = await ground.find(request, (app_id, endpoint_id), connection)
            counted = await stats.attempts(connection, found, since=asked_time(since), until=asked_time(until))
        return replied(Answer(200, counted))

    return [read_stats, read_attempt_stats]


def _sending(ground: EndpointApi, examples: Examples) -> HTTPRouteHandler:
    may_write, described = ground.api.may("endpoints:write"), Described(ExampleIn, MessageOut)

    @post(f"{ENDPOINT_PATH}/send-example", guards=may_write, status_code=200, described=described)
    async def send_example(request: Asked, app_id: str, endpoint_id: str) -> Reply:
        """Send an example message to one endpoint and nobody else."""
        data = read_body(await request.body(), ExampleIn)

        async def act(connection: Connection, found: Endpoint) -> Answer:
            return Answer(200, await examples.send(connection, found, data))

        return await ground.write(request, (app_id, endpoint_id), act)

    return send_example
