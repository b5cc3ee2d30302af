"""The webhook API: the transformation of an endpoint."""

from datetime import datetime
from typing import Any

import msgspec
from litestar import Router, get, patch, post
from litestar.handlers import HTTPRouteHandler
from msgspec import UNSET, UnsetType

from rowcast.core.clock import Clock
from rowcast.core.errors import InvalidFieldError, InvalidInputError
from rowcast.server.described import Described
from rowcast.server.webhook_api import PREFIX, Asked, EmptyReply, Reply, replied
from rowcast.server.webhook_api_answers import Answer
from rowcast.server.webhook_api_body import read_body
from rowcast.server.webhook_api_endpoints_frame import ENDPOINT_PATH, EndpointApi
from rowcast.store.pool import Connection
from rowcast.webhooks.endpoint import Endpoint
from rowcast.webhooks.transform import parse_template, rendered
from rowcast.webhooks.transformation import Transformation, TransformationChange, changed_transformation

_PATH = f"{ENDPOINT_PATH}/transformation"


class TransformationIn(msgspec.Struct, frozen=True):
    """What a caller changes of a transformation: absent stays, null unsets. `code` is the template's JSON text."""

    code: str | UnsetType | None = UNSET
    enabled: bool | UnsetType | None = UNSET
    variables: dict[str, str] | UnsetType | None = UNSET

    @property
    def change(self) -> TransformationChange:
        """Give it as the endpoint takes it."""
        return TransformationChange(
            code=self.code,
            enabled=self.enabled if self.enabled is not None else False,
            variables=self.variables if self.variables is not None else {},
        )


class TransformationOut(msgspec.Struct, frozen=True, rename="camel"):
    """A transformation as it is answered."""

    code: str | None
    enabled: bool
    variables: dict[str, str]
    updated_at: datetime | None


class SimulationIn(msgspec.Struct, frozen=True, rename="camel"):
    """A template and a message to try it with; what is absent is the endpoint's own, or nothing."""

    event_type: str
    payload: dict[str, Any] = {}
    code: str | None = None
    variables: dict[str, str] | None = None


class SimulationOut(msgspec.Struct, frozen=True):
    """The body that would be posted."""

    body: Any


def transformation_routes(ground: EndpointApi, *, clock: Clock) -> Router:
    """Give the routes transformation and transformation/simulate of an endpoint."""
    handlers = [_reading(ground), _changing(ground, clock), _simulating(ground, clock)]
    return Router(f"{PREFIX}/app", route_handlers=handlers, tags=["webhook API"])


def _reading(ground: EndpointApi) -> HTTPRouteHandler:
    @get(_PATH, guards=ground.api.may("endpoints:read"), described=Described(gives=TransformationOut))
    async def read_transformation(request: Asked, app_id: str, endpoint_id: str) -> Reply:
        """Give the template by which an endpoint's messages are made anew."""
        async with ground.api.database.transaction() as connection:
            found = await ground.find(request, (app_id, endpoint_id), connection)
            kept = await ground.table.transformation(connection, found)
        return replied(Answer(200, TransformationOut(kept.code, kept.enabled, kept.variables, kept.updated_at)))

    return read_transformation


def _changing(ground: EndpointApi, clock: Clock) -> HTTPRouteHandler:
    may_write, described = ground.api.may("endpoints:write"), Described(TransformationIn)

    @patch(_PATH, guards=may_write, status_code=204, described=described)
    async def patch_transformation(request: Asked, app_id: str, endpoint_id: str) -> EmptyReply:
        """Change what is given of it; a template that cannot be used is refused."""
        change = read_body(await request.body(), TransformationIn).change

        async def act(connection: Connection, found: Endpoint) -> None:
            kept = await ground.table.transformation(connection, found)
            made = changed_transformation(kept, change, now=clock.now())
            await ground.table.set_transformation(connection, found, made)

        return await ground.write_empty(request, (app_id, endpoint_id), act)

    return patch_transformation


def _simulating(ground: EndpointApi, clock: Clock) -> HTTPRouteHandler:
    described = Described(SimulationIn, SimulationOut)

    @post(f"{_PATH}/simulate", guards=ground.api.may("endpoints:write"), status_code=200, described=described)
    async def simulate_transformation(request: Asked, app_id: str, endpoint_id: str) -> Reply:
        """Give what a template would make of a message; nothing is kept and nothing posted."""
        data = read_body(await request.body(), SimulationIn)
        async with ground.api.database.transaction() as connection:
            found = await ground.find(request, (app_id, endpoint_id), connection)
            kept = await ground.table.transformation(connection, found)
        return replied(Answer(200, SimulationOut(_simulated(data, kept, now=clock.now()))))

    return simulate_transformation


def _simulated(data: SimulationIn, kept: Transformation, *, now: datetime) -> msgspec.Raw:
    code = data.code if data.code is not None else kept.code
    if code is None:
        raise InvalidFieldError("The endpoint has no template; give one.", place=("body", "code"))
    variables = kept.variables if data.variables is None else data.variables
    message = {"type": data.event_type, "timestamp": now.isoformat(), "data": data.payload, "variables": variables}
    template = parse_template(code)
    try:
        return msgspec.Raw(rendered(template, message))
    except InvalidInputError as error:
        raise InvalidFieldError(str(error), place=("body", "payload")) from error
