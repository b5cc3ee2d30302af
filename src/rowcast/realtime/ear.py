"""Channels that hear one by one what others get in shared writes: something goes first, or nothing may be lost."""

from collections import deque
from collections.abc import Sequence
from typing import Protocol

import msgspec

from rowcast.realtime import replies
from rowcast.realtime.effects import Follow
from rowcast.realtime.frames import BINARY, TEXT, encode_message
from rowcast.realtime.messages import Broadcast, Ref, TopicKey
from rowcast.realtime.protocol import Version, encode_changes, encode_frame, encode_legacy_change, encode_replayed

_KNOWN_IDS = 4096
_KEPT_FRAMES = 10_000
_KEPT_BYTES = 32 * 1024 * 1024


class Writer(Protocol):
    """A socket as an ear sees it."""

    @property
    def version(self) -> Version:
        """Which serializer it speaks."""
        ...

    @property
    def number(self) -> int:
        """The `sender` of its own broadcasts."""
        ...

    @property
    def is_stalled(self) -> bool:
        """Tell whether its client does not read fast enough at the moment."""
        ...

    def write_shared(self, data: bytes) -> None:
        """Write frames; must not wait and must not raise."""
        ...

    def note_sent(self, ear: "Ear", broadcast_id: str) -> None:
        """Take note of what a session was sent, so that its arrival is found out."""
        ...

    def cut(self, reason: str) -> None:
        """End the connection now."""
        ...


class _Meta(msgspec.Struct):
    id: str = ""


_META = msgspec.json.Decoder(_Meta)


def broadcast_id(broadcast: Broadcast) -> str:
    """Give the `id` in a broadcast's meta; empty when it has none."""
    if not broadcast.meta:
        return ""
    try:
        return _META.decode(broadcast.meta).id
    except msgspec.MsgspecError:
        return ""


class Ear:
    """Hears the broadcasts of one channel: what was missed first, then what came meanwhile, then what is live.

    While its client does not read, it keeps what comes instead of the socket, so that a long past fits.
    """

    __slots__ = ("_bytes", "_is_held", "_kept", "_known", "_writer", "key", "session")

    def __init__(self, writer: Writer, key: TopicKey, session: str | None) -> None:
        """Hold everything back until `release`."""
        self.key = key
        self.session = session
        self._writer = writer
        self._is_held = True
        self._kept: deque[tuple[str, bytes]] = deque()
        self._bytes = 0
        self._known: set[str] = set()

    @property
    def version(self) -> Version:
        """Give the serializer of its socket."""
        return self._writer.version

    @property
    def has_kept(self) -> bool:
        """Tell whether something waits."""
        return bool(self._kept)

    def hear(self, broadcasts: Sequence[Broadcast], frames: Sequence[bytes]) -> None:
        """Take broadcasts in order, each with its frame for this version."""
        for broadcast, data in zip(broadcasts, frames, strict=True):
            if broadcast.sender and broadcast.sender == self._writer.number:
                continue
            name = broadcast_id(broadcast)
            if self._is_nothing(name, data) or (name and name in self._known):
                continue
            if self._is_held or self._kept or self._writer.is_stalled:
                self._keep(name, data)
            else:
                self._write(name, data)

    def release(self, missed: Sequence[Broadcast], join_ref: Ref) -> None:
        """Send what was missed and then what was held back, each once."""
        names = [broadcast_id(broadcast) for broadcast in missed]
        held, self._kept, self._bytes = self._kept, deque(), 0
        self._known = {name for name in names[-_KNOWN_IDS:] if name}
        self._is_held = False
        for name, broadcast in zip(names, missed, strict=True):
            found = encode_replayed(broadcast, join_ref, self.version)
            data = b"" if found is None else encode_message(BINARY if found[0] else TEXT, found[1])
            if not self._is_nothing(name, data):
                self._kept.append((name, data))
        self._kept.extend((name, data) for name, data in held if not name or name not in self._known)
        self._bytes = sum(len(data) for _, data in self._kept)
        self.pump()

    def end(self, reason: str) -> None:
        """End the connection, unless something waits here that explains what has not arrived."""
        if not self._is_held and not self._kept:
            self._writer.cut(reason)

    def pump(self) -> None:
        """Write what waits, as long as the client reads."""
        while self._kept and not self._is_held and not self._writer.is_stalled:
            name, data = self._kept.popleft()
            self._bytes -= len(data)
            self._write(name, data)

    def _keep(self, name: str, data: bytes) -> None:
        self._kept.append((name, data))
        self._bytes += len(data)
        if len(self._kept) > _KEPT_FRAMES or self._bytes > _KEPT_BYTES:
            # Cut, not dropped: the client comes back and gets what it has missed.
            self._writer.cut("slow")

    def _is_nothing(self, name: str, data: bytes) -> bool:
        """Tell whether there is nothing to do. What this version cannot show must count as arrived for a session."""
        return not data and not (name and self.session is not None)

    def _write(self, name: str, data: bytes) -> None:
        if data:
            self._writer.write_shared(data)
        if name and self.session is not None:
            self._writer.note_sent(self, name)


class ChangeFrames:
    """The frames of the change that is being told: channels of one topic with the same bindings share one."""

    __slots__ = ("_data", "_frames")

    def __init__(self) -> None:
        """Begin with none."""
        self._data: bytes = b""
        self._frames: dict[tuple[str, tuple[int, ...], Version], bytes] = {}

    def frame(self, topic: str, ids: tuple[int, ...], data: bytes, version: Version) -> bytes:
        """Give the WebSocket frame for all receivers of a topic, ids and version; without ids as older clients read it.

        `topic` as on the wire.
        """
        if data is not self._data:
            self._data = data
            self._frames.clear()
        found = self._frames.get((topic, ids, version))
        if found is None:
            text = encode_changes(topic, ids, data, version) if ids else encode_legacy_change(topic, data, version)
            found = encode_message(TEXT, text)
            self._frames[topic, ids, version] = found
        return found


class ChannelChanges:
    """Hears the changed rows of one channel; holds them back until its join is answered.

    `fault` is the last thing that was said against what it asked for.
    """

    __slots__ = ("_asked", "_bytes", "_frames", "_held", "_writer", "fault", "is_over", "told")

    def __init__(self, writer: Writer, frames: ChangeFrames, asked: Follow) -> None:
        """Write to `writer` what `asked` is about."""
        self._writer = writer
        self._frames = frames
        self._asked = asked
        self.fault: str | None = None
        self._held: list[bytes] | None = []
        self._bytes = 0
        self.is_over = False
        self.told = 0

    def hear_change(self, ids: tuple[int, ...], data: bytes) -> None:
        """Take one change."""
        self.told += 1
        shown = () if self._asked.is_legacy else ids
        self._take(self._frames.frame(self._asked.topic, shown, data, self._writer.version))

    def hear_changes_system(self, status: str, text: str) -> None:
        """Take a `system` message about changes."""
        if status == "error":
            self.fault = text
        asked = self._asked
        told = replies.system(asked.topic, asked.join_ref, text, status=status, extension="postgres_changes")
        self._take(encode_message(TEXT, encode_frame(told, self._writer.version)))

    def release(self) -> None:
        """Write what was held back."""
        held, self._held = self._held, None
        if held:
            self._writer.write_shared(b"".join(held))

    def _take(self, data: bytes) -> None:
        if self.is_over:
            return
        if self._held is None:
            self._writer.write_shared(data)
            return
        self._held.append(data)
        self._bytes += len(data)
        if len(self._held) > _KEPT_FRAMES or self._bytes > _KEPT_BYTES:
            self._writer.cut("slow")
