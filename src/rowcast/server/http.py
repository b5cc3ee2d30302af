"""The HTTP application: who may call, how an error looks, and the OpenAPI document."""

import math
import traceback
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import PurePath
from typing import Annotated, Any

from litestar import Litestar, Request, Response
from litestar.connection import ASGIConnection
from litestar.datastructures import MutableScopeHeaders
from litestar.exceptions import HTTPException
from litestar.handlers import BaseRouteHandler
from litestar.openapi import OpenAPIConfig
from litestar.params import Parameter
from litestar.router import Router
from litestar.routes import HTTPRoute
from litestar.types import Message, Scope

from rowcast.core.errors import (
    AuthenticationError,
    InvalidInputError,
    LimitExceededError,
    PermissionDeniedError,
    RowcastError,
)
from rowcast.core.telemetry import tell
from rowcast.server.keys import ApiKey, require_scope
from rowcast.server.openapi import DocumentPlugin
from rowcast.server.webhook_api_errors import failed, is_webhook_api, refused, refused_by_library
from rowcast.server.wire import GREATEST_ID, Problem, camel

REQUEST_LIMIT_BYTES = 256 * 1024
_DOCS = "urn:rowcast:error:"
_HTTP_CODES = {
    400: "input.invalid",
    404: "input.not_found",
    405: "input.method",
    413: "input.too_large",
    415: "input.media_type",
}

KeyFinder = Callable[[str], Awaitable[ApiKey]]
TenantQuery = Annotated[str | None, Parameter(query="tenantId")]
Limit = Annotated[int, Parameter(ge=1, le=500)]
IdCursor = Annotated[int | None, Parameter(query="cursor", ge=1, le=GREATEST_ID)]


def problem_of(error: RowcastError) -> Problem:
    """Give the body that tells `error` to the caller."""
    title = type(error).__name__.removesuffix("Error")
    return Problem(_DOCS + error.code, title, error.http_status, str(error), error.code)


def problem_response(error: RowcastError) -> Response[Problem]:
    """Give the answer that tells `error` to the caller."""
    headers = {}
    if isinstance(error, LimitExceededError):
        headers["retry-after"] = str(max(1, math.ceil(error.retry_after_s)))
    if isinstance(error, AuthenticationError):
        headers["www-authenticate"] = "Bearer"
    return Response(
        problem_of(error),
        status_code=error.http_status,
        media_type="application/problem+json",
        headers=headers,
    )


def needs(
    scope: str | None, find_key: KeyFinder
) -> Callable[[ASGIConnection[Any, Any, Any, Any], BaseRouteHandler], Awaitable[None]]:
    """Give a guard that lets only keys with `scope` through (None: any) and leaves the key in the request's state."""

    async def guard(connection: ASGIConnection[Any, Any, Any, Any], _: BaseRouteHandler) -> None:
        key = await find_key(bearer(connection.headers.get("authorization", "")))
        if key.session is not None and not is_webhook_api(connection.scope["path"]):
            # Elsewhere the same scopes reach a tenant's jobs and all other legs of its events.
            raise PermissionDeniedError("A key that came from a link into the portal opens the webhook API only.")
        if scope is not None:
            require_scope(key, scope)
        connection.state["key"] = key

    return guard


def bearer(header: str) -> str:
    """Give the token of an Authorization header.

    Raises:
        AuthenticationError: `auth.missing`.
    """
    scheme, _, token = header.partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise AuthenticationError("Send the API key as 'Authorization: Bearer rk_...'.")
    return token.strip()


def create_application(routes: Sequence[Router]) -> Litestar:
    """Give the ASGI application that serves `routes`."""
    return Litestar(
        route_handlers=list(routes),
        exception_handlers={
            RowcastError: _on_refusal,
            HTTPException: _on_http_error,
            RecursionError: _on_depth,
            Exception: _on_crash,
        },
        openapi_config=OpenAPIConfig(title="rowcast", version="1", path="/api", render_plugins=[DocumentPlugin()]),
        request_max_body_size=REQUEST_LIMIT_BYTES,
        before_send=[_tell_methods],
        logging_config=None,
        debug=False,
        pdb_on_exception=False,
    )


async def _tell_methods(message: Message, scope: Scope) -> None:
    """Tell all methods of a path where it is asked for them: the library knows only those of its first handler."""
    if message["type"] != "http.response.start" or scope.get("method") != "OPTIONS":
        return
    headers = MutableScopeHeaders.from_message(message)
    if "allow" in headers:
        paths = (each for each in scope["litestar_app"].routes if isinstance(each, HTTPRoute))
        methods = {method for each in paths if each.path_format == scope["path_template"] for method in each.methods}
        headers["allow"] = ", ".join(sorted(methods))


def _on_refusal(request: Request[Any, Any, Any], error: RowcastError) -> Response[Any]:
    return refused(error) if is_webhook_api(request.scope["path"]) else problem_response(error)


def _on_depth(request: Request[Any, Any, Any], error: RecursionError) -> Response[Any]:
    """Give the answer for a body that is nested deeper than the reader can follow."""
    refusal = InvalidInputError("The body is nested too deeply. Send it flatter.", code="input.not_json")
    return _on_refusal(request, refusal)


def _on_http_error(request: Request[Any, Any, Any], error: HTTPException) -> Response[Any]:
    """Give the answer for what the library refuses before a route is reached, in the form of that path."""
    if is_webhook_api(request.scope["path"]):
        return refused_by_library(error)
    code = _HTTP_CODES.get(error.status_code, "input.invalid")
    title = "InvalidInput" if code == "input.invalid" else "".join(word.title() for word in code[6:].split("_"))
    detail = _validation_text(error) or error.detail
    return Response(
        Problem(_DOCS + code, title, error.status_code, detail, code),
        status_code=error.status_code,
        media_type="application/problem+json",
        headers=error.headers,
    )


def _validation_text(error: HTTPException) -> str:
    """Say which fields are wrong: the library keeps them apart from its sentence."""
    if not isinstance(error.extra, list):
        return ""
    return "; ".join(_fault_text(item) for item in error.extra if isinstance(item, dict))


def _fault_text(item: Mapping[str, Any]) -> str:
    key, message = str(item.get("key", "")), str(item.get("message", ""))
    # Of a body that is not there the library says the name of its own parameter.
    return "The body is missing." if (key, message) == ("data", "'data'") else f"{camel(key)}: {message}"


def _on_crash(request: Request[Any, Any, Any], error: Exception) -> Response[Any]:
    tell("http.crashed", path=request.scope["path"][:200], error=type(error).__name__, place=place_of_fault(error))
    if is_webhook_api(request.scope["path"]):
        return failed()
    text = "An unexpected fault; it was logged. Try again."
    return Response(
        Problem(_DOCS + "rowcast.error", "Internal error", 500, text, "rowcast.error"),
        status_code=500,
        media_type="application/problem+json",
    )


def place_of_fault(error: Exception) -> str:
    """Give file and line where a fault was raised, without anything of what was being worked on."""
    frames = traceback.extract_tb(error.__traceback__)
    return f"{PurePath(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
