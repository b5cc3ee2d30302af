"""JSON in and out: one encoder and one set of rules for the whole house."""

from typing import Any, TypeVar, overload

import msgspec

from rowcast.core.errors import InvalidInputError

T = TypeVar("T")

_ENCODER = msgspec.json.Encoder(decimal_format="string", uuid_format="canonical")
_DECODER = msgspec.json.Decoder()


def encode_json(value: object) -> bytes:
    """Give the compact JSON text of `value`, UTF-8.

    Raises:
        InvalidInputError: `input.not_json`, when the value has no JSON form.
    """
    try:
        return _ENCODER.encode(value)
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidInputError(
            f"The value has no JSON form: {error}. Use text, numbers, lists, mappings, dates or decimals.",
            code="input.not_json",
        ) from error


@overload
def decode_json(text: bytes | str) -> Any: ...
@overload
def decode_json(text: bytes | str, as_type: type[T]) -> T: ...
def decode_json(text: bytes | str, as_type: Any = None) -> Any:
    """Give the value of a JSON text, checked against `as_type` where one is given.

    Raises:
        InvalidInputError: `input.not_json` for text that is not JSON, `input.shape` for JSON of another shape.
    """
    try:
        return _DECODER.decode(text) if as_type is None else msgspec.json.decode(text, type=as_type)
    except msgspec.ValidationError as error:
        raise InvalidInputError(f"The JSON has another shape: {error}.", code="input.shape") from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidInputError(f"The text is not JSON: {error}.", code="input.not_json") from error
