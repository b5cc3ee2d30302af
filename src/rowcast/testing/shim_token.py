"""With which token a request of a stock client speaks."""

from typing import Any

from litestar import Request

from rowcast.core.clock import Clock
from rowcast.realtime.authorize import Authorizer, Claims, Refusal


def token_of(request: Request[Any, Any, Any]) -> str:
    """Give the bearer token, or the key in the header `apikey` where there is none."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" and token.strip() else request.headers.get("apikey", "")


def claims_of_request(request: Request[Any, Any, Any], *, authorizer: Authorizer, clock: Clock) -> Claims | Refusal:
    """Give for whom a request speaks, or why its token is not taken."""
    return authorizer.check(token_of(request), now=clock.now())
