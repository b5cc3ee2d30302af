"""The catalogue of event types: which payload belongs to which type and version, and how an old one becomes new."""

import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import msgspec

from rowcast.core.codec import decode_json, encode_json
from rowcast.core.envelope import Envelope
from rowcast.core.errors import InvalidInputError, UnknownEventTypeError, UsageError
from rowcast.core.payload import decode_payload, encode_payload, encode_raw_payload, field_names
from rowcast.core.topic import checked_event_type, module_of

Upcaster = Callable[[dict[str, Any]], Mapping[str, Any]]
"""Turns the payload of one version into that of the next; it may change and give back what it was given."""


class EventType(msgspec.Struct, frozen=True, kw_only=True):
    """One version of one event type, and the class of its payload.

    `aggregate` is the kind of thing that the event is about, by default the module; `key` is the payload's field that
    says which one.
    """

    name: str
    version: int
    payload_type: Any
    aggregate: str = ""
    key: str = ""

    @property
    def label(self) -> str:
        """Give name and version for a person to read."""
        return f"{self.name} version {self.version}"

    @property
    def aggregate_type(self) -> str:
        """Give the kind of thing that the event is about."""
        return self.aggregate or module_of(self.name)

    def aggregate_id(self, payload: Any) -> str | None:
        """Give which thing the event is about, or None where the type names no key.

        Raises:
            InvalidInputError: `input.aggregate_id`, when the key's value is empty or is no text, number or UUID.
        """
        if not self.key:
            return None
        value = payload[self.key] if isinstance(payload, Mapping) else getattr(payload, self.key)
        if isinstance(value, (str, int, uuid.UUID)) and str(value):
            return str(value)
        raise InvalidInputError(
            f"The field {self.key!r} of {self.label} says which {self.aggregate_type} it is about, and it is empty or "
            "no text, number or UUID. Fill it in, or pass aggregate_id.",
            code="input.aggregate_id",
        )

    def encode(self, payload: Any) -> bytes:
        """Give the checked JSON text of a payload: an instance of the class, or a mapping.

        Raises:
            InvalidInputError: `input.payload` or `input.not_json`.
        """
        if isinstance(payload, Mapping):
            return encode_raw_payload(payload, self.payload_type, name=self.label)
        return encode_payload(payload, self.payload_type, name=self.label)

    def decode(self, text: bytes) -> Any:
        """Give the typed payload of a stored text of this version.

        Raises:
            InvalidInputError: `input.payload`.
        """
        return decode_payload(text, self.payload_type, name=self.label)


