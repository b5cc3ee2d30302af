"""The fan-out without any socket: who gets what, in which pieces."""

from collections.abc import Callable, Sequence
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from rowcast.core.telemetry import listening
from rowcast.realtime.fan_out import FanOut, FanOutLimits, Subscribers, shared_frame
from rowcast.realtime.messages import Broadcast
from rowcast.realtime.protocol import Version


class Receiver:
    """Keeps what it is written."""

    def __init__(self, number: int, version: Version = 2) -> None:
        self.number = number
        self.version: Version = version
        self.writes: list[bytes] = []

    def write_shared(self, frames: bytes) -> None:
        self.writes.append(frames)


class Loop:
    """Runs what was put off, one step after another."""

    def __init__(self) -> None:
        self.waiting: list[Callable[[], None]] = []

    def call_soon(self, callback: Callable[[], None]) -> None:
        self.waiting.append(callback)

    def step(self) -> None:
        self.waiting.pop(0)()

    def run(self) -> int:
        steps = 0
        while self.waiting:
            self.step()
            steps += 1
        return steps


def broadcast(text: str = "m", *, sender: int = 0, **rest: Any) -> Broadcast:
    return Broadcast("acme", False, "r", "e", text.encode(), form="binary", sender=sender, **rest)


def make(receivers: list[Receiver], **limits: int) -> tuple[FanOut, Subscribers, Loop]:
    loop = Loop()
    return (
        FanOut(call_soon=loop.call_soon, limits=FanOutLimits(**limits)),
        Subscribers(dict.fromkeys(receivers, 3)),
        loop,
    )


def test_everybody_gets_the_very_same_bytes() -> None:
    receivers = [Receiver(n) for n in range(5)]
    fan_out, subscribers, loop = make(receivers)
    fan_out.add(subscribers, broadcast())
    loop.run()

    assert [receiver.writes for receiver in receivers] == [[shared_frame(broadcast(), 2)]] * 5
    assert len({id(receiver.writes[0]) for receiver in receivers}) == 1


def test_the_sender_is_left_out_and_hears_the_others() -> None:
    speaker, listener = Receiver(1), Receiver(2)
    fan_out, subscribers, loop = make([speaker, listener])
    fan_out.add(subscribers, broadcast("own", sender=1))
    fan_out.add(subscribers, broadcast("other"))
    loop.run()

    assert b"".join(speaker.writes) == shared_frame(broadcast("other"), 2)
    assert b"".join(listener.writes) == shared_frame(broadcast("own"), 2) + shared_frame(broadcast("other"), 2)


def test_a_sender_alone_is_not_written_at_all() -> None:
    speaker = Receiver(1)
    fan_out, subscribers, loop = make([speaker])
    fan_out.add(subscribers, broadcast(sender=1))
    loop.run()

    assert speaker.writes == []


def test_bytes_are_not_written_to_version_1() -> None:
    old, new = Receiver(1, 1), Receiver(2, 2)
    fan_out, subscribers, loop = make([old, new])
    fan_out.add(subscribers, broadcast())
    loop.run()

    assert (old.writes, len(new.writes)) == ([], 1)


def test_frames_that_come_during_a_round_are_joined_in_one_write() -> None:
    receivers = [Receiver(n) for n in range(10)]
    fan_out, subscribers, loop = make(receivers, writes_per_step=4)
    fan_out.add(subscribers, broadcast("0"))
    loop.step()
    for number in range(1, 20):
        fan_out.add(subscribers, broadcast(str(number)))
    loop.run()

    assert [len(receiver.writes) for receiver in receivers] == [2] * 10
    assert receivers[9].writes[1] == b"".join(shared_frame(broadcast(str(n)), 2) for n in range(1, 20))


def test_no_more_is_joined_than_the_caps_allow() -> None:
    receiver = Receiver(1)
    fan_out, subscribers, loop = make([receiver], joined_frames=4, joined_bytes=1000)
    for _ in range(10):
        fan_out.add(subscribers, broadcast())
    for _ in range(3):
        fan_out.add(subscribers, broadcast("x" * 900))
    loop.run()

    assert [len(write) for write in receiver.writes] == [len(shared_frame(broadcast(), 2)) * n for n in (4, 4)] + [
        len(shared_frame(broadcast(), 2)) * 2 + len(shared_frame(broadcast("x" * 900), 2)) * 2,
        len(shared_frame(broadcast("x" * 900), 2)),
    ]


def test_a_step_writes_no_more_than_its_share() -> None:
    receivers = [Receiver(n) for n in range(1000)]
    fan_out, subscribers, loop = make(receivers, writes_per_step=128)
    fan_out.add(subscribers, broadcast())
    written: list[int] = []
    while loop.waiting:
        before = sum(len(receiver.writes) for receiver in receivers)
        loop.step()
        written.append(sum(len(receiver.writes) for receiver in receivers) - before)

    assert sum(written) == 1000
    assert max(written) <= 128


