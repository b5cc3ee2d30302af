"""From frames of the stream to batches of events: what is complete, and what may be acknowledged after it. Pure."""

from collections import deque
from collections.abc import Iterable

from rowcast.capture.event_reader import EventReader, is_event_table, make_event_reader
from rowcast.capture.message_reader import MessageReader, is_message_table, make_message_reader
from rowcast.capture.pgoutput import Begin, Commit, Decoder, Insert, Message, Relation
from rowcast.capture.stream_frames import DATA_HEADER_BYTES
from rowcast.core.envelope import Envelope
from rowcast.core.stored_message import StoredMessage

_BATCH_BYTES = 8 * 1024 * 1024
_COMMIT = ord("C")


class Reading:
    """What has been received on one connection and is not handed out yet.

    A batch ends where a transaction ends. Only a transaction that is larger than a batch is cut; then its first batches
    settle no more than the transaction before it, so it is told again from its beginning where it was not finished, and
    the relay drops what has a state by then.
    """

    __slots__ = (
        "_decoder",
        "_events",
        "_frames",
        "_message_readers",
        "_messages",
        "_readers",
        "_size_bytes",
        "committed_at_us",
        "is_inside",
        "settleable_lsn",
    )

    def __init__(self) -> None:
        """Begin as a connection does, outside any transaction."""
        self._decoder = Decoder()
        self._frames: deque[bytes] = deque()
        self._events: list[Envelope] = []
        self._size_bytes = 0
        self._readers: dict[int, EventReader] = {}
        self._messages: list[StoredMessage] = []
        self._message_readers: dict[int, MessageReader] = {}
        self.settleable_lsn = 0
        self.committed_at_us = 0
        self.is_inside = False

    @property
    def waiting(self) -> int:
        """Give the number of frames that were received and not read yet."""
        return len(self._frames)

    @property
    def is_empty(self) -> bool:
        """Tell whether everything that was received has been handed out, up to the end of a transaction."""
        return not self._frames and not self._events and not self._messages and not self.is_inside

    def add(self, frames: Iterable[bytes]) -> None:
        """Take frames of data, in the order in which they came."""
        self._frames.extend(frames)

    def take(self, limit: int) -> tuple[Envelope, ...]:
        """Give the next events, at most `limit`, or none while the rest of their transaction is on its way.

        Afterwards `settleable_lsn` is the position that is done with when they are settled.

        Raises:
            StoreError: `store.replication_message`.
        """
        self._read(limit)
        if self.is_inside and not self._is_full(limit):
            return ()
        events, self._events, self._size_bytes = tuple(self._events), [], 0
        return events

    def take_messages(self) -> tuple[StoredMessage, ...]:
        """Give the messages to sockets that lay among the events taken last. They go first; then those are settled."""
        messages, self._messages = tuple(self._messages), []
        return messages

    def _is_full(self, limit: int) -> bool:
        return len(self._events) + len(self._messages) >= limit or self._size_bytes >= _BATCH_BYTES

    def _read(self, limit: int) -> None:
        frames, decode = self._frames, self._decoder.decode
        # A commit that is already here belongs to the batch that its last row is in.
        while frames and (not self._is_full(limit) or frames[0][DATA_HEADER_BYTES] == _COMMIT):
            frame = frames.popleft()
            message = decode(frame, DATA_HEADER_BYTES)
            if type(message) is Insert:
                self._size_bytes += len(frame)
                self._add(message)
            else:
                self._note(message)

    def _add(self, insert: Insert) -> None:
        read = self._readers.get(insert.relation.oid)
        if read is not None:
            self._events.append(read(insert.new))
        elif insert.relation.oid in self._message_readers:
            message = self._message_readers[insert.relation.oid](insert.new)
            if message is not None:
                self._messages.append(message)

    def _note(self, message: Message) -> None:
        match message:
            case Begin():
                self.is_inside, self.committed_at_us = True, message.committed_at_us
            case Commit():
                self.is_inside, self.settleable_lsn = False, message.end_lsn
            case Relation() if is_event_table(message):
                self._readers[message.oid] = make_event_reader(message)
            case Relation() if is_message_table(message):
                self._message_readers[message.oid] = make_message_reader(message)
            case _:
                pass
