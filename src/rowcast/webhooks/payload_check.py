"""Whether a payload that comes in by the API fits its event type: that of a class, or the newest schema."""

from collections.abc import Mapping

from rowcast.core.codec import decode_json
from rowcast.core.event_types import EventType, EventTypes
from rowcast.store.pool import Session
from rowcast.webhooks.event_type_table import EventTypeTable
from rowcast.webhooks.json_schema import check_value, newest_schema, schema_validator
from rowcast.webhooks.message import MESSAGE_AGGREGATE
from rowcast.webhooks.message_draft import MessageDraft
from rowcast.webhooks.message_table import About

_OF_A_MESSAGE = About(MESSAGE_AGGREGATE)


class PayloadCheck:
    """Holds payloads against what is known of their types. A type that is unknown or archived asks nothing."""

    __slots__ = ("_declared", "_types")

    def __init__(self, *, types: EventTypeTable, declared: EventTypes) -> None:
        """Know the types of the API, and those that classes declare, which win."""
        self._types = types
        self._declared = declared

    def aggregate_type(self, event_type: str) -> str | None:
        """Give what makes a message of this type be posted as it was sent, or None where a class says its form."""
        return None if self._declared.has(event_type) else MESSAGE_AGGREGATE

    async def check(self, session: Session, draft: MessageDraft) -> About:
        """Give what the event of a message is about, if its payload fits. A raw one has no JSON to look into.

        Raises:
            InvalidInputError: `input.payload`, with the place of what does not fit, never its value.
        """
        if draft.raw_payload is not None:
            return _OF_A_MESSAGE
        if self._declared.has(draft.event_type):
            return _about(self._declared.get(draft.event_type), decode_json(draft.payload))
        known = await self._types.find(session, draft.event_type)
        newest = None if known is None or known.draft.is_archived else newest_schema(known.draft.schemas)
        if newest is None:
            return _OF_A_MESSAGE
        version, schema = newest
        name = f"{draft.event_type} version {version}"
        check_value(schema_validator(schema), decode_json(draft.payload), name=name)
        return _OF_A_MESSAGE


def _about(declared: EventType, payload: Mapping[str, object]) -> About:
    declared.encode(payload)
    return About(declared.aggregate_type, declared.aggregate_id(payload), declared.version)