def test_a_small_topic_does_not_wait_for_a_big_one() -> None:
    many, one = [Receiver(n) for n in range(1000)], Receiver(5000)
    fan_out, big, loop = make(many, writes_per_step=100)
    small = Subscribers({one: 3})
    fan_out.add(big, broadcast())
    fan_out.add(small, broadcast())
    loop.step()
    loop.step()

    assert len(one.writes) == 1


def test_who_leaves_during_a_round_hears_nothing_more() -> None:
    receivers = [Receiver(n) for n in range(10)]
    fan_out, subscribers, loop = make(receivers, writes_per_step=3)
    fan_out.add(subscribers, broadcast())
    loop.step()
    subscribers.forget(receivers[9])
    loop.run()

    assert receivers[9].writes == []
    assert receivers[8].writes != []


def test_who_hears_something_else_since_a_round_began_hears_nothing_more_of_it() -> None:
    receivers = [Receiver(n) for n in range(10)]
    fan_out, subscribers, loop = make(receivers, writes_per_step=3)
    fan_out.add(subscribers, broadcast())
    loop.step()
    subscribers.add(receivers[9], 2)
    loop.run()

    assert receivers[9].writes == []
    assert receivers[8].writes != []


def test_a_topic_that_overflows_loses_its_oldest_and_says_so() -> None:
    receiver = Receiver(1)
    fan_out, subscribers, loop = make([receiver], waiting_frames=3)
    told: list[str] = []
    with listening(lambda name, _: told.append(name)):
        for number in range(5):
            fan_out.add(subscribers, broadcast(str(number)))
    loop.run()

    assert told == ["broadcast.dropped"] * 2
    assert b"".join(receiver.writes) == b"".join(shared_frame(broadcast(str(n)), 2) for n in (2, 3, 4))


@given(
    st.lists(st.tuples(st.integers(0, 2), st.integers(0, 4)), max_size=60),
    st.integers(1, 7),
    st.integers(1, 5),
)
def test_everybody_hears_everything_once_and_in_order(sent: list[tuple[int, int]], writes: int, joined: int) -> None:
    topics = [[Receiver(topic * 10 + n) for n in range(4)] for topic in range(3)]
    fan_out, first, loop = make(topics[0], writes_per_step=writes, joined_frames=joined)
    subscribers = [first, *(Subscribers(dict.fromkeys(receivers, 3)) for receivers in topics[1:])]
    expected: dict[int, list[bytes]] = {receiver.number: [] for receivers in topics for receiver in receivers}
    for number, (topic, sender) in enumerate(sent):
        own = topics[topic][sender - 1].number if sender else 0
        fan_out.add(subscribers[topic], broadcast(str(number), sender=own))
        for receiver in topics[topic]:
            if not own or receiver.number != own:
                expected[receiver.number].append(shared_frame(broadcast(str(number)), 2))
        if loop.waiting and number % 3 == 0:
            loop.step()
    loop.run()

    assert {receiver.number: b"".join(receiver.writes) for receivers in topics for receiver in receivers} == {
        number: b"".join(frames) for number, frames in expected.items()
    }


class Listener:
    version: Version = 2

    def __init__(self) -> None:
        self.heard: list[tuple[str, bytes]] = []

    def hear(self, broadcasts: Sequence[Broadcast], frames: Sequence[bytes]) -> None:
        self.heard += [(found.payload.decode(), data) for found, data in zip(broadcasts, frames, strict=True)]


def test_a_listener_hears_each_broadcast_by_itself_and_no_presence() -> None:
    fan_out, subscribers, loop = make([Receiver(n) for n in range(3)], writes_per_step=2)
    gone, stays = Listener(), Listener()
    subscribers.listeners = {gone: None, stays: None}
    for found in (broadcast("a"), presence(), broadcast("b")):
        fan_out.add(subscribers, found)
    loop.step()
    subscribers.forget(gone)
    loop.run()

    assert stays.heard == [(text, shared_frame(broadcast(text), 2)) for text in ("a", "b")]
    assert gone.heard == []


def presence() -> Broadcast:
    return Broadcast("acme", False, "r", "", b'{"joins":{},"leaves":{}}', form="presence")


def test_a_receiver_hears_the_kind_that_it_may_hear_in_order() -> None:
    both, presences, broadcasts = (Receiver(n) for n in range(3))
    fan_out, subscribers, loop = make([both, presences, broadcasts])
    subscribers.receivers.update({presences: 2, broadcasts: 1})
    for found in (broadcast("a"), broadcast("b"), presence(), broadcast("c")):
        fan_out.add(subscribers, found)
    loop.run()
    said = [shared_frame(found, 2) for found in (broadcast("a"), broadcast("b"), presence(), broadcast("c"))]

    assert b"".join(both.writes) == b"".join(said)
    assert b"".join(presences.writes) == said[2]
    assert b"".join(broadcasts.writes) == said[0] + said[1] + said[3]
