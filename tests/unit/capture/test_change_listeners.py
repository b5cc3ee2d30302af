"""What nodes know of each other, and what is missing when a packet is."""

from rowcast.capture.change_listeners import FORGET_S, Listening, Wishes
from rowcast.capture.change_packet import Lead, Piece
from rowcast.core.row_change import RowChanges

NOTHING = RowChanges((), [])


def listening(limit_bytes: int = 100) -> Listening:
    heard = Listening("me", limit_bytes=limit_bytes)
    assert heard.note_lead(Lead("x:1", 4, ("me",)), now_s=0.0) == "live"
    return heard


def piece(heard: Listening, number: int, *, epoch: str = "x:1", size_bytes: int = 1) -> str:
    return heard.note_piece(Piece(epoch, number, NOTHING), size_bytes=size_bytes, now_s=0.0)


def test_a_wish_is_news_once_and_is_forgotten_when_it_is_not_said_again() -> None:
    wishes = Wishes()

    assert wishes.note("a", now_s=0.0)
    assert not wishes.note("a", now_s=1.0)
    assert wishes.current(now_s=FORGET_S) == ("a",)
    assert wishes.current(now_s=FORGET_S + 1.0) == ()
    assert wishes.note("a", now_s=9.0)


def test_a_node_is_live_when_the_reader_names_it() -> None:
    heard = Listening("me", limit_bytes=100)

    assert heard.note_lead(Lead("x:1", 4, ("you",)), now_s=0.0) == "nothing"
    assert piece(heard, 4) == "nothing"
    assert heard.note_lead(Lead("x:1", 4, ("me",)), now_s=0.0) == "live"
    assert piece(heard, 4) == "live"
    assert heard.next_changes() is NOTHING
    assert heard.next_changes() is None


def test_a_number_that_is_left_out_is_a_gap() -> None:
    heard = listening()

    assert [piece(heard, number) for number in (4, 5, 7, 8)] == ["live", "live", "gap", "live"]
    assert heard.note_lead(Lead("x:1", 9, ("me",)), now_s=0.0) == "live"
    assert heard.note_lead(Lead("x:1", 11, ("me",)), now_s=0.0) == "gap"


def test_another_reader_is_a_gap() -> None:
    heard = listening()

    assert piece(heard, 4) == "live"
    assert piece(heard, 0, epoch="y:1") == "gap"
    assert heard.note_lead(Lead("z:1", 0, ("me",)), now_s=0.0) == "gap"


def test_what_has_no_room_is_missing_until_half_of_what_waits_is_told() -> None:
    heard = listening(limit_bytes=100)

    assert [piece(heard, number, size_bytes=40) for number in (4, 5, 6, 7)] == ["live", "live", "full", "full"]
    heard.next_changes()
    assert piece(heard, 8, size_bytes=40) == "full"
    heard.next_changes()
    assert piece(heard, 9, size_bytes=40) == "live"


def test_a_reader_that_is_not_heard_any_more_is_silent() -> None:
    heard = listening()

    assert not heard.is_silent(now_s=FORGET_S)
    assert heard.is_silent(now_s=FORGET_S + 1.0)
    heard.forget()
    assert not heard.is_silent(now_s=FORGET_S + 1.0)
