"""Patterns of event types, as rules and endpoints name them: `orders.confirmed`, `orders.*`, `*`."""

from collections.abc import Iterable

from rowcast.core.errors import InvalidInputError
from rowcast.core.topic import checked_event_type

EVERY_TYPE = "*"


def checked_event_pattern(pattern: str) -> str:
    """Give `pattern` back if it is an event type, a dotted prefix followed by `.*`, or `*` alone.

    Raises:
        InvalidInputError: `input.event_pattern`.
    """
    if pattern == EVERY_TYPE:
        return pattern
    # A prefix is a type whose last word is open: with a word put there it must be a type itself.
    probe = pattern[:-1] + "x" if pattern.endswith(".*") else pattern
    try:
        checked_event_type(probe)
    except InvalidInputError as error:
        raise InvalidInputError(
            f"The event pattern {pattern[:140]!r} must be an event type such as 'orders.confirmed', a prefix such as "
            "'orders.*', or '*' for every type.",
            code="input.event_pattern",
        ) from error
    return pattern


def fits_pattern(event_type: str, pattern: str) -> bool:
    """Tell whether an event type is meant by a pattern that `checked_event_pattern` let pass."""
    if pattern.endswith("*"):
        return event_type.startswith(pattern[:-1])
    return event_type == pattern


def fits_any(event_type: str, patterns: Iterable[str]) -> bool:
    """Tell whether at least one pattern means the event type."""
    return any(fits_pattern(event_type, pattern) for pattern in patterns)
