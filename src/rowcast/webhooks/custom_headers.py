"""Headers that a tenant adds to its messages: never ours, never those of the connection. Pure."""

from collections.abc import Mapping

from rowcast.core.errors import InvalidInputError
from rowcast.egress.header_lines import header_lines

CUSTOM_HEADERS_LIMIT = 32
_TOTAL_LIMIT_CHARS = 8192
_OURS = frozenset({"content-type", "content-encoding", "user-agent", "traceparent", "tracestate", "forwarded", "via"})
_OUR_FAMILIES = ("webhook-", "svix-", "x-rowcast-", "x-forwarded-", "proxy-", "sec-")


def checked_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """Give the headers back if each of them can be sent.

    Raises:
        InvalidInputError: `input.header`: the name is ours, the connection's, no token, or there twice; the value holds
            a line break or what is not printable ASCII; there are too many, or they are too long.
    """
    if len(headers) > CUSTOM_HEADERS_LIMIT:
        raise _refusal(f"there are more than {CUSTOM_HEADERS_LIMIT}")
    if sum(len(name) + len(value) for name, value in headers.items()) > _TOTAL_LIMIT_CHARS:
        raise _refusal(f"together they are longer than {_TOTAL_LIMIT_CHARS} characters")
    names = [name.lower() for name in headers]
    if len(set(names)) < len(names):
        raise _refusal("a name is there twice")
    for name in names:
        if name in _OURS or name.startswith(_OUR_FAMILIES):
            raise _refusal(f"{name[:60]!r} is set by rowcast")
    header_lines(headers)
    return dict(headers)


def _refusal(problem: str) -> InvalidInputError:
    return InvalidInputError(f"The headers of an endpoint cannot be used: {problem}.", code="input.header")
