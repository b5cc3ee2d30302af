"""Declaring event types: a subclass of `Event`, or any payload class under `event_type`."""

from collections.abc import Callable
from typing import Any, TypeVar, dataclass_transform

import msgspec

from rowcast.core.errors import UsageError
from rowcast.core.event_types import EventType, EventTypes, Upcaster

C = TypeVar("C", bound=type)
F = TypeVar("F", bound=Upcaster)

DECLARED = EventTypes()
"""What the program's classes declare. A class statement happens at import, before anybody could pass a catalogue in,
and once for the whole program; so this one value is module-level. What reads a catalogue takes it as an argument."""


@dataclass_transform(kw_only_default=True, frozen_default=True, field_specifiers=(msgspec.field,))
class EventMeta(msgspec.StructMeta):
    """Makes frozen, keyword-only Structs, and puts those that name a type into the catalogue."""

    def __new__(  # noqa: PLR0913, PYI034 - the class statement's own keywords; a metaclass has no Self
        mcls,
        name: str,
        bases: tuple[type, ...],
        namespace: dict[str, Any],
        *,
        type: str | None = None,  # noqa: A002 - the word that people write in the class statement
        version: int = 1,
        aggregate: str = "",
        key: str = "",
        catalogue: EventTypes = DECLARED,
        **config: Any,
    ) -> "EventMeta":
        """Make the class; without `type` it is a base for others and cannot be emitted."""
        made = super().__new__(mcls, name, bases, namespace, **{"frozen": True, "kw_only": True, **config})
        if type is not None:
            declared = EventType(name=type, version=version, payload_type=made, aggregate=aggregate, key=key)
            catalogue.add(declared)
        elif aggregate or key or version != 1:
            raise UsageError(
                f"The class {name} says version, aggregate or key but no type. Add type='module.name'.",
                code="usage.event_type",
            )
        return made


@dataclass_transform(kw_only_default=True, frozen_default=True, field_specifiers=(msgspec.field,))
class Event(msgspec.Struct, metaclass=EventMeta):
    """A fact that happened, with typed fields. The subclass names its type.

    class OrderConfirmed(Event, type="orders.confirmed", version=1, aggregate="order", key="order_id"): ...
    """


def event_type(
    name: str, *, version: int = 1, aggregate: str = "", key: str = "", catalogue: EventTypes = DECLARED
) -> Callable[[C], C]:
    """Declare a dataclass, a TypedDict, a pydantic model or a Struct as the payload of an event type.

    Raises:
        InvalidInputError: `input.event_type`, when the name is no event type.
        UsageError: `usage.event_type`, when another class has that type and version, or the key is no field.
    """

    def declare(payload_type: C) -> C:
        catalogue.add(EventType(name=name, version=version, payload_type=payload_type, aggregate=aggregate, key=key))
        return payload_type

    return declare


def upcaster(event_type: str, *, from_version: int, catalogue: EventTypes = DECLARED) -> Callable[[F], F]:
    """Declare how the stored payload of `from_version` becomes that of the next version.

    Raises:
        InvalidInputError: `input.event_type`, when the name is no event type.
        UsageError: `usage.upcaster`, when that step has another upcaster.
    """

    def declare(function: F) -> F:
        catalogue.add_upcaster(event_type, from_version=from_version, upcaster=function)
        return function

    return declare
