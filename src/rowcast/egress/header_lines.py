"""Headers of an outgoing request, checked so that no value can become a second header. Pure."""

import re
from collections.abc import Mapping
from functools import lru_cache

from rowcast.core.errors import InvalidInputError

HEADERS_LIMIT = 64
VALUE_LIMIT_CHARS = 4096
_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~\-]{1,128}\Z")
_VALUE = re.compile(r"[\x20-\x7e\t]*\Z")
_OURS = frozenset(
    "host content-length transfer-encoding connection te trailer upgrade expect keep-alive proxy-connection "
    "proxy-authorization accept-encoding cookie".split()
)


def header_lines(headers: Mapping[str, str]) -> list[str]:
    """Give the lines `Name: value`.

    Raises:
        InvalidInputError: `input.header`, for a name that is no token or belongs to the connection, or for a value with
            a line break, another control character, or characters outside ASCII.
    """
    if len(headers) > HEADERS_LIMIT:
        raise _refusal("", f"there are more than {HEADERS_LIMIT}")
    return [_line(name, value) for name, value in headers.items()]


def _line(name: str, value: str) -> str:
    problem = _problem_of(name)
    if problem:
        raise _refusal(name, problem)
    if len(value) > VALUE_LIMIT_CHARS or not _VALUE.match(value):
        raise _refusal(
            name, "the value holds a line break or another character that is not printable ASCII, or is too long"
        )
    # libcurl leaves a header out when its value is empty, unless the line ends in a semicolon.
    return f"{name}: {value}" if value.strip() else f"{name};"


@lru_cache(maxsize=1024)
def _problem_of(name: str) -> str:
    """Give why a name cannot be sent, or an empty text. Remembered: nearly all posts have the same names."""
    if not _NAME.match(name):
        return "the name is no token"
    return "the name belongs to the connection itself" if name.lower() in _OURS else ""


def _refusal(name: str, problem: str) -> InvalidInputError:
    return InvalidInputError(f"The header {name[:60]!r} cannot be sent: {problem}.", code="input.header")
