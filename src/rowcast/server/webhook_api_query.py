"""The webhook API: what lists of messages and attempts are asked for, read once for all of their routes."""

import uuid
from datetime import datetime
from typing import Annotated, Any

from litestar.di import Provide
from litestar.params import Dependency, Parameter

from rowcast.core.errors import InvalidFieldError
from rowcast.server.webhook_api import Asked, Iterator, PageLimit, PageOrder
from rowcast.server.webhook_api_filters import asked_event_types, asked_text, asked_time
from rowcast.server.webhook_api_pages import Turn, turn_of
from rowcast.webhooks.ids import event_id_of
from rowcast.webhooks.message_table import MessageFilter

WithContent = Annotated[bool, Parameter(query="with_content")]
Before = Annotated[datetime | None, Parameter(query="before")]
After = Annotated[datetime | None, Parameter(query="after")]
Word = Annotated[str | None, Parameter()]
AskedTurn = Annotated[Turn, Dependency(skip_validation=True)]
ChosenMessages = Annotated[MessageFilter, Dependency(skip_validation=True)]


def newest_first(prefix: str) -> Provide:
    """Give what reads the page of a list that begins with the newest; its ids begin with `prefix`."""

    def turn(limit: PageLimit = 50, iterator: Iterator = None, order: PageOrder = None) -> Turn:
        return turn_of(limit=limit, iterator=iterator, is_falling=order != "ascending", prefix=prefix)

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


CHOSEN = Provide(_chosen, sync_to_thread=False)


def passed_message(turn: Turn) -> uuid.UUID | None:
    """Give the event of the message that a page goes on from; None at the beginning.

    Raises:
        InvalidFieldError: `input.field`, for an iterator that no page gave.
    """
    event_id = event_id_of(turn.after)
    if turn.after and event_id is None:
        raise InvalidFieldError(
            "The iterator is not one that a page gave. Begin without one.", place=("query", "iterator")
        )
    return event_id
