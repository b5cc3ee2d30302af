"""Topics: how channels are named, made and parsed back."""

import re
from typing import NamedTuple

from rowcast.core.errors import InvalidInputError, InvalidTopicError
from rowcast.core.ids import TENANT_ID_PATTERN

TOPIC_LIMIT_BYTES = 255
"""A binary frame counts the topic in one byte, `realtime:` included. Source: protocol of the stock clients."""
_WIRE_PREFIX_BYTES = len("realtime:")
_EVENT_TYPE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]*(\.[A-Za-z0-9_-]+)*\Z")
_MODULE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]*\Z")
_EVENT_TYPE_LIMIT_BYTES = 128
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


class Topic(NamedTuple):
    """A tenant's topic: all of its events, or those of one module."""

    tenant_id: str
    module: str | None = None

    def __str__(self) -> str:
        """Give the text form, `tenant:{id}` or `tenant:{id}:{module}`."""
        return topic_name(self.tenant_id, self.module)


def checked_tenant_id(tenant_id: str) -> str:
    """Give `tenant_id` back if it can name a tenant.

    Raises:
        InvalidInputError: `input.tenant_missing` when empty, `input.tenant` when it holds other characters.
    """
    if not tenant_id:
        raise InvalidInputError(
            "The tenant is missing. Pass tenant_id: every event belongs to one tenant.", code="input.tenant_missing"
        )
    if not TENANT_ID_PATTERN.match(tenant_id):
        raise InvalidInputError(
            f"The tenant id {tenant_id[:140]!r} is not allowed: use 1 to 128 letters, digits, '_', '-' and '.', "
            "beginning with a letter or a digit.",
            code="input.tenant",
        )
    return tenant_id


def topic_name(tenant_id: str, module: str | None = None) -> str:
    """Give `tenant:{id}` or `tenant:{id}:{module}`.

    Raises:
        InvalidInputError: `input.tenant_missing` or `input.tenant`.
        InvalidTopicError: `input.topic`, when the module is not one word.
    """
    checked_tenant_id(tenant_id)
    if module is None:
        return f"tenant:{tenant_id}"
    if not _MODULE.match(module):
        raise InvalidTopicError(f"The module {module[:140]!r} must be one word: letters, digits, '_' and '-'.")
    return checked_topic(f"tenant:{tenant_id}:{module}")


def parse_topic(topic: str) -> Topic:
    """Give the tenant and the module that a tenant's topic names; the inverse of `topic_name`.

    Raises:
        InvalidTopicError: `input.topic`, for any other topic.
    """
    parts = topic.split(":")
    if len(parts) not in (2, 3) or parts[0] != "tenant" or not TENANT_ID_PATTERN.match(parts[1]):
        raise InvalidTopicError(
            f"The topic {topic[:140]!r} names no tenant. It must be 'tenant:<id>' or 'tenant:<id>:<module>'."
        )
    module = parts[2] if len(parts) == 3 else None
    if module is not None and not _MODULE.match(module):
        raise InvalidTopicError(f"The module {module[:140]!r} must be one word: letters, digits, '_' and '-'.")
    return Topic(parts[1], module)


def checked_event_type(event_type: str) -> str:
    """Give `event_type` back if it is words with dots between them, such as `orders.confirmed`, at most 128 bytes.

    A word has letters, digits, `_` and `-`. One word will do, and upper case is another type than lower case: types
    that a team has already given its receivers stay what they are.

    Raises:
        InvalidInputError: `input.event_type`.
    """
    if len(event_type) > _EVENT_TYPE_LIMIT_BYTES or not _EVENT_TYPE.match(event_type):
        raise InvalidInputError(
            f"The event type {event_type[:140]!r} must be words of letters, digits, '_' and '-' with dots between "
            "them, such as 'orders.confirmed', at most 128 characters.",
            code="input.event_type",
        )
    return event_type


def module_of(event_type: str) -> str:
    """Give the module of an event type: the word before its first dot.

    Raises:
        InvalidInputError: `input.event_type`.
    """
    return checked_event_type(event_type).partition(".")[0]


def checked_topic(topic: str) -> str:
    """Give `topic` back if it can be joined: not empty, no control character, short enough for a binary frame.

    Raises:
        InvalidTopicError: `input.topic`.
    """
    if not topic:
        raise InvalidTopicError("The topic is empty. Name what is told, such as 'orders:acme'.")
    if _CONTROL.search(topic):
        raise InvalidTopicError(f"The topic {topic[:140]!r} holds a control character.")
    size_bytes = len(topic.encode("utf-8", "surrogatepass"))
    if size_bytes + _WIRE_PREFIX_BYTES > TOPIC_LIMIT_BYTES:
        raise InvalidTopicError(
            f"The topic {topic[:40]!r}... has {size_bytes} bytes; "
            f"the limit is {TOPIC_LIMIT_BYTES - _WIRE_PREFIX_BYTES}."
        )
    return topic
