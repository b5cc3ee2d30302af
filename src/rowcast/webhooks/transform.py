"""Transformations of messages: a JSON template, never a program, makes the body that is posted. Pure.

    {"text": "Order {{ data.id }} was paid", "total": "{{ data.total }}",
     "lines": {"$each": "data.lines", "$as": {"sku": "{{ item.sku }}", "place": "{{ index }}"}},
     "note": {"$if": "data.note", "then": "{{ data.note }}", "else": "none"}}

A text that is one placeholder becomes the value itself, with its type; placeholders within a text become text. What a
path does not find is null, and nothing within a text. `$if` asks whether something is there that is not empty, zero or
false; without `else` its place in an object or a list is left out. `$literal` gives what it holds as it is.
"""

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import msgspec

from rowcast.core.codec import decode_json, encode_json
from rowcast.core.errors import InvalidFieldError, InvalidInputError

TEMPLATE_LIMIT_BYTES = 16_384
DEPTH_LIMIT = 16
NODES_LIMIT = 500
ITEMS_LIMIT = 1000
OUTPUT_LIMIT_BYTES = 65_536
STEPS_LIMIT = 30_000
"""What one body may cost: each value that is made is a step, and each word of a path that is followed."""
_PARSED_LIMIT = 256
_ROOTS = frozenset({"type", "timestamp", "data", "variables"})
_ITEM_ROOTS = frozenset({"item", "index"})
_PLACEHOLDER = re.compile(r"\{\{\s*([^{}\s]+)\s*\}\}")
_DIGITS = re.compile(r"[0-9]{1,6}\Z")

Path = tuple[str, ...]


class _Value(msgspec.Struct, frozen=True):
    """A placeholder alone: the value itself."""

    path: Path


class _Text(msgspec.Struct, frozen=True):
    """Text and paths in turn, text first."""

    texts: tuple[str, ...]
    paths: tuple[Path, ...]


class _Literal(msgspec.Struct, frozen=True):
    value: Any
    cost: int


class _Object(msgspec.Struct, frozen=True):
    members: tuple[tuple[str, "_Node"], ...]
    cost: int


class _List(msgspec.Struct, frozen=True):
    items: tuple["_Node", ...]


class _Each(msgspec.Struct, frozen=True):
    path: Path
    node: "_Node"


class _If(msgspec.Struct, frozen=True):
    path: Path
    then: "_Node"
    otherwise: "_Node | None"


_Node = _Value | _Text | _Literal | _Object | _List | _Each | _If


class Template(msgspec.Struct, frozen=True):
    """A template that was checked."""

    node: Any


@lru_cache(maxsize=_PARSED_LIMIT)
def parse_template(code: str) -> Template:
    """Give a template from its JSON text.

    Raises:
        InvalidFieldError: `input.field` at `code`, saying which place of the template cannot be used.
    """
    written = code.encode("utf-8", "surrogatepass")
    if len(written) > TEMPLATE_LIMIT_BYTES:
        raise _refusal(f"it has more than {TEMPLATE_LIMIT_BYTES} bytes")
    try:
        document = decode_json(written)
    except InvalidInputError:
        raise _refusal("it is not JSON") from None
    return Template(_Reader().node(document, place=(), roots=_ROOTS))


def rendered(template: Template, message: Mapping[str, Any]) -> bytes:
    """Give the body that a template makes of a message, as JSON text.

    Args:
        template: What `parse_template` gave.
        message: `type`, `timestamp`, `data` and `variables`.
    Raises:
        InvalidInputError: `input.transform`: something that is no list is to be gone through, or the body is too large.
    """
    value = _Writer().value(template.node, message)
    try:
        body = encode_json(None if value is _LEFT_OUT else value)
    except InvalidInputError as error:
        raise _failure("What the template makes is no JSON.") from error
    if len(body) > OUTPUT_LIMIT_BYTES:
        raise _too_large()
    return body


class _Reader:
    """Reads a template and counts its nodes."""

    def __init__(self) -> None:
        self._nodes = 0

    def node(self, value: Any, *, place: Path, roots: frozenset[str]) -> _Node:
        self._nodes += 1
        if self._nodes > NODES_LIMIT:
            raise _refusal(f"it has more than {NODES_LIMIT} values")
        if len(place) > DEPTH_LIMIT:
            raise _refusal(f"it is nested deeper than {DEPTH_LIMIT}", place)
        match value:
            case str():
                return _text_node(value, place=place, roots=roots)
            case list():
                each = enumerate(value)
                return _List(tuple(self.node(item, place=(*place, str(at)), roots=roots) for at, item in each))
            case dict():
                return self._object(value, place=place, roots=roots)
        return _Literal(value, len(encode_json(value)))

    def _object(self, value: dict[str, Any], *, place: Path, roots: frozenset[str]) -> _Node:
        words = {key for key in value if key.startswith("$")}
        if not words:
            members = ((key, self.node(item, place=(*place, key), roots=roots)) for key, item in value.items())
            return _Object(tuple(members), sum(map(len, value)))
        if words == {"$each", "$as"} == value.keys():
            path = _path(value["$each"], place=place, roots=roots)
            return _Each(path, self.node(value["$as"], place=(*place, "$as"), roots=roots | _ITEM_ROOTS))
        if words == {"$if"} and value.keys() <= {"$if", "then", "else"} and "then" in value:
            return self._choice(value, place=place, roots=roots)
        if value.keys() == {"$literal"}:
            return _Literal(value["$literal"], len(encode_json(value["$literal"])))
        raise _refusal(
            "an object with a '$' holds '$each' and '$as', '$if' with 'then' and 'else', or '$literal', no more",
            place,
        )

    def _choice(self, value: dict[str, Any], *, place: Path, roots: frozenset[str]) -> _If:
        path = _path(value["$if"], place=place, roots=roots)
        then = self.node(value["then"], place=(*place, "then"), roots=roots)
        if "else" not in value:
            return _If(path, then, None)
        return _If(path, then, self.node(value["else"], place=(*place, "else"), roots=roots))


