"""With which token a request of a stock client speaks."""

from typing import Any

import pytest
from litestar import Request

from rowcast.core.clock import SystemClock
from rowcast.realtime.authorize import Authorizer, Refusal
from rowcast.testing.shim_token import claims_of_request, token_of


def request(**headers: str) -> Request[Any, Any, Any]:
    listed = [(name.encode(), value.encode()) for name, value in headers.items()]
    return Request({"type": "http", "headers": listed, "path": "/", "query_string": b"", "method": "GET"})  # type: ignore[arg-type, typeddict-item]


@pytest.mark.parametrize(
    ("headers", "token"),
    [
        ({"authorization": "Bearer one", "apikey": "two"}, "one"),
        ({"authorization": "Basic one", "apikey": "two"}, "two"),
        ({"authorization": "Bearer ", "apikey": "two"}, "two"),
        ({}, ""),
    ],
)
def test_the_users_token_goes_before_the_key(headers: dict[str, str], token: str) -> None:
    assert token_of(request(**headers)) == token


def test_a_token_that_is_none_is_refused() -> None:
    authorizer = Authorizer(secret="x" * 32)

    assert isinstance(claims_of_request(request(apikey="junk"), authorizer=authorizer, clock=SystemClock()), Refusal)
