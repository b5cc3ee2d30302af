"""What a list of messages or attempts is asked for in a query. Pure."""

from collections.abc import Iterable
from datetime import UTC, datetime

from rowcast.core.errors import InvalidFieldError
from rowcast.core.topic import checked_event_type

EVENT_TYPES_LIMIT = 100
TEXT_LIMIT_CHARS = 256


def asked_event_types(query: Iterable[tuple[str, str]]) -> tuple[str, ...] | None:
    """Give the event types of a query, None where it names none.

    All forms that clients write are read: `event_types=a,b`, the name again and again, `event_types[]=a` and
    `event_types[1]=a`.

    Raises:
        InvalidFieldError: `input.field`, for more than 100 of them.
        InvalidInputError: `input.event_type`.
    """
    values = [value for name, value in query if name == "event_types" or name.startswith("event_types[")]
    types = [part for value in values for part in value.split(",") if part]
    if len(types) > EVENT_TYPES_LIMIT:
        raise InvalidFieldError(
            f"Ask for at most {EVENT_TYPES_LIMIT} event types at once.", place=("query", "event_types")
        )
    return tuple(checked_event_type(each) for each in types) if types else None


def asked_text(field: str, text: str | None) -> str | None:
    """Give a word of a query, None where there is none.

    Raises:
        InvalidFieldError: `input.field`, for one that nothing can have: too long, or with a character that is not kept.
    """
    if not text:
        return None
    if len(text) > TEXT_LIMIT_CHARS or not text.isprintable():
        raise InvalidFieldError(f"This is at most {TEXT_LIMIT_CHARS} printable characters.", place=("query", field))
    return text


def asked_time(moment: datetime | None) -> datetime | None:
    """Give a moment of a query; one without a zone is UTC."""
    return moment.replace(tzinfo=UTC) if moment is not None and moment.tzinfo is None else moment
