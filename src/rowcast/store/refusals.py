"""What our SQL functions refuse, as errors of the family: `RC400` and `input.event_type: the event type ...`.

The functions raise SQLSTATEs of a class of our own, so that every driver of every language carries them to the caller.
"""

import re
from collections.abc import Callable

from rowcast.core.errors import (
    ConfigError,
    ConflictError,
    InvalidInputError,
    NotFoundError,
    PayloadTooLargeError,
    PermissionDeniedError,
    RowcastError,
)

_MESSAGE = re.compile(r"([a-z]+(?:\.[a-z_]+)+): (.+)", re.DOTALL)
_SIZES = re.compile(r"has (\d+) bytes and the limit is (\d+)")
_CLASSES: dict[str, Callable[..., RowcastError]] = {
    "RC400": InvalidInputError,
    "RC403": PermissionDeniedError,
    "RC404": NotFoundError,
    "RC409": ConflictError,
    "RC413": InvalidInputError,
    "RC500": ConfigError,
}
_DEPTH = 8


def refusal(sqlstate: str, message: str) -> RowcastError | None:
    """Give the error that a server error means, or None where the server error is not one of ours.

    Args:
        sqlstate: The five characters that the driver reports.
        message: The primary message: `code: sentence`.
    """
    found = _MESSAGE.match(message)
    if sqlstate not in _CLASSES or found is None:
        return None
    sizes = _SIZES.search(message)
    if sqlstate == "RC413" and sizes is not None:
        return PayloadTooLargeError(size_bytes=int(sizes.group(1)), limit_bytes=int(sizes.group(2)))
    return _CLASSES[sqlstate](found.group(2), code=found.group(1))


def find_refusal(error: BaseException) -> RowcastError | None:
    """Give the refusal that a driver's error carries, or None: asyncpg, psycopg, SQLAlchemy or Django around them."""
    inner: BaseException | None = error
    for _ in range(_DEPTH):
        if inner is None:
            return None
        sqlstate = getattr(inner, "sqlstate", None)
        found = refusal(sqlstate, _message(inner)) if isinstance(sqlstate, str) else None
        if found is not None:
            return found
        inner = getattr(inner, "orig", None) or inner.__cause__
    return None


def _message(error: BaseException) -> str:
    """Give the primary message: psycopg keeps it apart from the context lines that `str` would add."""
    primary = getattr(getattr(error, "diag", None), "message_primary", None)
    return str(primary or error)
