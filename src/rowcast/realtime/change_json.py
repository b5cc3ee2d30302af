"""PostgreSQL's text of a value as JSON: what `to_jsonb(text::type)` would give. Pure."""

import re
from collections.abc import Callable

import msgspec

from rowcast.core.codec import encode_json
from rowcast.realtime.change_types import ColumnType

Convert = Callable[[bytes], bytes]

_encode = msgspec.json.Encoder().encode
_NUMBERS = frozenset("int2 int4 int8 float4 float8 numeric".split())
_DOCUMENTS = frozenset({"json", "jsonb"})
_NO_NUMBERS = frozenset({b"NaN", b"Infinity", b"-Infinity"})
_BOUNDS = re.compile(rb"^(?:\[[-\d]+:[-\d]+\])+=")
_SIGNS = {b"{": b"[", b"}": b"]", b",": b","}
_HOURS_ONLY = re.compile(rb"([+-]\d\d)(?=$| BC$)")
# An element in quotes, or bare text up to the next sign that means something.
_ELEMENT = re.compile(rb'"((?:[^"\\]|\\.)*)"|([{},])|([^{},"]+)', re.DOTALL)
_FIELD = re.compile(rb'((?:"(?:[^"\\]|\\.|"")*"|[^",()\\]|\\.)*)([,)])', re.DOTALL)
_ESCAPED = re.compile(rb"\\(.)", re.DOTALL)
_QUOTED = re.compile(rb'"((?:[^"\\]|\\.|"")*)"|\\(.)', re.DOTALL)
_INSIDE_QUOTES = re.compile(rb'"(")|\\(.)', re.DOTALL)
_PAIR = re.compile(rb'"((?:[^"\\]|\\.)*)"=>(?:"((?:[^"\\]|\\.)*)"|NULL)', re.DOTALL)


def json_converter(kind: ColumnType) -> Convert:
    """Give the function that turns a type's text into JSON text."""
    base = kind.base
    if kind.family == "base":
        if base in _NUMBERS:
            return _number
        if base == "bool":
            return _bool
        if base in _DOCUMENTS:
            return _document
        if base in {"timestamp", "timestamptz"}:
            return _timestamp if base == "timestamp" else _timestamptz
    if kind.family == "array" and kind.element is not None:
        convert = json_converter(kind.element)
        return lambda text: _array(text, convert)
    if kind.family == "composite":
        fields = [(encode_json(name) + b":", json_converter(each)) for name, each in kind.fields]
        return lambda text: _composite(text, fields)
    return _hstore if base == "hstore" else _text


def _number(text: bytes) -> bytes:
    return b'"' + text + b'"' if text in _NO_NUMBERS else text


def _bool(text: bytes) -> bytes:
    return b"true" if text == b"t" else b"false"


def _document(text: bytes) -> bytes:
    return text


def _text(text: bytes) -> bytes:
    return _encode(text.decode())


def _timestamp(text: bytes) -> bytes:
    return b'"' + text.replace(b" ", b"T", 1) + b'"' if text[:1].isdigit() else b'"' + text + b'"'


def _timestamptz(text: bytes) -> bytes:
    if text[-3:] == b"+00" and text[:1].isdigit():
        return b'"' + text[:-3].replace(b" ", b"T", 1) + b'+00:00"'
    return _timestamp(_HOURS_ONLY.sub(rb"\1:00", text))


def _array(text: bytes, convert: Convert) -> bytes:
    """Give an array literal as JSON: braces become brackets, elements are converted one by one."""
    pieces: list[bytes] = []
    for found in _ELEMENT.finditer(_BOUNDS.sub(b"", text)):
        quoted, sign, bare = found.groups()
        if sign is not None:
            pieces.append(_SIGNS[sign])
        elif quoted is None and bare == b"NULL":
            pieces.append(b"null")
        else:
            pieces.append(convert(bare if quoted is None else _ESCAPED.sub(rb"\1", quoted)))
    return b"".join(pieces)


def _composite(text: bytes, fields: list[tuple[bytes, Convert]]) -> bytes:
    cells = [found[1] for found in _FIELD.finditer(text, 1)]
    pairs = [
        name + (convert(_QUOTED.sub(_unquote, cell)) if cell else b"null")
        for (name, convert), cell in zip(fields, cells, strict=False)
    ]
    return b"{" + b",".join(pairs) + b"}"


def _unquote(found: re.Match[bytes]) -> bytes:
    quoted, escaped = found.groups()
    return escaped if quoted is None else _INSIDE_QUOTES.sub(lambda each: each[1] or each[2], quoted)


def _hstore(text: bytes) -> bytes:
    pairs = [
        _text(_ESCAPED.sub(rb"\1", key)) + b":" + (b"null" if value is None else _text(_ESCAPED.sub(rb"\1", value)))
        for key, value in (found.groups() for found in _PAIR.finditer(text))
    ]
    return b"{" + b",".join(pairs) + b"}"
