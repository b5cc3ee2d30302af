"""HTTP: where other systems' webhooks come in. No key is asked for: each sender signs in its own way."""

from typing import Any

from litestar import Request, Response, Router, get, post
from litestar.exceptions import HTTPException

from rowcast.core.telemetry import tell
from rowcast.server.described import Described
from rowcast.webhooks.incoming import IncomingRequest
from rowcast.webhooks.incoming_desk import IncomingDesk
from rowcast.webhooks.incoming_schemes import Thanks

BODY_LIMIT_BYTES = 1024 * 1024


_GIVEN_AS = ("text/plain", "text/xml", "application/json")


def incoming_routes(desk: IncomingDesk) -> Router:
    """Give the routes under /in."""

    @post(
        "/{source_id:str}", status_code=200, request_max_body_size=BODY_LIMIT_BYTES,
        described=Described(Any, refuses=(401, 429), given_as=_GIVEN_AS),
    )  # fmt: skip
    async def take_webhook(request: Request[Any, Any, Any], source_id: str) -> Response[bytes]:
        """Take what a sender tells, once its signature has been verified."""
        return _answer(await desk.take(source_id, await _read(request, f"/in/{source_id}")))

    @get("/{source_id:str}", described=Described(given_as=_GIVEN_AS))
    async def look_at_webhook(source_id: str) -> Response[bytes]:
        """Answer a sender that looks whether its URL is there."""
        return _answer(await desk.look(source_id))

    return Router("/in", route_handlers=[take_webhook, look_at_webhook], tags=["incoming"])


async def _read(request: Request[Any, Any, Any], path: str) -> IncomingRequest:
    """Give the request as it came in; of a header that comes twice the values stand behind one another."""
    headers: dict[str, bytes] = {}
    for raw_name, value in request.scope["headers"]:
        name = raw_name.decode("latin-1").lower()
        headers[name] = headers[name] + b"," + value if name in headers else value
    query: bytes = request.scope["query_string"]
    return IncomingRequest(body=await _body(request), headers=headers, path=path, query=query)


async def _body(request: Request[Any, Any, Any]) -> bytes:
    try:
        return await request.body()
    except HTTPException as error:
        if error.status_code == 413:
            tell("incoming.refused", reason="too_large")
        raise


def _answer(thanks: Thanks) -> Response[bytes]:
    return Response(thanks.body, status_code=200, media_type=thanks.media_type)
