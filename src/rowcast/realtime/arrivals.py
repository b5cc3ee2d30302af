"""Finds out what has arrived at a client without the client's help: every WebSocket stack answers PING in order. Pure.

A PONG proves that the client's side of the socket has read all frames before the PING. It does not prove that the
application has looked at them.
"""

from collections import deque
from collections.abc import Mapping
from typing import Generic, TypeVar

PING_EVERY = 5
_OPEN_PINGS = 64
_MARK = b"rowcast:"

Who = TypeVar("Who")


class Arrivals(Generic[Who]):
    """What went out to one socket and has not been seen to arrive; `Who` are its channels."""

    __slots__ = ("_number", "_open", "_sent", "_since_ping")

    def __init__(self) -> None:
        """Begin with nothing."""
        self._number = 0
        self._sent: dict[Who, str] = {}
        self._since_ping = 0
        self._open: deque[tuple[int, Mapping[Who, str]]] = deque()

    def note(self, who: Who, name: str) -> bool:
        """Take note of what was written; True when it is time for a PING."""
        self._sent[who] = name
        self._since_ping += 1
        return self._since_ping >= PING_EVERY

    def ping(self) -> bytes | None:
        """Give the payload of the PING that is due; None when nothing new went out, or too many are unanswered."""
        if not self._sent or len(self._open) >= _OPEN_PINGS:
            return None
        self._number += 1
        self._open.append((self._number, self._sent))
        self._sent, self._since_ping = {}, 0
        return _MARK + b"%d" % self._number

    def pong(self, payload: bytes) -> Mapping[Who, str]:
        """Give what has arrived for each channel, by the newest; nothing for a PONG that answers none of ours."""
        number = payload.removeprefix(_MARK)
        if not payload.startswith(_MARK) or len(number) > 18 or not number.isdigit() or int(number) > self._number:
            return {}
        arrived: dict[Who, str] = {}
        while self._open and self._open[0][0] <= int(number):
            arrived |= self._open.popleft()[1]
        return arrived
