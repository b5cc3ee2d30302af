"""Targets and keys with fields of the event in braces, such as `{tenant_id}`."""

import re
from collections.abc import Callable

from rowcast.core.envelope import Envelope
from rowcast.core.errors import InvalidInputError
from rowcast.core.topic import module_of

Template = Callable[[Envelope], str]

TEMPLATE_LIMIT_CHARS = 200
_PIECE = re.compile(r"\{([a-z_]*)\}|[{}]")
_FIELDS: dict[str, Template] = {
    "id": lambda event: str(event.id),
    "tenant_id": lambda event: event.tenant_id,
    "aggregate_type": lambda event: event.aggregate_type,
    "aggregate_id": lambda event: event.aggregate_id,
    "event_type": lambda event: event.event_type,
    "module": lambda event: module_of(event.event_type),
}


def compile_template(text: str) -> str | Template:
    """Give the text itself where it names no field, else the function that fills it in.

    Raises:
        InvalidInputError: `input.rule`, for an unknown field, a stray brace or a text that is too long.
    """
    if len(text) > TEMPLATE_LIMIT_CHARS:
        raise _refusal(text, f"it is longer than {TEMPLATE_LIMIT_CHARS} characters")
    pieces: list[str | Template] = []
    end = 0
    for found in _PIECE.finditer(text):
        pieces += [text[end : found.start()], _field(text, found.group(1))]
        end = found.end()
    return _filler([*pieces, text[end:]]) if pieces else text


def _field(text: str, name: str | None) -> Template:
    if name not in _FIELDS:
        raise _refusal(text, f"braces may hold one of {', '.join(_FIELDS)}")
    return _FIELDS[name]


def _filler(pieces: list[str | Template]) -> Template:
    return lambda event: "".join(piece if isinstance(piece, str) else piece(event) for piece in pieces)


def _refusal(text: str, problem: str) -> InvalidInputError:
    return InvalidInputError(f"The target or key {text[:60]!r} cannot be used: {problem}.", code="input.rule")
