"""How far each node was heard."""

from rowcast.bus.senders import Senders


def test_the_first_packet_of_a_node_has_no_gap_before_it() -> None:
    assert Senders().take(b"a", 41) == 0


def test_the_next_packet_has_no_gap_and_a_later_one_tells_how_many_are_missing() -> None:
    senders = Senders()
    senders.take(b"a", 1)

    assert senders.take(b"a", 2) == 0
    assert senders.take(b"a", 6) == 3


def test_a_packet_that_was_heard_is_not_taken_again() -> None:
    senders = Senders()
    senders.take(b"a", 5)

    assert senders.take(b"a", 5) is None
    assert senders.take(b"a", 4) is None


def test_nodes_do_not_disturb_each_other() -> None:
    senders = Senders()
    senders.take(b"a", 5)

    assert senders.take(b"b", 5) == 0


def test_nodes_silent_for_longest_are_forgotten() -> None:
    senders = Senders()
    for number in range(3_000):
        senders.take(number.to_bytes(2, "big"), 9)

    assert senders.take((0).to_bytes(2, "big"), 1) == 0
    assert senders.take((2_999).to_bytes(2, "big"), 9) is None
