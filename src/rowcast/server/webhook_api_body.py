"""Bodies of the webhook API: JSON against a Struct, where a refusal says which field it is about. Pure."""

import re
from typing import TypeVar

import msgspec

from rowcast.core.errors import InvalidFieldError

T = TypeVar("T")

_PLACE = re.compile(r" - at `(?P<way>[^`]*)`\Z")
_MISSING = re.compile(r"Object missing required field `(?P<field>[^`]*)`")
_STEP = re.compile(r"[^.\[\]]+")


def read_body(text: bytes, as_type: type[T]) -> T:
    """Give the body as a Struct. An absent body is `{}`; fields that the Struct lacks are passed over.

    Newer SDKs send fields that older servers do not know, so an unknown field is no mistake here.

    Raises:
        InvalidFieldError: `input.field`, with the way to the field.
    """
    try:
        return msgspec.json.decode(text or b"{}", type=as_type)
    except msgspec.ValidationError as error:
        raise _field_error(str(error)) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidFieldError(f"The body is not JSON: {error}.", place=("body",), kind="value_error.json") from error
    except RecursionError as error:
        raise InvalidFieldError("The body is nested too deeply.", place=("body",), kind="value_error.json") from error


def _field_error(text: str) -> InvalidFieldError:
    """Turn the reader's sentence into a place and a sentence."""
    found = _PLACE.search(text)
    steps = tuple(_STEP.findall(found["way"]))[1:] if found else ()
    missing = _MISSING.match(text)
    if missing:
        return InvalidFieldError(
            "This field is required.", place=("body", *steps, missing["field"]), kind="value_error.missing"
        )
    sentence = text[: found.start()] if found else text
    kind = "type_error" if " got " in sentence else "value_error"
    return InvalidFieldError(f"{sentence.replace('`', '')}.", place=("body", *steps), kind=kind)
