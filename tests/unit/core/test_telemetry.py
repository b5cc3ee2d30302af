from collections.abc import Mapping

from rowcast.core.telemetry import Value, listen, listening, tell, unlisten


class Heard:
    def __init__(self) -> None:
        self.facts: list[tuple[str, Mapping[str, Value]]] = []

    def __call__(self, name: str, facts: Mapping[str, Value]) -> None:
        self.facts.append((name, facts))


def broken(name: str, facts: Mapping[str, Value]) -> None:
    raise RuntimeError(name)


def test_every_listener_hears_the_name_and_the_facts() -> None:
    one, other = Heard(), Heard()

    with listening(one), listening(other):
        tell("delivery.settled", name="x", duration_s=0.5)

    assert one.facts == other.facts == [("delivery.settled", {"name": "x", "duration_s": 0.5})]


def test_a_broken_listener_harms_neither_the_teller_nor_its_neighbours() -> None:
    heard = Heard()

    with listening(broken), listening(heard):
        tell("a.b")

    assert heard.facts == [("a.b", {})]


def test_nothing_is_heard_after_the_block() -> None:
    heard = Heard()

    with listening(heard):
        pass
    tell("a.b")

    assert heard.facts == []


def test_a_listener_may_stop_listening_while_it_hears() -> None:
    heard = Heard()

    def once(name: str, facts: Mapping[str, Value]) -> None:
        unlisten(once)
        heard(name, facts)

    listen(once)
    tell("a.b")
    tell("a.c")

    assert heard.facts == [("a.b", {})]


def test_removing_a_stranger_is_no_error() -> None:
    unlisten(Heard())