def _text_node(text: str, *, place: Path, roots: frozenset[str]) -> _Node:
    parts = _PLACEHOLDER.split(text)
    texts, paths = parts[::2], [_path(part, place=place, roots=roots) for part in parts[1::2]]
    if any("{{" in each or "}}" in each for each in texts):
        raise _refusal("a placeholder is written '{{ data.order.id }}'; '$literal' holds braces as they are", place)
    if not paths:
        return _Literal(text, len(text) + 2)
    return _Value(paths[0]) if texts == ["", ""] else _Text(tuple(texts), tuple(paths))


def _path(text: Any, *, place: Path, roots: frozenset[str]) -> Path:
    path = tuple(text.split(".")) if isinstance(text, str) else ()
    if not path or "" in path or len(path) > DEPTH_LIMIT:
        raise _refusal(f"a path is up to {DEPTH_LIMIT} words with dots between them, such as 'data.order.id'", place)
    if path[0] not in roots:
        raise _refusal(f"a path begins with one of {', '.join(sorted(roots))}", place)
    return path


class _Writer:
    """Makes one body, and stops when it has become too large or has cost too much."""

    def __init__(self) -> None:
        self._bytes_left = OUTPUT_LIMIT_BYTES
        self._steps_left = STEPS_LIMIT

    def value(self, node: _Node, scope: Mapping[str, Any]) -> Any:
        self._step(1)
        match node:
            case _Literal(value=value, cost=cost):
                self._spend(cost)
                return value
            case _Value(path=path):
                return self._found(path, scope)
            case _Text():
                return self._text(node, scope)
            case _Object(members=members, cost=cost):
                self._spend(cost)
                made = ((key, self.value(member, scope)) for key, member in members)
                return {key: value for key, value in made if value is not _LEFT_OUT}
            case _List(items=items):
                return [value for value in (self.value(item, scope) for item in items) if value is not _LEFT_OUT]
            case _Each(path=path, node=inner):
                return self._each(path, inner, scope)
            case _If(path=path, then=then, otherwise=otherwise):
                chosen = then if self._find(path, scope) else otherwise
                return _LEFT_OUT if chosen is None else self.value(chosen, scope)

    def _found(self, path: Path, scope: Mapping[str, Any]) -> Any:
        value = self._find(path, scope)
        self._spend(len(value) if isinstance(value, str) else len(_json(value)))
        return value

    def _text(self, node: _Text, scope: Mapping[str, Any]) -> str:
        pieces = [node.texts[0]]
        self._spend(len(pieces[0]))
        for path, text in zip(node.paths, node.texts[1:], strict=True):
            value = self._find(path, scope)
            pieces += ["" if value is None else value if isinstance(value, str) else _json(value).decode(), text]
            self._spend(len(pieces[-2]) + len(text))
        return "".join(pieces)

    def _each(self, path: Path, inner: _Node, scope: Mapping[str, Any]) -> list[Any]:
        items = self._find(path, scope)
        if items is None:
            return []
        if not isinstance(items, list):
            raise _failure(f"'{'.'.join(path)[:100]}' is no list, and the template goes through it.")
        if len(items) > ITEMS_LIMIT:
            raise _failure(f"'{'.'.join(path)[:100]}' has more than {ITEMS_LIMIT} items.")
        made = (self.value(inner, {**scope, "item": item, "index": at}) for at, item in enumerate(items))
        return [value for value in made if value is not _LEFT_OUT]

    def _find(self, path: Path, scope: Mapping[str, Any]) -> Any:
        self._step(len(path))
        return _find(path, scope)

    def _step(self, steps: int) -> None:
        self._steps_left -= steps
        if self._steps_left < 0:
            raise _failure(f"The template takes more than {STEPS_LIMIT} steps for this message.")

    def _spend(self, cost: int) -> None:
        self._bytes_left -= cost
        if self._bytes_left < 0:
            raise _too_large()


_LEFT_OUT = object()


def _find(path: Path, scope: Mapping[str, Any]) -> Any:
    """Give what a path leads to, or None."""
    value: Any = scope
    for step in path:
        match value:
            case Mapping():
                value = value.get(step)
            case list() if _DIGITS.match(step) and int(step) < len(value):
                value = value[int(step)]
            case _:
                return None
    return value


def _json(value: Any) -> bytes:
    try:
        return encode_json(value)
    except InvalidInputError as error:
        raise _failure("A value of the message is nested too deeply.") from error


def _too_large() -> InvalidInputError:
    return _failure(f"The template makes a body of more than {OUTPUT_LIMIT_BYTES} bytes.")


def _failure(sentence: str) -> InvalidInputError:
    return InvalidInputError(sentence, code="input.transform")


def _refusal(problem: str, place: Sequence[str] = ()) -> InvalidFieldError:
    where = f" At '/{'/'.join(place)[:200]}':" if place else ""
    return InvalidFieldError(f"The template cannot be used.{where} {problem}.", place=("body", "code"))
