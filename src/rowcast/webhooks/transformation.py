"""The transformation of an endpoint: what is kept of it, how it changes, and the body that it makes. Pure."""

from collections.abc import Mapping
from datetime import datetime

import msgspec
from msgspec import UNSET, UnsetType

from rowcast.core.codec import decode_json, encode_json
from rowcast.core.envelope import Envelope
from rowcast.core.errors import InvalidFieldError
from rowcast.core.payload import holds_nul
from rowcast.webhooks.transform import parse_template, rendered

VARIABLES_LIMIT = 50
VARIABLES_LIMIT_BYTES = 16_384


class Transformation(msgspec.Struct, frozen=True, rename="camel"):
    """A template and what it may name beside the message. What is not enabled is kept and not used."""

    code: str | None = None
    enabled: bool = False
    variables: dict[str, str] = {}
    updated_at: datetime | None = None


class TransformationChange(msgspec.Struct, frozen=True):
    """What is changed of a transformation: what is UNSET stays as it is."""

    code: str | UnsetType | None = UNSET
    enabled: bool | UnsetType = UNSET
    variables: Mapping[str, str] | UnsetType = UNSET


def changed_transformation(kept: Transformation, change: TransformationChange, *, now: datetime) -> Transformation:
    """Give a transformation with what was changed, if it can be used.

    Raises:
        InvalidFieldError: `input.field`, for a template or variables that cannot be used.
    """
    given = {name: value for name, value in msgspec.structs.asdict(change).items() if value is not UNSET}
    made: Transformation = msgspec.structs.replace(kept, **given, updated_at=now)
    if made.code is not None:
        parse_template(made.code)
    _check_variables(made.variables)
    return made


def _check_variables(variables: Mapping[str, str]) -> None:
    text = encode_json(variables)
    if len(variables) > VARIABLES_LIMIT or len(text) > VARIABLES_LIMIT_BYTES:
        raise InvalidFieldError(
            f"There are at most {VARIABLES_LIMIT} variables, of {VARIABLES_LIMIT_BYTES} bytes together.",
            place=("body", "variables"),
        )
    if holds_nul(text):
        # Every statement that looks into the document would fail, those that read all endpoints of a batch as well.
        raise InvalidFieldError("A variable holds the character U+0000. Leave it out.", place=("body", "variables"))


def transformed_body(event: Envelope, transformation: Transformation) -> bytes:
    """Give the body that the template makes of an event; it is posted instead of the ordinary one.

    Raises:
        InvalidInputError: `input.transform`, or of another code where template or payload can be read no longer.
    """
    template = parse_template(transformation.code or "null")
    message = decode_json(encode_json({"type": event.event_type, "timestamp": event.occurred_at}))
    return rendered(template, {**message, "data": decode_json(event.payload), "variables": transformation.variables})
