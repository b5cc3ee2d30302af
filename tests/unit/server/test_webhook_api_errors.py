"""Errors as the SDKs read them: always `code` and `detail`, a list only with 422."""

import json
from typing import Any

import pytest
from litestar import Response
from litestar.exceptions import HTTPException

from rowcast.core.errors import (
    AuthenticationError,
    ConfigError,
    ConflictError,
    InvalidFieldError,
    InvalidInputError,
    LimitExceededError,
    NotFoundError,
    PayloadTooLargeError,
    PermissionDeniedError,
    RowcastError,
    StoreUnavailableError,
)
from rowcast.server.webhook_api_errors import failed, is_webhook_api, refused, refused_by_library


def read(response: Response[bytes]) -> tuple[int, dict[str, Any]]:
    assert response.media_type == "application/json"
    return response.status_code or 0, json.loads(response.content)


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (AuthenticationError("x"), 401, "authentication_failed"),
        (PermissionDeniedError("x"), 403, "insufficient access"),
        (NotFoundError("x"), 404, "not_found"),
        (ConflictError("x"), 409, "conflict"),
        (PayloadTooLargeError(size_bytes=2, limit_bytes=1), 413, "payload_too_large"),
        (LimitExceededError("x", retry_after_s=1.2), 429, "rate_limit"),
        (StoreUnavailableError("x"), 503, "unavailable"),
        (ConfigError("x"), 500, "internal_error"),
        (RowcastError("x"), 500, "internal_error"),
    ],
)
def test_each_refusal_has_the_status_and_the_word_that_the_sdks_know(
    error: RowcastError, status: int, code: str
) -> None:
    given_status, body = read(refused(error))

    assert (given_status, body["code"]) == (status, code)
    assert isinstance(body["detail"], str)
    assert body["detail"]


@pytest.mark.parametrize(
    ("error", "place"),
    [
        (InvalidFieldError("x", place=("query", "limit")), ["query", "limit"]),
        (InvalidInputError("x", code="input.url"), ["body", "url"]),
        (InvalidInputError("x", code="egress.blocked"), ["body", "url"]),
        (InvalidInputError("x"), ["body"]),
    ],
)
def test_what_does_not_fit_is_a_list_of_places(error: RowcastError, place: list[str]) -> None:
    status, body = read(refused(error))

    assert status == 422
    assert body == {"code": error.code, "detail": [{"loc": place, "msg": "x", "type": "value_error"}]}


def test_who_must_wait_is_told_how_long_and_who_has_no_key_how_to_show_it() -> None:
    assert refused(LimitExceededError("x", retry_after_s=1.2)).headers["retry-after"] == "2"
    assert refused(AuthenticationError("x")).headers["www-authenticate"] == "Bearer"


def test_what_the_library_refuses_has_the_same_form() -> None:
    assert read(refused_by_library(HTTPException("gone", status_code=404))) == (
        404,
        {"code": "not_found", "detail": "gone"},
    )
    assert read(refused_by_library(HTTPException("x", status_code=501)))[1]["code"] == "not_implemented"
    assert refused_by_library(HTTPException("x", status_code=405, headers={"allow": "GET"})).headers["allow"] == "GET"
    wrong = HTTPException("x", status_code=400, extra=[{"key": "get_if_exists", "message": "no", "source": "query"}])
    assert read(refused_by_library(wrong)) == (
        422,
        {"code": "validation", "detail": [{"loc": ["query", "get_if_exists"], "msg": "no", "type": "value_error"}]},
    )


def test_a_fault_of_ours_says_nothing_of_itself() -> None:
    assert read(failed())[0] == 500
    assert read(failed())[1]["code"] == "internal_error"


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/api/v1/app", True), ("/api/v1/app/", True), ("/api/v1/app/x/unknown", True), ("/api/v1/event-type", True),
        ("/api/v1/health", True), ("/ingest/api/v1/source", True), ("/api/v1/stream/x", True),
        ("/api/v1/apps", False), ("/api/v1/events", False), ("/api/v1/endpoints", False), ("/", False), ("", False),
        ("/x/api/v1/app", False),
    ],
)  # fmt: skip
def test_the_paths_of_the_webhook_api_are_known(path: str, expected: bool) -> None:
    assert is_webhook_api(path) is expected
