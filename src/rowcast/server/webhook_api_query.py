"""The webhook API: what lists of messages and attempts are asked for, read once for all of their routes."""

import uuid
from datetime import datetime
from typing import Annotated, Any

from litestar.di import Provide
from litestar.params import Dependency, Parameter

from rowcast.core.errors import InvalidFieldError
from rowcast.server.webhook_api import Asked, Iterator, PageLimit, PageOrder
from rowcast.server.webhook_api_attempt_forms import Shown, asked_statuses
from rowcast.server.webhook_api_filters import asked_event_types, asked_text, asked_time
from rowcast.server.webhook_api_pages import Turn, turn_of
from rowcast.webhooks.attempt_list import AttemptFilter, AttemptKey
from rowcast.webhooks.ids import event_id_of, parse_attempt_id
from rowcast.webhooks.message_table import MessageFilter

WithContent = Annotated[bool, Parameter(query="with_content")]
Before = Annotated[datetime | None, Parameter(query="before")]
After = Annotated[datetime | None, Parameter(query="after")]
Word = Annotated[str | None, Parameter()]
Status = Annotated[int | None, Parameter(query="status", ge=0, le=4)]
CodeClass = Annotated[int | None, Parameter(query="status_code_class")]
WithMessage = Annotated[bool, Parameter(query="with_msg")]
Expanded = Annotated[bool, Parameter(query="expanded_statuses")]
AskedTurn = Annotated[Turn, Dependency(skip_validation=True)]
ChosenMessages = Annotated[MessageFilter, Dependency(skip_validation=True)]
ChosenAttempts = Annotated[AttemptFilter, Dependency(skip_validation=True)]
AskedShown = Annotated[Shown, Dependency(skip_validation=True)]

EVENT_TYPES: dict[str, Any] = {"event_types": str}
"""What lists read of a query by hand, for the document of the API."""
_CODE_CLASSES = (0, 100, 200, 300, 400, 500)


def newest_first(prefix: str) -> Provide:
    """Give what reads the page of a list that begins with the newest; its ids begin with `prefix`."""

    def turn(limit: PageLimit = 50, iterator: Iterator = None, order: PageOrder = None) -> Turn:
        return turn_of(limit=limit, iterator=iterator, is_falling=order != "ascending", prefix=prefix)

    return Provide(turn, sync_to_thread=False)


def oldest_first(prefix: str) -> Provide:
    """Give what reads the page of a list that begins with the oldest; its ids begin with `prefix`."""

    def turn(limit: PageLimit = 50, iterator: Iterator = None, order: PageOrder = None) -> Turn:
        return turn_of(limit=limit, iterator=iterator, is_falling=order == "descending", prefix=prefix)

    return Provide(turn, sync_to_thread=False)


def _chosen(
    request: Asked, before: Before = None, after: After = None, channel: Word = None, tag: Word = None
) -> MessageFilter:
    """Give which messages a list is asked for."""
    items: Any = request.query_params.multi_items()
    return MessageFilter(
        event_types=asked_event_types(items),
        channel=asked_text("channel", channel),
        tag=asked_text("tag", tag),
        since=asked_time(after),
        until=asked_time(before),
    )


def _attempts(
    chosen: ChosenMessages, shown: AskedShown, status: Status = None, status_code_class: CodeClass = None
) -> AttemptFilter:
    """Give which attempts a list is asked for."""
    if status_code_class is not None and status_code_class not in _CODE_CLASSES:
        raise InvalidFieldError(
            "A class of status codes is 100, 200, 300, 400, 500, or 0 for no answer.",
            place=("query", "status_code_class"),
        )
    statuses = asked_statuses(status, is_expanded=shown.is_expanded)
    return AttemptFilter(statuses=statuses, code_class=status_code_class, messages=chosen)


def _shown(
    with_content: WithContent = True, with_message: WithMessage = False, expanded_statuses: Expanded = True
) -> Shown:
    """Give what of attempts is answered."""
    return Shown(with_content, with_message, expanded_statuses)


CHOSEN = Provide(_chosen, sync_to_thread=False)
SHOWN = Provide(_shown, sync_to_thread=False)
ATTEMPTS = Provide(_attempts, sync_to_thread=False)


def passed_message(turn: Turn) -> uuid.UUID | None:
    """Give the event of the message that a page goes on from; None at the beginning.

    Raises:
        InvalidFieldError: `input.field`, for an iterator that no page gave.
    """
    event_id = event_id_of(turn.after)
    if turn.after and event_id is None:
        raise _no_iterator()
    return event_id


def passed_attempt(turn: Turn) -> AttemptKey | None:
    """Give the attempt that a page goes on from; None at the beginning.

    Raises:
        InvalidFieldError: `input.field`, for an iterator that no page gave.
    """
    key = parse_attempt_id(turn.after)
    if turn.after and key is None:
        raise _no_iterator()
    return key


def _no_iterator() -> InvalidFieldError:
    return InvalidFieldError(
        "The iterator is not one that a page gave. Begin without one.", place=("query", "iterator")
    )
