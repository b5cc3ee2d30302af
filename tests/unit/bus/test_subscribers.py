"""The subscribers of one process."""

from rowcast.bus.subscribers import Subscribers
from rowcast.core.telemetry import listening


def test_each_hears_its_subject_in_order() -> None:
    subscribers = Subscribers()
    heard: list[bytes] = []
    subscribers.add("a", heard.append)
    subscribers.tell("a", [b"1", b"2"])
    subscribers.tell("b", [b"3"])

    assert heard == [b"1", b"2"]


def test_the_same_function_may_subscribe_twice_and_is_removed_one_by_one() -> None:
    subscribers = Subscribers()
    heard: list[bytes] = []
    remove = subscribers.add("a", heard.append)
    subscribers.add("a", heard.append)
    remove()
    remove()
    subscribers.tell("a", [b"1"])

    assert heard == [b"1"]


def test_one_that_removes_itself_while_it_hears_disturbs_nobody() -> None:
    subscribers = Subscribers()
    heard: list[bytes] = []
    removers = [subscribers.add("a", lambda _: removers[0]())]
    subscribers.add("a", heard.append)
    subscribers.tell("a", [b"1"])
    subscribers.tell("a", [b"2"])

    assert heard == [b"1", b"2"]


def test_one_that_fails_is_told_of_and_the_next_hears() -> None:
    subscribers = Subscribers()
    heard: list[bytes] = []
    told: list[str] = []
    subscribers.add("a", lambda message: [][len(message)])
    subscribers.add("a", heard.append)
    with listening(lambda name, _: told.append(name)):
        subscribers.tell("a", [b"1"])

    assert heard == [b"1"]
    assert told == ["bus.subscriber_crashed"]


def test_it_is_known_whether_anybody_listens() -> None:
    subscribers = Subscribers()
    remove = subscribers.add("realtime", lambda _: None)

    assert (subscribers.has("realtime"), subscribers.has("delivery.due")) == (True, False)
    remove()
    assert not subscribers.has("realtime")
