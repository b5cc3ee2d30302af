"""From the body of a genuine request to the payload, the id and the type of an event. Pure."""

import hashlib
import re
from typing import Any
from urllib.parse import parse_qsl

import msgspec

from rowcast.core.codec import decode_json, encode_json
from rowcast.webhooks.incoming import IncomingRequest, unreadable

FORM = "application/x-www-form-urlencoded"
KEPT_FIELD = "webhookHeaders"
_FIELDS_LIMIT = 1000
# As many as the outbox takes at once; what is over that is refused before there is work with each.
_ITEMS_LIMIT = 10_000
_ID_LIMIT = 200
_ID = re.compile(r"[!-~]+\Z")
_TYPE_LIMIT = 128
_DOTS = re.compile(r"[./:]+")
_OTHER = re.compile(r"[^a-z0-9_]+")
_FALLBACK = "received"


class Body(msgspec.Struct, frozen=True):
    """A body that was read: its JSON text, which is always an object, and the value in it."""

    text: bytes
    fields: dict[str, Any]

    def text_of(self, *path: str) -> str:
        """Give the text or the number at a path of fields; empty where there is none."""
        value: Any = self.fields
        for name in path:
            value = value.get(name) if isinstance(value, dict) else None
        return str(value) if isinstance(value, (str, int)) and not isinstance(value, bool) else ""

    def items(self, name: str) -> list["Body"]:
        """Give the objects of a list, each with its text as it was written.

        Raises:
            InvalidInputError: `input.not_json`, when there is no such list of objects, or more than 10,000 in it.
        """
        values = self.fields.get(name)
        if not isinstance(values, list) or not all(isinstance(value, dict) for value in values):
            raise unreadable(f"The body must be an object with the list {name!r} of objects.")
        if len(values) > _ITEMS_LIMIT:
            raise unreadable(f"The list {name!r} has more than {_ITEMS_LIMIT} objects.")
        fields: dict[str, msgspec.Raw] = decode_json(self.text, dict[str, msgspec.Raw])
        texts: list[msgspec.Raw] = decode_json(bytes(fields[name]), list[msgspec.Raw])
        return [Body(bytes(text), value) for text, value in zip(texts, values, strict=True)]


def read_body(request: IncomingRequest, *, inner: str = "") -> Body:
    """Give the body as a JSON object: as it is, a form as an object of texts, another JSON value under `data`.

    Args:
        request: A genuine one.
        inner: The field of a form that may hold a JSON object, which then stands for the form.
    Raises:
        InvalidInputError: `input.not_json`.
    """
    # Whoever posts JSON by hand forgets to say so, and the tools then say that it is a form.
    if request.media_type == FORM and not request.body.startswith(b"{"):
        fields = merged(form_pairs(request.body, errors="replace"))
        held = fields.get(inner)
        return json_body(held.encode()) if isinstance(held, str) and held.startswith("{") else _body(fields)
    if not request.body.strip():
        return Body(b"{}", {})
    return json_body(request.body)


def json_body(text: bytes) -> Body:
    """Give a JSON text as an object.

    Raises:
        InvalidInputError: `input.not_json`.
    """
    value = decode_json(text)
    return Body(text, value) if isinstance(value, dict) else _body({"data": value})


def form_pairs(body: bytes, *, errors: str) -> list[tuple[str, str]]:
    """Give the names and values of a form in their order; `errors` says what becomes of bytes that are no UTF-8.

    Raises:
        InvalidInputError: `input.not_json`, for more than 1,000 of them.
    """
    try:
        text = body.decode("utf-8", errors)
        return parse_qsl(text, keep_blank_values=True, errors=errors, max_num_fields=_FIELDS_LIMIT)
    except ValueError:
        raise unreadable(f"The form has more than {_FIELDS_LIMIT} fields, or is none.") from None


def merged(pairs: list[tuple[str, str]]) -> dict[str, Any]:
    """Give a form as an object: one text for each name, a list where a name comes twice."""
    found: dict[str, list[str]] = {}
    for name, value in pairs:
        found.setdefault(name, []).append(value)
    return {name: values[0] if len(values) == 1 else values for name, values in found.items()}


def with_headers(payload: bytes, request: IncomingRequest, names: tuple[str, ...]) -> bytes:
    """Give a payload with some headers under `webhookHeaders`; its own fields stay as they were written."""
    kept = {name.lower(): request.header_text(name) for name in names if request.header(name)}
    if not kept:
        return payload
    fields: dict[str, Any] = decode_json(payload, dict[str, msgspec.Raw])
    return encode_json({**fields, KEPT_FIELD: kept})


def delivery_id(said: str, otherwise: bytes) -> str:
    """Give the id by which a delivery is taken once: what the sender says, or a hash of what it signed."""
    if said and len(said) <= _ID_LIMIT and _ID.match(said):
        return said
    return "sha256:" + hashlib.sha256(otherwise).hexdigest()


def event_type(source: str, called: str) -> str:
    """Give the type of an event: the source's name, and what the sender calls it in lower-case dotted words."""
    words = (_OTHER.sub("_", word).strip("_") for word in _DOTS.split(called.lower()))
    text = ".".join([source, *(word for word in words if word)])
    return text[:_TYPE_LIMIT].rstrip("._") if "." in text else f"{source}.{_FALLBACK}"


def _body(fields: dict[str, Any]) -> Body:
    return Body(encode_json(fields), fields)
