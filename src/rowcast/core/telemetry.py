"""One way to say that something happened. `observe` listens and turns it into logs and metrics."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

Value = str | int | float | bool | None
Listener = Callable[[str, Mapping[str, Value]], None]

_LISTENERS: list[Listener] = []


def tell(name: str, /, **facts: Value) -> None:
    """Tell every listener that `name` happened. Never raises, never waits.

    Args:
        name: Dotted, noun first: `delivery.settled`.
        facts: Short values; never a payload, a token or an address. Units sit in the key: `duration_s`.
    """
    for listener in tuple(_LISTENERS):
        try:
            listener(name, facts)
        except Exception:  # noqa: BLE001, S112 - a broken listener must never break what it listens to
            continue


def listen(listener: Listener) -> None:
    """Add a listener until `unlisten`."""
    _LISTENERS.append(listener)


def unlisten(listener: Listener) -> None:
    """Remove a listener that `listen` added; a stranger is ignored."""
    if listener in _LISTENERS:
        _LISTENERS.remove(listener)


@contextmanager
def listening(listener: Listener) -> Iterator[None]:
    """Listen for the time of a block."""
    listen(listener)
    try:
        yield
    finally:
        unlisten(listener)
