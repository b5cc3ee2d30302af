"""WebSocket frames: any slicing gives the same messages, and every fault its code. The sockets' tests in tests/protocol go on."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rowcast.realtime.frames import (
    BINARY,
    CLOSE,
    PING,
    TEXT,
    FrameReader,
    Message,
    Violation,
    close_answer,
    encode_close,
    encode_message,
)
from tests.protocol.raw_socket import frame

LIMIT_BYTES = 100_000


def read_all(reader: FrameReader) -> list[Message | Violation]:
    found: list[Message | Violation] = []
    while (message := reader.next()) is not None:
        found.append(message)
        if isinstance(message, Violation):
            break
    return found


MESSAGES = st.lists(
    st.tuples(st.sampled_from([TEXT, BINARY]), st.text(max_size=200).map(str.encode), st.integers(0, 3)), max_size=6
)


@given(messages=MESSAGES, cuts=st.lists(st.integers(0, 3000), max_size=20))
def test_slices_and_fragments_do_not_change_what_is_read(
    messages: list[tuple[int, bytes, int]], cuts: list[int]
) -> None:
    stream = b""
    for opcode, payload, fragments in messages:
        bounds = [len(payload) * part // (fragments + 1) for part in range(fragments + 2)]
        for part in range(fragments + 1):
            piece = payload[bounds[part] : bounds[part + 1]]
            stream += frame(opcode if part == 0 else 0, piece, is_final=part == fragments)
            stream += frame(PING, b"p")
    reader, found, start = FrameReader(LIMIT_BYTES), [], 0
    for cut in [*sorted(cuts), len(stream)]:
        reader.feed(stream[start:cut])
        start = max(start, cut)
        found += read_all(reader)

    assert [message for message in found if message != (PING, b"p")] == [
        (opcode, payload) for opcode, payload, _ in messages
    ]


@given(st.lists(st.binary(max_size=50), max_size=10))
def test_no_bytes_raise(pieces: list[bytes]) -> None:
    reader = FrameReader(LIMIT_BYTES)
    for piece in pieces:
        reader.feed(piece)
        read_all(reader)


@pytest.mark.parametrize("size", [0, 125, 126, 65_535, 65_536])
def test_every_length_form_is_read_and_written(size: int) -> None:
    reader = FrameReader(LIMIT_BYTES)
    reader.feed(frame(BINARY, b"x" * size))
    written = encode_message(BINARY, b"x" * size)

    assert read_all(reader) == [(BINARY, b"x" * size)]
    assert len(written) == size + (2 if size < 126 else 4 if size < 65_536 else 10)


def test_a_message_over_the_limit_is_refused_from_its_header_alone() -> None:
    reader = FrameReader(1000)
    reader.feed(frame(BINARY, b"", length=1001))

    assert read_all(reader) == [Violation(1009, "message too big")]


def test_fragments_over_the_limit_are_refused() -> None:
    reader = FrameReader(1000)
    reader.feed(frame(BINARY, b"x" * 600, is_final=False) + frame(0, b"x" * 600))

    assert read_all(reader) == [Violation(1009, "message too big")]


def test_two_readers_never_share_a_fragment() -> None:
    first, second = FrameReader(1000), FrameReader(1000)
    first.feed(frame(TEXT, b"a", is_final=False) + frame(0, b"b"))
    second.feed(frame(TEXT, b"c", is_final=False) + frame(0, b"d"))

    assert (read_all(first), read_all(second)) == ([(TEXT, b"ab")], [(TEXT, b"cd")])


def test_utf_8_is_judged_over_the_whole_message() -> None:
    reader = FrameReader(1000)
    reader.feed(frame(TEXT, b"\xc3", is_final=False) + frame(0, b"\xa9") + frame(TEXT, b"\xed\xa0\x80"))

    assert read_all(reader) == [(TEXT, "é".encode()), Violation(1007, "text is not UTF-8")]


def test_a_close_frame_holds_its_code_and_as_much_reason_as_fits() -> None:
    written = encode_close(1012, "é" * 200)

    assert written[:4] == bytes((0x88, 124)) + (1012).to_bytes(2, "big")
    assert written[4:].decode() == "é" * 61


@pytest.mark.parametrize(
    ("payload", "code"),
    [
        (b"", 1000),
        (b"\x03", 1002),
        (b"\x03\xe8", 1000),
        (b"\x03\xe9ok", 1001),
        (b"\x03\xed", 1002),
        (b"\x03\xee", 1002),
        (b"\x00\x00", 1002),
        (b"\x0b\xb7", 1002),
        (b"\x0b\xb8", 3000),
        (b"\x13\x87", 4999),
        (b"\x13\x88", 1002),
        (b"\x03\xe8\xff", 1007),
    ],
)
def test_a_close_is_answered_with_its_code_or_with_what_is_wrong_with_it(payload: bytes, code: int) -> None:
    assert close_answer(payload) == code


def test_a_close_frame_is_a_message_like_any_other() -> None:
    reader = FrameReader(1000)
    reader.feed(frame(CLOSE, b"\x03\xe8"))

    assert read_all(reader) == [(CLOSE, b"\x03\xe8")]
