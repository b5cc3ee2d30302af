"""The frame of the webhook API: who may call, which application is meant, and what a request does once.

A route that reads answers a page or a record; one that writes hands what it does to `write`, which runs it in one
transaction and keeps the answer under the request's idempotency key. Every refusal is raised; `http` gives it the form
that the SDKs read.

    @get("/app/{app_id:str}/thing", guards=api.may("endpoints:read"), described=Described(gives=Page[ThingOut]))
    async def list_things(request: Asked, app_id: str, limit: PageLimit = 50, iterator: Iterator = None) -> Reply:
        turn = turn_of(limit=limit, iterator=iterator, is_falling=False, prefix="thing_")
        application = await api.application(request, app_id)
        rows = await table.page(application.tenant_id, turn)
        return replied(Answer(200, page_of(rows, turn, key=thing_id, show=thing_out)))

    @post("/app/{app_id:str}/thing", guards=api.may("endpoints:write"), described=Described(ThingIn, ThingOut))
    async def create_thing(request: Asked, app_id: str) -> Reply:
        data = read_body(await request.body(), ThingIn)

        async def act(connection: Connection) -> Answer:
            application = await api.application(request, app_id, connection)
            return Answer(201, thing_out(await table.create(connection, application.tenant_id, data)))

        return await api.write(request, act)

`described` is for the OpenAPI document, which is held against what the server answers: the body that the route reads by
hand and what it answers (`{200: ThingOut, 201: ThingOut}` where there are several statuses). Refusals by key, path,
query and body follow from the route's shape; others are named: `Described(ThingIn, ThingOut, (429,))`. A query that the
route reads by hand: `Described(gives=Page[ThingOut], asks={"event_types": str})`.

What `act` does, it does on `connection` and nowhere else, and it posts nothing: its transaction is open. In `ThingIn`
(`rename="camel"`) a field of a PATCH is `int | None | UnsetType = UNSET`: absent keeps, null unsets.
"""

from collections.abc import Awaitable, Callable
from typing import Annotated, Any

from litestar import Request, Response
from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler
from litestar.params import Parameter

from rowcast.core.errors import ConflictError, NotFoundError, PermissionDeniedError
from rowcast.server.http import KeyFinder, needs
from rowcast.server.keys import ApiKey
from rowcast.server.webhook_api_answers import Act, Again, Answer, AnswerTable, AskedOnce, Sent, asked_once
from rowcast.server.webhook_api_pages import PAGE_MOST, Order
from rowcast.store.pool import Connection, Database, Session
from rowcast.webhooks.application import Application
from rowcast.webhooks.application_table import ApplicationTable

PREFIX = "/api/v1"
IDEMPOTENCY_HEADER = "idempotency-key"
NAME_MOST = 512

Asked = Request[Any, Any, Any]
Reply = Response[bytes]
EmptyReply = Response[None]
PageLimit = Annotated[int, Parameter(ge=1, le=PAGE_MOST)]
Iterator = Annotated[str | None, Parameter(query="iterator")]
PageOrder = Annotated[Order | None, Parameter(query="order")]
Guard = Callable[[ASGIConnection[Any, Any, Any, Any], BaseRouteHandler], Awaitable[None]]


class WebhookApi:
    """What all routes of the webhook API share."""

    __slots__ = ("_answers", "_find_key", "applications", "database")

    def __init__(
        self, *, database: Database, find_key: KeyFinder, applications: ApplicationTable, answers: AnswerTable
    ) -> None:
        """Ask for what it needs."""
        self.database = database
        self.applications = applications
        self._find_key = find_key
        self._answers = answers

    def may_any(self) -> list[Guard]:
        """Give the guards of a route that asks for a key, whatever it may do."""
        return [needs(None, self._find_key)]

    def may(self, scope: str) -> list[Guard]:
        """Give the guards of a route that asks for `scope`."""
        return [needs(scope, self._find_key)]

    def may_for_all(self, scope: str) -> list[Guard]:
        """Give the guards of a route that asks for `scope` and for a key that is bound to no tenant."""
        return [needs(scope, self._find_key), _bound_to_none]

    async def application(self, request: Asked, app_id: str, session: Session | None = None) -> Application:
        """Give the application that a path names by id, uid or tenant.

        Args:
            request: Its key says whose application it may be.
            app_id: The part of the path.
            session: The transaction of a request that writes.
        Raises:
            NotFoundError: `input.not_found`, also where the key is another tenant's.
        """
        if session is None:
            async with self.database.transaction() as connection:
                return await self.application(request, app_id, connection)
        return await self.applications.get(session, self.named(app_id), tenant_id=caller(request).tenant_id)

    def named(self, part: str) -> str:
        """Give a part of a path back if it can name anything: PostgreSQL keeps no NUL, and names are not longer.

        Raises:
            NotFoundError: `input.not_found`.
        """
        if 1 <= len(part) <= NAME_MOST and part.isprintable():
            return part
        raise NotFoundError("There is no such thing for this API key.")

    async def write(self, request: Asked, act: Act, *, again: Again | None = None) -> Reply:
        """Run what a request does and give its answer; a POST with an idempotency key is run once.

        An answer that shows what can be removed is not kept: `again` makes it anew from its `about`.

        Raises:
            ConflictError: `input.conflict`, when the key belongs to another request, or the same one still runs.
        """
        return _reply(await self._answers.run(act, await _asked_once(request), again=again))

    async def find_or_write(self, request: Asked, act: Act) -> Reply:
        """Write where `act` looks before it makes: whoever was overtaken between the two looks again and finds it.

        Raises:
            ConflictError: `input.conflict`, when it is something else that is in the way.
        """
        was_overtaken = False

        async def noted(connection: Connection) -> Answer:
            nonlocal was_overtaken
            try:
                return await act(connection)
            except ConflictError:
                was_overtaken = True
                raise

        try:
            return await self.write(request, noted)
        except ConflictError:
            # A conflict of the idempotency key is none that looking again would end.
            if not was_overtaken:
                raise
        return await self.write(request, act)

    async def write_empty(self, request: Asked, act: Callable[[Connection], Awaitable[None]]) -> EmptyReply:
        """Run what a request does and answer 204; otherwise like `write`. Such a route says `status_code=204`."""

        async def acted(connection: Connection) -> Answer:
            await act(connection)
            return Answer(204)

        await self._answers.run(acted, await _asked_once(request))
        return Response(None, status_code=204)


def caller(request: Asked) -> ApiKey:
    """Give the key that a request came with."""
    key: ApiKey = request.state["key"]
    return key


def replied(answer: Answer) -> Reply:
    """Give the HTTP answer of a route that only reads."""
    return _reply(Sent(answer.status, answer.text))


async def _asked_once(request: Asked) -> AskedOnce | None:
    key = request.headers.get(IDEMPOTENCY_HEADER)
    if key is None or request.method != "POST":
        return None
    query = request.scope["query_string"].decode("latin-1")
    place = f"{request.method} {request.scope['path']}?{query}"
    return asked_once(caller(request).id, key, place=place, body=await request.body())


def _reply(sent: Sent) -> Reply:
    # An empty answer has no type: the SDKs look at the status only.
    return Response(sent.text, status_code=sent.status, media_type="application/json" if sent.text else None)


async def _bound_to_none(connection: ASGIConnection[Any, Any, Any, Any], _: BaseRouteHandler) -> None:
    key: ApiKey = connection.state["key"]
    if key.tenant_id is not None:
        raise PermissionDeniedError(
            f"The API key {key.id} is bound to the tenant {key.tenant_id}. This needs a key for all tenants."
        )