class EventTypes:
    """Event types by name and version, and the upcasters between versions. Grows by `add`, never forgets."""

    __slots__ = ("_by_class", "_by_name", "_upcasters")

    def __init__(self, types: Iterable[EventType] = ()) -> None:
        """Begin with `types`."""
        self._by_name: dict[str, dict[int, EventType]] = {}
        self._by_class: dict[Any, EventType] = {}
        self._upcasters: dict[tuple[str, int], Upcaster] = {}
        for each in types:
            self.add(each)

    def __iter__(self) -> Iterator[EventType]:
        """Give every version of every type, sorted."""
        for name in self.names():
            yield from (self._by_name[name][version] for version in sorted(self._by_name[name]))

    def __len__(self) -> int:
        """Give how many versions of types there are."""
        return len(self._by_class)

    def names(self) -> tuple[str, ...]:
        """Give the names of all types, sorted."""
        return tuple(sorted(self._by_name))

    def add(self, event_type: EventType) -> None:
        """Add one version of a type. The same class again takes its own place: a module was loaded anew.

        Raises:
            InvalidInputError: `input.event_type`, when the name is no event type.
            UsageError: `usage.event_type`, when the version is taken, is below 1, or the key is no field.
        """
        _check(event_type)
        versions = self._by_name.setdefault(event_type.name, {})
        before = versions.get(event_type.version)
        if before is not None:
            _check_same_class(event_type, before)
            self._by_class.pop(before.payload_type, None)
        versions[event_type.version] = event_type
        self._by_class[event_type.payload_type] = event_type

    def add_upcaster(self, event_type: str, *, from_version: int, upcaster: Upcaster) -> None:
        """Add the way from one version of a type to the next one.

        Raises:
            InvalidInputError: `input.event_type`, when the name is no event type.
            UsageError: `usage.upcaster`, when that way exists or the version is below 1.
        """
        place = (checked_event_type(event_type), from_version)
        before = self._upcasters.get(place)
        if from_version < 1 or (before is not None and _full_name(before) != _full_name(upcaster)):
            raise UsageError(
                f"The upcaster of {event_type} from version {from_version} cannot be added: versions count from 1, and "
                "each step has one upcaster. Give it another from_version.",
                code="usage.upcaster",
            )
        self._upcasters[place] = upcaster

    def chosen(self, payload_types: Iterable[Any]) -> "EventTypes":
        """Give a catalogue of these classes only, with all the upcasters: what one pack or one test declares.

        Raises:
            UnknownEventTypeError: A class is not declared.
        """
        fewer = EventTypes(self.of_class(each) for each in payload_types)
        fewer._upcasters.update(self._upcasters)
        return fewer

    def has(self, name: str) -> bool:
        """Tell whether an event type is declared."""
        return name in self._by_name

    def get(self, name: str, version: int | None = None) -> EventType:
        """Give one version of a type, by default the latest.

        Raises:
            UnknownEventTypeError: The type is not declared.
            InvalidInputError: `outbox.event_version`, when the type has no such version.
        """
        versions = self._by_name.get(name)
        if versions is None:
            raise UnknownEventTypeError(name, known=self.names())
        found = versions.get(max(versions) if version is None else version)
        if found is None:
            raise _unknown_version(name, version, versions)
        return found

    def of_class(self, payload_type: Any) -> EventType:
        """Give the event type that a class was declared as.

        Raises:
            UnknownEventTypeError: The class is not declared.
        """
        found = self._by_class.get(payload_type)
        if found is None:
            raise UnknownEventTypeError(getattr(payload_type, "__qualname__", str(payload_type)), known=self.names())
        return found

    def is_declared(self, payload_type: Any) -> bool:
        """Tell whether a class was declared as an event type."""
        try:
            return payload_type in self._by_class
        except TypeError:  # an annotation such as dict[str, list] may hold parts that cannot be hashed
            return False

    def parse(self, event_type: str, version: int, payload: object, *, to_version: int | None = None) -> Any:
        """Give the typed payload of a stored event, brought up step by step to the latest version.

        Args:
            event_type: Chooses the class.
            version: The version that was stored.
            payload: JSON text as bytes, str or msgspec.Raw, or its Python value.
            to_version: Stop at this version instead of the latest.
        Raises:
            UnknownEventTypeError: The type is not declared; the known ones are named.
            InvalidInputError: `input.payload` when it does not fit, `outbox.event_version` for a newer version.
            UsageError: `usage.upcaster`, when a step is missing or fails.
        """
        wanted = self.get(event_type, to_version)
        if version == wanted.version:
            return wanted.decode(_text(payload))
        if not 1 <= version < wanted.version:
            raise _unknown_version(event_type, version, self._by_name[event_type])
        return wanted.decode(encode_json(self._upcast(wanted, version, decode_json(_text(payload)))))

    def parse_event(self, event: Envelope, *, to_version: int | None = None) -> Any:
        """Give the typed payload of an event's envelope; see `parse`."""
        return self.parse(event.event_type, event.version, event.payload, to_version=to_version)

    def check(self) -> None:
        """Refuse a catalogue in which an old version cannot reach the latest one. The server asks at its start.

        Raises:
            UsageError: `usage.upcaster`, naming the first missing step.
        """
        declared = ((name, version) for name, versions in self._by_name.items() for version in versions)
        for name, version in sorted({*declared, *self._upcasters}):
            latest = max(self._by_name.get(name, ()), default=None)
            if latest is None or (version >= latest and (name, version) in self._upcasters):
                raise UsageError(
                    f"The upcaster of {name} from version {version} leads to no declared version. Declare version "
                    f"{version + 1}, or remove the upcaster.",
                    code="usage.upcaster",
                )
            for step in range(version, latest):
                self._step(name, step, latest)

    def _upcast(self, wanted: EventType, version: int, payload: Any) -> Any:
        # All steps are looked up before the first one runs: a gap is refused whole.
        steps = [self._step(wanted.name, step, wanted.version) for step in range(version, wanted.version)]
        for step, upcaster in enumerate(steps, start=version):
            payload = _upcasted(upcaster, payload, f"{wanted.name} from version {step}")
        return payload

    def _step(self, name: str, version: int, latest: int) -> Upcaster:
        upcaster = self._upcasters.get((name, version))
        if upcaster is None:
            raise UsageError(
                f"{name} is at version {latest}, and no upcaster leads from version {version} to {version + 1}. "
                f'Declare one: @upcaster("{name}", from_version={version}).',
                code="usage.upcaster",
            )
        return upcaster


def _upcasted(upcaster: Upcaster, payload: Any, what: str) -> Any:
    try:
        return upcaster(payload)
    except Exception as error:
        raise UsageError(
            f"The upcaster of {what} failed with {type(error).__name__}. It must take every payload of that version.",
            code="usage.upcaster",
        ) from error


def _check(event_type: EventType) -> None:
    checked_event_type(event_type.name)
    if event_type.version < 1:
        raise UsageError(
            f"The version of {event_type.name} is {event_type.version}. Versions count from 1.", code="usage.event_type"
        )
    fields = field_names(event_type.payload_type)
    if event_type.key and event_type.key not in fields:
        raise UsageError(
            f"The key of {event_type.label} is {event_type.key!r}, and its fields are {', '.join(fields) or 'none'}. "
            "Name one of them.",
            code="usage.event_type",
        )


def _check_same_class(event_type: EventType, before: EventType) -> None:
    if _full_name(event_type.payload_type) != _full_name(before.payload_type):
        raise UsageError(
            f"{event_type.label} is declared by {_full_name(before.payload_type)} and by "
            f"{_full_name(event_type.payload_type)}. Give one of them another type or version.",
            code="usage.event_type",
        )


def _full_name(declared: Any) -> str:
    return f"{getattr(declared, '__module__', '?')}.{getattr(declared, '__qualname__', declared)}"


def _unknown_version(name: str, version: int | None, versions: Iterable[int]) -> InvalidInputError:
    known = ", ".join(str(each) for each in sorted(versions))
    return InvalidInputError(
        f"{name} has no version {version} here. Declared: {known}. Declare it, or install the release that has it.",
        code="outbox.event_version",
    )


def _text(payload: object) -> bytes:
    if isinstance(payload, (bytes, msgspec.Raw)):
        return bytes(payload)
    return payload.encode() if isinstance(payload, str) else encode_json(payload)
