"""How an error looks under the paths of the webhook API: `{"code", "detail"}`, which is what the SDKs read."""

import math
import re
from collections.abc import Mapping
from typing import Any

import msgspec
from litestar import Response
from litestar.exceptions import HTTPException

from rowcast.core.codec import encode_json
from rowcast.core.errors import (
    AuthenticationError,
    ConflictError,
    InvalidFieldError,
    InvalidInputError,
    LimitExceededError,
    NotFoundError,
    PayloadTooLargeError,
    PermissionDeniedError,
    RowcastError,
    StoreError,
)

_PATHS = re.compile(
    r"/(?:ingest/api/v1|api/v1/(?:app|auth|background-task|connector|environment|event-type|health|"
    r"operational-webhook|stats|stream))(?:/|\Z)"
)
_WORDS = {
    400: "bad_request",
    401: "authentication_failed",
    403: "insufficient access",
    404: "not_found",
    405: "method_not_allowed",
    409: "conflict",
    413: "payload_too_large",
    415: "unsupported_media_type",
    422: "validation",
    429: "rate_limit",
    501: "not_implemented",
    503: "unavailable",
}
# What the rooms refuse by a code of theirs is about a field of the request's body.
_FIELDS = {
    "egress.blocked": "url",
    "input.authentication": "authentication",
    "input.event_pattern": "eventTypes",
    "input.event_type": "eventType",
    "input.grace": "gracePeriodSeconds",
    "input.header": "headers",
    "input.payload": "payload",
    "input.retry_schedule": "retrySchedule",
    "input.secret": "secret",
    "input.url": "url",
}
# A number of things, not a rate: the SDKs know it as 400.
_REACHED = frozenset({"limit.endpoints", "limit.secrets"})
_OWN_STATUS = (
    AuthenticationError,
    ConflictError,
    LimitExceededError,
    NotFoundError,
    PayloadTooLargeError,
    PermissionDeniedError,
    StoreError,
)


class Refusal(msgspec.Struct, frozen=True):
    """An error as the SDKs read one. With status 422 `detail` is a list of fields."""

    code: str
    detail: str | list["FieldProblem"]


class FieldProblem(msgspec.Struct, frozen=True):
    """What is wrong with one field: where it stands (`body` or `query` first), a sentence, and a word for its kind."""

    loc: list[str]
    sentence: str = msgspec.field(name="msg")
    type: str = "value_error"


def is_webhook_api(path: str) -> bool:
    """Tell whether errors under this path have the form that the SDKs read."""
    return _PATHS.match(path) is not None


def refused(error: RowcastError) -> Response[bytes]:
    """Give the answer that tells `error` to a caller of the webhook API."""
    headers = {}
    if isinstance(error, LimitExceededError):
        headers["retry-after"] = str(max(1, math.ceil(error.retry_after_s)))
    if isinstance(error, AuthenticationError):
        headers["www-authenticate"] = "Bearer"
    status = _status(error)
    return _response(status, Refusal(_code(error, status), _detail(error, status)), headers)


def refused_by_library(error: HTTPException) -> Response[bytes]:
    """Give the answer for what the HTTP library refuses: no such path, another method, a query that does not fit."""
    fields = [item for item in error.extra if isinstance(item, dict)] if isinstance(error.extra, list) else []
    if not fields:
        code = _WORDS.get(error.status_code, "bad_request")
        return _response(error.status_code, Refusal(code, error.detail), error.headers or {})
    problems = [
        FieldProblem([_source(item), str(item.get("key", ""))], str(item.get("message", ""))) for item in fields
    ]
    return _response(422, Refusal(_WORDS[422], problems), {})


def failed() -> Response[bytes]:
    """Give the answer for a fault of ours."""
    return _response(500, Refusal("internal_error", "An unexpected fault; it was logged. Try again."), {})


def _source(item: dict[str, Any]) -> str:
    source = item.get("source", "query")
    return str(getattr(source, "value", source))


def _status(error: RowcastError) -> int:
    if error.code in _REACHED:
        return 400
    if isinstance(error, InvalidInputError) and not isinstance(error, _OWN_STATUS):
        return 422
    return error.http_status


def _code(error: RowcastError, status: int) -> str:
    if error.code in _REACHED:
        return "limit_reached"
    # Our own word says more than `validation`; where the SDKs' users know a word, they get that.
    return error.code if status == 422 else _WORDS.get(status, "internal_error")


def _detail(error: RowcastError, status: int) -> str | list[FieldProblem]:
    if isinstance(error, InvalidFieldError):
        return [FieldProblem(list(error.place), str(error), error.kind)]
    if status == 422:
        field = _FIELDS.get(error.code)
        return [FieldProblem(["body", field] if field else ["body"], str(error))]
    return str(error)


def _response(status: int, refusal: Refusal, headers: Mapping[str, Any]) -> Response[bytes]:
    return Response(encode_json(refusal), status_code=status, media_type="application/json", headers=dict(headers))
