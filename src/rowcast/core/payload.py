"""Payloads: how the value of a declared type becomes JSON text and back, and what is refused on the way.

Writing is strict: wrong types, fields that the type does not know, NaN and U+0000 are refused before anything is
stored. Reading is tolerant: a field that the type does not know is passed over, so that a producer may be deployed
before its readers.
"""

import dataclasses
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from functools import cache
from typing import Any

import msgspec

from rowcast.core.codec import decode_json, encode_json
from rowcast.core.errors import InvalidInputError, UsageError

_NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")


def encode_payload(value: object, payload_type: Any, *, name: str) -> bytes:
    """Give the JSON text of a payload that is an instance of `payload_type`, checked against that type.

    Args:
        value: The instance.
        payload_type: A Struct, a dataclass, a TypedDict or a pydantic model.
        name: What the refusal calls it, such as an event type.
    Raises:
        InvalidInputError: `input.payload` when it does not fit, `input.not_json` when it has no JSON form.
    """
    text = _encoded(value)
    _check_text(text, value, name)
    # Neither Structs nor dataclasses check the values they are made of; reading the text back does.
    decode_payload(text, payload_type, name=name)
    return text


def encode_raw_payload(fields: Mapping[str, Any], payload_type: Any, *, name: str) -> bytes:
    """Give the JSON text of a payload that was given as a mapping: complete, with the defaults of `payload_type`.

    Raises:
        InvalidInputError: `input.payload` when it does not fit or holds unknown fields, `input.not_json`.
    """
    given = _encoded(fields)
    _check_text(given, fields, name)
    value = decode_payload(given, payload_type, name=name)
    unknown = _first(unknown_fields(decode_json(given), value), name)
    if unknown is not None:
        raise _misfit(name, f"the field {unknown} is not one of its fields")
    return encode_payload(value, payload_type, name=name)


def decode_payload(text: bytes, payload_type: Any, *, name: str) -> Any:
    """Give the value of a payload's JSON text; unknown fields are passed over.

    Raises:
        InvalidInputError: `input.payload`, when it does not fit `payload_type`.
        UsageError: `usage.event_type`, when `payload_type` has a field that no JSON can fill.
    """
    try:
        if is_pydantic(payload_type):
            return payload_type.model_validate_json(text)
        return _decoder(payload_type).decode(text)
    except (ValueError, RecursionError) as error:
        raise _misfit(name, _reason(error)) from error


def holds_nul(text: bytes) -> bool:
    """Tell whether a text in this JSON holds the character U+0000, which PostgreSQL takes and cannot read back."""
    return b"\\u0000" in text and _NUL.search(text) is not None


def is_pydantic(payload_type: Any) -> bool:
    """Tell whether a type or a value is a pydantic model, without importing pydantic."""
    if isinstance(payload_type, (msgspec.Struct, msgspec.StructMeta)):
        return False  # nearly always; to ask an object for what it has not got takes longer than this
    return hasattr(payload_type, "model_validate_json") and hasattr(payload_type, "model_dump_json")


def field_names(payload_type: Any) -> tuple[str, ...]:
    """Give the names of the fields of a Struct, a dataclass, a TypedDict or a pydantic model, as Python spells them."""
    if is_pydantic(payload_type):
        return tuple(payload_type.model_fields)
    if dataclasses.is_dataclass(payload_type):
        return tuple(field.name for field in dataclasses.fields(payload_type))
    return tuple(getattr(payload_type, "__struct_fields__", ()) or getattr(payload_type, "__annotations__", ()))


def unknown_fields(given: Any, value: Any, path: str = "$") -> Iterator[str]:
    """Give the path of each field of the JSON value `given` that did not find a place in the typed `value`."""
    if isinstance(given, Mapping):
        known = _children(value)
        for field, child in given.items():
            if known is not None and field not in known:
                yield f"{path}.{field}"
            else:
                yield from unknown_fields(child, known[field] if known else None, f"{path}.{field}")
    elif isinstance(given, list) and isinstance(value, Sequence) and len(value) == len(given):
        for index, (child, kept) in enumerate(zip(given, value, strict=True)):
            yield from unknown_fields(child, kept, f"{path}[{index}]")


