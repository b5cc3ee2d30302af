"""One timer for everything."""

from rowcast.realtime.wheel import Wheel


class Watched:
    """Keeps when it was looked at."""

    def __init__(self) -> None:
        self.looks: list[float] = []

    def look(self, now_s: float) -> None:
        self.looks.append(now_s)


def test_everything_is_looked_at_once_in_a_turn() -> None:
    wheel, watched = Wheel(slots=4), [Watched() for _ in range(10)]
    for one in watched:
        wheel.add(one)
    for now_s in range(8):
        wheel.tick(now_s)

    assert [len(one.looks) for one in watched] == [2] * 10


def test_the_work_of_a_turn_is_spread_over_its_ticks() -> None:
    wheel, watched = Wheel(slots=4), [Watched() for _ in range(100)]
    for one in watched:
        wheel.add(one)
    wheel.tick(0)

    assert sum(len(one.looks) for one in watched) == 25


def test_what_was_removed_is_not_looked_at() -> None:
    wheel, watched = Wheel(slots=2), Watched()
    wheel.remove(watched, wheel.add(watched))
    wheel.tick(0)
    wheel.tick(1)

    assert watched.looks == []


def test_what_was_put_off_is_done_in_order_when_it_is_due() -> None:
    wheel, done = Wheel(), []
    wheel.call_at(5, lambda: done.append("later"))
    wheel.call_at(2, lambda: done.append("first"))
    wheel.call_at(2, lambda: done.append("second"))
    wheel.tick(1.9)
    early = list(done)
    wheel.tick(2)
    wheel.tick(9)

    assert early == []
    assert done == ["first", "second", "later"]


def test_too_much_put_off_is_done_at_once() -> None:
    wheel, done = Wheel(), []
    for _ in range(10_001):
        wheel.call_at(5, lambda: done.append(1))

    assert done == [1]
