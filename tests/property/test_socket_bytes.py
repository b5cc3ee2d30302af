"""Whatever bytes a socket brings, in whatever slices: the reader never raises, never misreads and never hoards."""

from collections.abc import Sequence
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from rowcast.realtime.frames import BINARY, CONTINUATION, PING, PONG, TEXT, FrameReader, Message, Violation
from tests.protocol.raw_socket import frame

LIMIT = 4096
BOUNDED = settings(max_examples=300, deadline=None)

masks = st.binary(min_size=4, max_size=4)
said = st.one_of(
    st.tuples(st.just(TEXT), st.text(max_size=300).map(lambda text: text.encode("utf-8", "ignore"))),
    st.tuples(st.just(BINARY), st.binary(max_size=300)),
)
control = st.tuples(st.sampled_from((PING, PONG)), st.binary(max_size=125))


@st.composite
def conversations(draw: st.DrawFn) -> tuple[list[tuple[int, bytes]], bytes]:
    """Give what a decent client says and the bytes it sends for that: in fragments, with control frames among them."""
    expected: list[tuple[int, bytes]] = []
    sent = b""
    for opcode, payload in draw(st.lists(said, max_size=6)):
        cuts = sorted(draw(st.lists(st.integers(0, len(payload)), max_size=4)))
        pieces = [payload[start:end] for start, end in zip([0, *cuts], [*cuts, len(payload)], strict=True)]
        for number, piece in enumerate(pieces):
            for between in draw(st.lists(control, max_size=2)) if number else ():
                expected.append(between)
                sent += frame(*between, mask=draw(masks))
            name = CONTINUATION if number else opcode
            sent += frame(name, piece, is_final=number == len(pieces) - 1, mask=draw(masks))
        expected.append((opcode, payload))
    return expected, sent


def slices_of(data: bytes, cuts: Sequence[int]) -> list[bytes]:
    places = sorted({cut % (len(data) + 1) for cut in cuts} | {0, len(data)})
    return [data[start:end] for start, end in pairwise(places)]


def read(slices: Sequence[bytes]) -> list[Message | Violation]:
    """Give what the reader makes of slices, up to the first violation."""
    reader, found = FrameReader(LIMIT), []
    for data in slices:
        reader.feed(data)
        while (message := reader.next()) is not None:
            found.append(message)
            if isinstance(message, Violation):
                return found
    return found


@BOUNDED
@given(conversations(), st.lists(st.integers(0, 5000), max_size=20))
def test_what_a_decent_client_says_is_heard_in_any_slices(
    conversation: tuple[list[tuple[int, bytes]], bytes], cuts: list[int]
) -> None:
    expected, sent = conversation

    assert read(slices_of(sent, cuts)) == [Message(*each) for each in expected]


@BOUNDED
@given(st.binary(max_size=600), st.lists(st.integers(0, 600), max_size=20))
def test_any_bytes_mean_the_same_whole_and_in_slices(data: bytes, cuts: list[int]) -> None:
    assert read([data]) == read(slices_of(data, cuts))


@BOUNDED
@given(conversations(), st.integers(0, 10_000), st.integers(0, 255))
def test_one_changed_byte_never_raises_and_what_is_given_is_within_the_limit(
    conversation: tuple[list[tuple[int, bytes]], bytes], place: int, value: int
) -> None:
    _, sent = conversation
    data = bytearray(sent or b"\x81")
    data[place % len(data)] = value

    for message in read([bytes(data)]):
        if isinstance(message, Message):
            assert len(message.payload) <= LIMIT
            assert message.opcode != TEXT or message.payload.decode() is not None


@BOUNDED
@given(st.lists(st.binary(max_size=LIMIT), max_size=30), st.booleans())
def test_fragments_without_end_hold_no_more_than_the_limit(pieces: list[bytes], is_text: bool) -> None:
    reader, held = FrameReader(LIMIT), 0
    for number, piece in enumerate(pieces):
        opcode = CONTINUATION if number else (TEXT if is_text else BINARY)
        reader.feed(frame(opcode, piece, is_final=False))
        found = reader.next()
        held += len(piece)
        if held > LIMIT:
            assert isinstance(found, Violation)
            return
        assert found is None