def _children(value: Any) -> dict[str, Any] | None:
    """Give the fields of a typed value by the names that they have in JSON; None where it has no fields."""
    if isinstance(value, msgspec.Struct):
        names = zip(value.__struct_encode_fields__, value.__struct_fields__, strict=True)
        tag = value.__struct_config__.tag_field
        return {wire: getattr(value, name) for wire, name in names} | ({tag: None} if tag else {})
    if isinstance(value, Mapping):
        return {str(field): child for field, child in value.items()}
    if is_pydantic(value):
        fields = type(value).model_fields.items()
        spelled = {word: name for name, field in fields for word in (name, field.alias) if word}
        return {word: getattr(value, name) for word, name in spelled.items()} | (value.model_extra or {})
    if dataclasses.is_dataclass(value):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    return None


def _encoded(value: Any) -> bytes:
    # pydantic warns of values of another type; here the text is read back, and they are refused.
    return value.model_dump_json(by_alias=True, warnings=False).encode() if is_pydantic(value) else encode_json(value)


def _check_text(text: bytes, value: Any, name: str) -> None:
    if not text.startswith(b"{"):
        raise _misfit(name, "it must be an object with fields")
    if holds_nul(text):
        raise _misfit(name, "a text in it holds the character U+0000, which PostgreSQL cannot read back; leave it out")
    # What is not finite leaves null (a float) or a word (a Decimal) in the text. Only such a text is worth the walk.
    if b"null" in text or b"NaN" in text or b"Infinity" in text:
        place = _first(_not_finite(_plain(value), "$"), name)
        if place is not None:
            raise _misfit(name, f"the number at {place} is not finite, and JSON has no word for that; leave it out")


def _first(places: Iterator[str], name: str) -> str | None:
    """Give the first place that a walk finds. From Python 3.12 on the reader follows deeper than a walk can."""
    try:
        return next(places, None)
    except RecursionError as error:
        raise _misfit(name, "it is nested too deeply; send it flatter") from error


def _plain(value: Any) -> Any:
    return (
        value.model_dump(warnings=False) if is_pydantic(value) else msgspec.to_builtins(value, builtin_types=(Decimal,))
    )


def _not_finite(value: Any, path: str) -> Iterator[str]:
    if isinstance(value, dict):
        for field, child in value.items():
            yield from _not_finite(child, f"{path}.{field}")
    elif isinstance(value, (list, tuple, set, frozenset)):
        for index, child in enumerate(value):
            yield from _not_finite(child, f"{path}[{index}]")
    elif (isinstance(value, float) and not math.isfinite(value)) or (
        isinstance(value, Decimal) and not value.is_finite()
    ):
        yield path


@cache
def _decoder(payload_type: Any) -> msgspec.json.Decoder[Any]:
    try:
        return msgspec.json.Decoder(payload_type)
    except (TypeError, NameError) as error:
        raise UsageError(
            f"The class {getattr(payload_type, '__qualname__', payload_type)} cannot be read from JSON: {error}. "
            "Change the annotation of that field.",
            code="usage.event_type",
        ) from error


def _reason(error: Exception) -> str:
    """Give what is wrong and where, never the value: it may be somebody's."""
    if hasattr(error, "errors"):
        first = error.errors(include_input=False, include_url=False)[0]
        return f"{first['msg']} - at `$.{'.'.join(str(step) for step in first['loc'])}`"
    return str(error)


def _misfit(name: str, reason: str) -> InvalidInputError:
    return InvalidInputError(
        f"The payload of {name} does not fit: {reason.rstrip('.')}. Correct the payload, or declare a new version.",
        code="input.payload",
    )
