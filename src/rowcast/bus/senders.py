"""How far each other node's packets have been heard."""

from collections import OrderedDict

_KEPT_NODES = 1024


class Senders:
    """The last number heard from each node; those silent for longest are forgotten."""

    __slots__ = ("_last",)

    def __init__(self) -> None:
        """Start without any."""
        self._last: OrderedDict[bytes, int] = OrderedDict()

    def take(self, node: bytes, number: int) -> int | None:
        """Note a packet. Give how many were missed before it, or None when it was heard already."""
        last = self._last.get(node, number - 1)
        if number <= last:
            return None
        self._last[node] = number
        self._last.move_to_end(node)
        if len(self._last) > _KEPT_NODES:
            self._last.popitem(last=False)
        return number - last - 1
