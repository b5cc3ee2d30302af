"""HTTP of `rowcast dev`: the live page, its data, and the receiver of webhooks. Never mounted by `rowcast serve`."""

from importlib import resources
from typing import Any

import msgspec
from litestar import Request, Response, Router, get, post
from litestar.exceptions import NotFoundException
from litestar.response import Redirect

from rowcast.core.codec import decode_json
from rowcast.core.errors import InvalidInputError
from rowcast.delivery.history import DeliveryFilter, History
from rowcast.webhooks.catcher import Catcher, Caught

_ROWS = 40
_MEDIA_TYPES = {".html": "text/html; charset=utf-8", ".css": "text/css", ".js": "text/javascript"}
_SECURITY_HEADERS = {
    "content-security-policy": (
        "default-src 'self'; img-src 'self' data:; connect-src 'self' ws: wss:; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-cache",
}


class LiveConfig(msgspec.Struct, frozen=True, rename="camel"):
    """What the live page needs to join."""

    realtime_url: str
    anon_key: str
    token: str
    tenant_id: str
    topics: tuple[str, ...]
    example: str


def dev_routes(*, config: LiveConfig, catcher: Catcher, history: History) -> Router:
    """Give the routes of a development server."""

    @get("/", include_in_schema=False)
    async def home() -> Redirect:
        return Redirect("/live")

    @get("/live", include_in_schema=False)
    async def live() -> Response[bytes]:
        return _static("live.html")

    @get("/static/{name:str}", include_in_schema=False)
    async def static(name: str) -> Response[bytes]:
        return _static(name)

    @get("/dev/config", include_in_schema=False)
    async def live_config() -> LiveConfig:
        return config

    @get("/dev/received", include_in_schema=False)
    async def received() -> dict[str, Any]:
        """Give what the catcher and the jobs received, newest first."""
        caught = catcher.caught
        page = await history.page(DeliveryFilter(sink="jobs"), tenant_id=config.tenant_id, limit=_ROWS)
        counts = await history.counts(tenant_id=config.tenant_id)
        done = sum(count.deliveries for count in counts if (count.sink, count.status) == ("jobs", "delivered"))
        return {
            "webhooks": {"total": catcher.total, "rows": [_webhook_row(item) for item in caught[:_ROWS]]},
            "jobs": {"total": done, "rows": [_job_row(record) for record in page.deliveries]},
        }

    @post("/catcher", include_in_schema=False, status_code=204)
    async def catch(request: Request[Any, Any, Any]) -> None:
        """Receive a webhook as anybody's server would: verify it and keep it."""
        catcher.receive(dict(request.headers), await request.body())

    @get("/catcher", include_in_schema=False)
    async def caught() -> dict[str, Any]:
        """Give what the catcher received, newest first."""
        return {"data": [_webhook_row(item) for item in catcher.caught]}

    return Router("/", route_handlers=[home, live, static, live_config, received, catch, caught])


def _webhook_row(item: Caught) -> dict[str, Any]:
    body = _body_value(item.body)
    kind = body.get("type", "") if isinstance(body, dict) else ""
    return {
        "id": item.message_id, "type": kind, "receivedAt": item.received_at, "verified": item.is_verified,
        "reason": item.problem, "body": body,
    }  # fmt: skip


def _body_value(text: str) -> Any:
    try:
        return decode_json(text)
    except InvalidInputError:
        return text


def _job_row(record: Any) -> dict[str, Any]:
    result = None if record.result is None else msgspec.Raw(record.result.encode())
    return {
        "target": record.target, "status": record.status, "attempt": record.attempt, "error": record.error,
        "at": record.settled_at or record.due_at, "result": result,
    }  # fmt: skip


def _static(name: str) -> Response[bytes]:
    suffix = name[name.rfind(".") :]
    # Looked up among the names there are: a name never becomes a path.
    files = {file.name: file for file in resources.files("rowcast.observe.dashboard").joinpath("static").iterdir()}
    file = files.get(name)
    if suffix not in _MEDIA_TYPES or file is None:
        raise NotFoundException("There is no such file.")
    return Response(file.read_bytes(), media_type=_MEDIA_TYPES[suffix], headers=_SECURITY_HEADERS)
