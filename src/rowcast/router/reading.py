"""Reading a field of a JSON value by its dotted name; a field that is not there reads as null."""

from typing import Any

from rowcast.router.condition import Run


class _Absent:
    """The kind of `_ABSENT`: no such field, which a default stands in for; a field that is null is there."""


_ABSENT = _Absent()


def read_field(value: Any, name: str) -> Any:
    """Give the field that a dotted name such as `payload.items.0` means, or None."""
    found = _walk(value, tuple(name.split(".")))
    return None if found is _ABSENT else found


def reader(name: str, default: Run | None) -> Run:
    """Give the closure that reads the field `name` of its scope; the empty name means the scope itself."""
    if not name:
        return lambda scope, event: scope
    parts = tuple(name.split("."))
    if default is not None:
        return _defaulted(parts, default)
    return _pair(*parts) if len(parts) == 2 else _plain(parts)


def _pair(first: str, second: str) -> Run:
    """Read the commonest shape, `payload.field`, without a loop."""

    def run(scope: Any, event: Any) -> Any:
        try:
            return scope[first][second]
        except (KeyError, TypeError, IndexError):
            found = _walk(scope, (first, second))
            return None if found is _ABSENT else found

    return run


def _plain(parts: tuple[str, ...]) -> Run:
    def run(scope: Any, event: Any) -> Any:
        found = _walk(scope, parts)
        return None if found is _ABSENT else found

    return run


def _defaulted(parts: tuple[str, ...], default: Run) -> Run:
    def run(scope: Any, event: Any) -> Any:
        found = _walk(scope, parts)
        return default(scope, event) if found is _ABSENT else found

    return run


def _walk(value: Any, parts: tuple[str, ...]) -> Any:
    for part in parts:
        if type(value) is dict:
            value = value.get(part, _ABSENT)
        elif type(value) is list and part.isdecimal() and len(part) < 7 and int(part) < len(value):
            value = value[int(part)]
        else:
            return _ABSENT
    return value
