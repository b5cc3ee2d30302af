"""WebSocket frames (RFC 6455), read and written. Pure: bytes in, values out."""

from typing import NamedTuple

from websockets.speedups import apply_mask

CONTINUATION, TEXT, BINARY = 0x0, 0x1, 0x2
CLOSE, PING, PONG = 0x8, 0x9, 0xA
NORMAL, PROTOCOL_FAULT, NOT_UTF8, TOO_BIG, INTERNAL_FAULT, RESTART = 1000, 1002, 1007, 1009, 1011, 1012
_KNOWN = frozenset((CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG))
_CONTROL_LIMIT_BYTES = 125
_SENDABLE_CODES = frozenset((1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014))
# Shared by all readers that are not inside a fragmented message; never written to.
_NO_PARTS = bytearray()
_FINAL, _RESERVED, _OPCODE, _MASKED, _LENGTH = 0x80, 0x70, 0x0F, 0x80, 0x7F


class Message(NamedTuple):
    """A whole message or a control frame; a text's payload is valid UTF-8."""

    opcode: int
    payload: bytes


class Violation(NamedTuple):
    """The peer broke the protocol; the connection is to be closed with `code`."""

    code: int
    reason: str


class FrameReader:
    """Gives messages from bytes that come in any slices. Holds what is incomplete, never more than the limit."""

    __slots__ = ("_buffer", "_limit_bytes", "_parts", "_position", "_started")

    def __init__(self, limit_bytes: int) -> None:
        """Refuse messages over `limit_bytes`."""
        self._limit_bytes = limit_bytes
        self._buffer: bytes | bytearray = b""
        self._position = 0
        self._started = 0
        self._parts = _NO_PARTS

    def feed(self, data: bytes) -> None:
        """Take what the socket brought."""
        if self._position >= len(self._buffer):
            self._buffer, self._position = data, 0
            return
        # A bytearray grows in place: a message in a thousand slices is copied once, not a thousand times.
        if not isinstance(self._buffer, bytearray):
            self._buffer = bytearray(self._buffer)
        del self._buffer[: self._position]
        self._position = 0
        self._buffer += data

    def next(self) -> Message | Violation | None:
        """Give the next message, or None when more bytes are needed."""
        while True:
            frame = self._next_frame()
            if frame is None or isinstance(frame, Violation):
                return frame
            is_final, opcode, payload = frame
            if opcode >= CLOSE:
                return Message(opcode, payload)
            found = self._join(is_final, opcode, payload)
            if found is not None:
                return found

    def _next_frame(self) -> tuple[bool, int, bytes] | Violation | None:
        buffer, start = self._buffer, self._position
        if len(buffer) - start < 2:
            return None
        first, second = buffer[start], buffer[start + 1]
        fault = self._header_fault(first, second)
        if fault is not None:
            return fault
        length, start = self._length(second & _LENGTH, start + 2)
        if length > self._limit_bytes:
            return Violation(TOO_BIG, "message too big")
        end = start + 4 + length
        if length < 0 or len(buffer) < end:
            return None
        self._position = end
        payload = apply_mask(bytes(buffer[start + 4 : end]), bytes(buffer[start : start + 4]))
        if end == len(buffer):
            self._buffer, self._position = b"", 0
        return bool(first & _FINAL), first & _OPCODE, payload

    def _header_fault(self, first: int, second: int) -> Violation | None:
        opcode = first & _OPCODE
        if first & _RESERVED or opcode not in _KNOWN:
            return Violation(PROTOCOL_FAULT, "reserved bit or opcode")
        if not second & _MASKED:
            return Violation(PROTOCOL_FAULT, "a client's frame must be masked")
        if opcode >= CLOSE and (not first & _FINAL or second & _LENGTH > _CONTROL_LIMIT_BYTES):
            return Violation(PROTOCOL_FAULT, "control frame too long or in fragments")
        if opcode in (TEXT, BINARY) and self._started:
            return Violation(PROTOCOL_FAULT, "a new message inside a message")
        if opcode == CONTINUATION and not self._started:
            return Violation(PROTOCOL_FAULT, "a continuation of nothing")
        return None

    def _length(self, short: int, start: int) -> tuple[int, int]:
        """Give the payload's length (-1: not here yet) and where its mask starts."""
        if short <= _CONTROL_LIMIT_BYTES:
            return short, start
        size = 2 if short == _LENGTH - 1 else 8
        if len(self._buffer) < start + size:
            return -1, start
        return int.from_bytes(self._buffer[start : start + size], "big"), start + size

    def _join(self, is_final: bool, opcode: int, payload: bytes) -> Message | Violation | None:
        if opcode != CONTINUATION:
            if is_final:
                return _checked(opcode, payload)
            self._started, self._parts = opcode, bytearray(payload)
            return None
        if len(self._parts) + len(payload) > self._limit_bytes:
            return Violation(TOO_BIG, "message too big")
        self._parts += payload
        return self._finish() if is_final else None

    def _finish(self) -> Message | Violation:
        opcode, payload = self._started, bytes(self._parts)
        self._started, self._parts = 0, _NO_PARTS
        return _checked(opcode, payload)


def _checked(opcode: int, payload: bytes) -> Message | Violation:
    if opcode == TEXT and not payload.isascii():
        try:
            payload.decode()
        except UnicodeDecodeError:
            return Violation(NOT_UTF8, "text is not UTF-8")
    return Message(opcode, payload)


def encode_message(opcode: int, payload: bytes) -> bytes:
    """Give the one frame of a server's message."""
    size = len(payload)
    if size <= _CONTROL_LIMIT_BYTES:
        return bytes((_FINAL | opcode, size)) + payload
    if size < 1 << 16:
        return bytes((_FINAL | opcode, 126)) + size.to_bytes(2, "big") + payload
    return bytes((_FINAL | opcode, 127)) + size.to_bytes(8, "big") + payload


def encode_close(code: int, reason: str = "") -> bytes:
    """Give a close frame; the reason is cut to what fits."""
    text = reason.encode()[: _CONTROL_LIMIT_BYTES - 2].decode(errors="ignore").encode()
    return encode_message(CLOSE, code.to_bytes(2, "big") + text)


def close_answer(payload: bytes) -> int:
    """Give the code to answer a peer's close frame with: its own, or the one that says what is wrong with it."""
    if not payload:
        return NORMAL
    code = int.from_bytes(payload[:2], "big")
    if len(payload) == 1 or not (code in _SENDABLE_CODES or 3000 <= code <= 4999):
        return PROTOCOL_FAULT
    try:
        payload[2:].decode()
    except UnicodeDecodeError:
        return NOT_UTF8
    return code
