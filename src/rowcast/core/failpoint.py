"""Named places at which a test lets a process die, fail or freeze. In production each calls an empty function."""

import os
import signal
from collections.abc import Callable
from typing import Protocol

from rowcast.core.errors import ConfigError

FAILPOINTS_VARIABLE = "ROWCAST_FAILPOINTS"


class Failpoint(Protocol):
    """Called with the name of a place whenever the code passes it."""

    def __call__(self, name: str, /) -> None:
        """Pass the place, or do what the test asked for."""
        ...


def no_failpoint(_name: str, /) -> None:
    """Do nothing: what every process but a tested one uses."""


def _kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _freeze() -> None:
    os.kill(os.getpid(), signal.SIGSTOP)


def _raise() -> None:
    raise RuntimeError("A failpoint was reached, as ROWCAST_FAILPOINTS asks for.")


_ACTIONS: dict[str, Callable[[], None]] = {"kill": _kill, "freeze": _freeze, "raise": _raise}


def failpoint_from(text: str | None) -> Failpoint:
    """Give the failpoint that a setting describes: `place=action`, or `place=action:3` for the third time it is passed.

    Args:
        text: Comma-separated pairs; the actions are `kill` (SIGKILL), `freeze` (SIGSTOP) and `raise`. Empty: nothing.
    Raises:
        ConfigError: `config.failpoint`, for another form.
    """
    if not text:
        return no_failpoint
    waiting = dict(_parsed(pair) for pair in text.split(","))
    passed: dict[str, int] = {}

    def failpoint(name: str, /) -> None:
        if name not in waiting:
            return
        passed[name] = passed.get(name, 0) + 1
        action, turn = waiting[name]
        if passed[name] == turn:
            _ACTIONS[action]()

    return failpoint


def _parsed(pair: str) -> tuple[str, tuple[str, int]]:
    name, _, rest = pair.strip().partition("=")
    action, _, turn = rest.partition(":")
    if not name or action not in _ACTIONS or not (turn or "1").isdigit():
        raise ConfigError(
            f"The failpoint {pair!r} cannot be read. Write place=kill, place=freeze or place=raise, "
            "and :n for the n-th time.",
            code="config.failpoint",
        )
    return name, (action, int(turn or "1"))
