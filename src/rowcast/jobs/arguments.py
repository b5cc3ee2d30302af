"""What a task is called with: the event that its rule met, or the arguments it was enqueued with."""

import inspect
from collections.abc import Mapping
from functools import cache
from typing import Any, get_type_hints

import msgspec

from rowcast.core.delivery import Delivery
from rowcast.core.envelope import Envelope
from rowcast.core.errors import InvalidInputError, UsageError
from rowcast.core.event_types import EventTypes
from rowcast.core.payload import decode_payload, encode_raw_payload
from rowcast.jobs.task import Task


class Call(msgspec.Struct, frozen=True):
    """The arguments of one call, checked."""

    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = {}


def call_of(task: Task[..., Any], delivery: Delivery, catalogue: EventTypes) -> Call:
    """Give what the task is called with for this delivery.

    A task's first parameter takes the event: typed where its annotation is a declared event class, else the envelope.

    Raises:
        InvalidInputError: `input.arguments` or `input.payload`, when what there is does not fit the task.
        UnknownEventTypeError: The event's type is not declared, and the task wants it typed.
        UsageError: `usage.task`, when an annotation cannot be read; `usage.upcaster`, for a step between versions.
    """
    if delivery.event is not None:
        return _call_with_event(task, delivery.event, catalogue)
    text = bytes(delivery.payload) if delivery.payload is not None else b"{}"
    arguments = decode_payload(text, _shape(task), name=_label(task))
    return Call(kwargs={name: getattr(arguments, name) for name in arguments.__struct_fields__})


def encode_arguments(task: Task[..., Any], arguments: Mapping[str, Any]) -> bytes:
    """Give the JSON text of a job's arguments, checked against the task's annotations and completed by its defaults.

    Raises:
        InvalidInputError: `input.payload` or `input.not_json`.
        UsageError: `usage.task`, when an annotation cannot be read.
    """
    return encode_raw_payload(arguments, _shape(task), name=_label(task))


def _call_with_event(task: Task[..., Any], event: Envelope, catalogue: EventTypes) -> Call:
    parameters = list(inspect.signature(task.function).parameters.values())
    required = [each.name for each in parameters[1:] if each.default is each.empty]
    if not parameters or required:
        raise InvalidInputError(
            f"The task {task.name} was met by the event {event.event_type} and cannot take it: it must have one "
            "parameter for the event, and defaults for all others.",
            code="input.arguments",
        )
    value = _event_value(_hints(task).get(parameters[0].name, Envelope), event, task, catalogue)
    if parameters[0].kind is inspect.Parameter.KEYWORD_ONLY:
        return Call(kwargs={parameters[0].name: value})
    return Call(args=(value,))


def _event_value(wanted: Any, event: Envelope, task: Task[..., Any], catalogue: EventTypes) -> Any:
    if wanted in (Envelope, Any, object):
        return event
    if not catalogue.is_declared(wanted):
        raise InvalidInputError(
            f"The task {task.name} was met by the event {event.event_type}, and its first parameter is a "
            f"{getattr(wanted, '__name__', wanted)}. Annotate it with Envelope or with a declared event class.",
            code="input.arguments",
        )
    declared = catalogue.of_class(wanted)
    if declared.name != event.event_type:
        raise InvalidInputError(
            f"The task {task.name} takes {declared.name} and was met by {event.event_type}. Correct its rule.",
            code="input.arguments",
        )
    return catalogue.parse_event(event, to_version=declared.version)


@cache
def _shape(task: Task[..., Any]) -> Any:
    """Give a Struct with one field for each parameter."""
    fields: list[Any] = []
    hints = _hints(task)
    for parameter in inspect.signature(task.function).parameters.values():
        field = (parameter.name, hints.get(parameter.name, Any))
        fields.append(field if parameter.default is parameter.empty else (*field, _default(parameter.default)))
    try:
        shape = msgspec.defstruct("Arguments", fields, kw_only=True)
        msgspec.json.Decoder(shape)
    except TypeError as error:
        raise UsageError(
            f"The parameters of the task {task.name} cannot be read from JSON: {error}.", code="usage.task"
        ) from error
    return shape


def _default(value: Any) -> Any:
    """Give a default as a Struct's field wants it: one that could be changed is made anew by a function."""
    return msgspec.field(default_factory=lambda: value) if type(value).__hash__ is None else value


@cache
def _hints(task: Task[..., Any]) -> dict[str, Any]:
    function: Any = task.function
    try:
        return get_type_hints(function if inspect.isroutine(function) else type(function).__call__, include_extras=True)
    except (NameError, TypeError, AttributeError) as error:
        raise UsageError(
            f"An annotation of the task {task.name} cannot be read: {error}. Define the name at the top of its module.",
            code="usage.task",
        ) from error


def _label(task: Task[..., Any]) -> str:
    return f"the task {task.name}"
