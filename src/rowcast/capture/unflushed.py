"""Batches that are committed but perhaps not on disk yet. Pure.

The relay's own transactions do not wait for the disk (`synchronous_commit = off`): a batch that a crash of the server
takes back simply comes again. But only while the slot still has it, so the log is let go of only when the commit is
on disk.
"""

from collections import deque


class Unflushed:
    """Settled positions of the log, in order, each with the position that must be on disk first."""

    __slots__ = ("_known", "_new", "_settled_lsn")

    def __init__(self) -> None:
        """Begin with nothing."""
        self._new: list[int] = []
        self._known: deque[tuple[int, int]] = deque()
        self._settled_lsn = 0

    @property
    def is_empty(self) -> bool:
        """Tell whether everything that was settled is on disk."""
        return not self._new and not self._known

    def add(self, lsn: int) -> None:
        """Note that the log is settled up to `lsn` by a transaction that has just been committed."""
        self._new.append(lsn)

    def look(self, written_lsn: int, flushed_lsn: int) -> int:
        """Give the position up to which the log may be let go of.

        Args:
            written_lsn: How far the log is written now: behind every commit that was noted before.
            flushed_lsn: How far of it is on disk.
        """
        if self._new:
            self._known.append((self._new[-1], written_lsn))
            self._new.clear()
        while self._known and self._known[0][1] <= flushed_lsn:
            self._settled_lsn = max(self._settled_lsn, self._known.popleft()[0])
        return self._settled_lsn
