"""What one socket's channels come to in the record of activity."""

from rowcast.realtime.audit import Member
from rowcast.realtime.audit_members import Memberships
from rowcast.realtime.authorize import Claims
from rowcast.realtime.messages import Frame, TopicKey, json_payload

ROOM, HALL = TopicKey("acme", True, "room"), TopicKey("acme", True, "hall")
ADA = Claims("authenticated", 0, "acme", b'{"sub":"ada"}')
NOBODY = Claims("anon", 0)


class Record:
    """An ActivityLog that keeps every call."""

    def __init__(self) -> None:
        self.calls: list[tuple[object, ...]] = []
        self.counts = {ROOM: 5, HALL: 0}

    def told_on(self, key: TopicKey) -> int:
        return self.counts[key]

    def joined(self, member: Member) -> None:
        self.calls.append(("joined", member.user_id, member.topic))

    def left(self, member: Member, reason: str) -> None:
        self.calls.append(("left", member.topic, reason))

    def refused(self, member: Member, reason: str) -> None:
        self.calls.append(("refused", member.tenant_id, member.user_id, member.topic, reason))

    def alive(self, connection_id: str) -> None:
        self.calls.append(("alive", connection_id))

    def told(self, tenant_id: str, user_id: str, messages: int) -> None:
        self.calls.append(("told", user_id, messages))


def members(record: Record) -> Memberships:
    return Memberships(record, number=7, topics=record)


def refusal(topic: str, reason: str) -> Frame:
    payload = json_payload({"status": "error", "response": {"reason": reason}})
    return Frame("1", "1", f"realtime:{topic}", "phx_reply", payload)


def test_a_channel_is_joined_once_and_left_once() -> None:
    record = Record()
    channels = members(record)
    for _ in range(2):
        channels.join(ROOM, ADA)
    for _ in range(2):
        channels.leave(ROOM, "leave")

    assert record.calls == [("joined", "ada", "room"), ("told", "ada", 0), ("left", "room", "leave")]


def test_a_heartbeat_counts_what_was_told_since_the_last_one() -> None:
    record = Record()
    channels = members(record)
    channels.join(ROOM, ADA)
    record.calls.clear()
    for told in (8, 8):
        record.counts[ROOM] = told
        channels.beat()

    assert [call for call in record.calls if call[-1] != 0] == [("alive", "7"), ("told", "ada", 3), ("alive", "7")]


def test_changed_rows_are_messages_too() -> None:
    record = Record()
    channels = members(record)
    channels.join(ROOM, ADA)
    record.calls.clear()
    for changes in (4, 4, 1, 3):
        channels.beat(changes)

    assert [call[-1] for call in record.calls if call[0] == "told" and call[-1]] == [4, 2]


def test_what_was_told_before_the_leave_is_counted() -> None:
    record = Record()
    channels = members(record)
    channels.join(ROOM, ADA)
    record.counts[ROOM] = 6
    channels.leave(ROOM, "disconnect")

    assert ("told", "ada", 1) in record.calls


def test_a_heartbeat_without_channels_says_nothing() -> None:
    record = Record()
    members(record).beat()

    assert record.calls == []


def test_a_refusal_is_that_of_the_user_who_asked() -> None:
    record = Record()
    channels = members(record)
    channels.ask("room", ADA)
    channels.refuse(refusal("room", "Unauthorized: no"), NOBODY)
    channels.refuse(refusal("hall", "no"), NOBODY)

    assert record.calls == [
        ("refused", "acme", "ada", "room", "Unauthorized: no"),
        ("refused", "default", "", "hall", "no"),
    ]
