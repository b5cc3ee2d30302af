"""What sockets do, as the record of it hears it, and how a second's worth of it is put together. Pure."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Literal, Protocol

import msgspec

What = Literal["join", "leave", "refusal"]
_TEXT_LIMIT = 255


class Member(msgspec.Struct, frozen=True):
    """One socket on one topic. `user_id` is empty for a token without `sub`; `connection_id` is unique on all nodes."""

    tenant_id: str
    user_id: str
    connection_id: str
    topic: str


class Activity(msgspec.Struct, frozen=True):
    """One thing that happened."""

    what: What
    member: Member
    at: datetime
    reason: str = ""


class ActivityLog(Protocol):
    """Hears what sockets do. Nothing here waits, raises, or keeps a socket from its work."""

    def joined(self, member: Member) -> None:
        """A socket hears a topic from now on."""
        ...

    def left(self, member: Member, reason: str) -> None:
        """It does so no longer: it left, its token ran out, or it is gone."""
        ...

    def refused(self, member: Member, reason: str) -> None:
        """A socket may not hear a topic."""
        ...

    def alive(self, connection_id: str) -> None:
        """A socket sent its heartbeat."""
        ...

    def told(self, tenant_id: str, user_id: str, messages: int) -> None:
        """A user's socket has been told so many more messages."""
        ...


class _Response(msgspec.Struct, frozen=True):
    reason: str = ""


class _Reply(msgspec.Struct, frozen=True):
    response: _Response = _Response()


_REPLY = msgspec.json.Decoder(_Reply)


def refusal_text(payload: bytes) -> str:
    """Give the reason in the reply to a join that was refused."""
    try:
        return _REPLY.decode(payload).response.reason
    except msgspec.MsgspecError:
        return ""


def storable(text: str) -> str:
    """Give a text as the database takes it: bounded, without NUL and without halves of characters."""
    return text[:_TEXT_LIMIT].replace("\x00", "").encode("utf-8", "replace").decode()


class Standing(msgspec.Struct, frozen=True):
    """What a batch comes to: who hears what at its end, each member once."""

    joined: tuple[Activity, ...]
    left: tuple[Activity, ...]


def standing_after(batch: Iterable[Activity]) -> Standing:
    """Give what a batch comes to: of several joins and leaves of one member the last one counts."""
    last = {activity.member: activity for activity in batch if activity.what != "refusal"}
    return Standing(
        joined=tuple(activity for activity in last.values() if activity.what == "join"),
        left=tuple(activity for activity in last.values() if activity.what == "leave"),
    )


def logged_from(batch: Iterable[Activity]) -> Mapping[Activity, int]:
    """Give what is logged of a batch, and how often each happened: the same refusal again and again is one row."""
    found: dict[Activity, int] = {}
    first: dict[tuple[Member, str], Activity] = {}
    for activity in batch:
        kept = activity
        if activity.what == "refusal":
            kept = first.setdefault((activity.member, activity.reason), activity)
        found[kept] = found.get(kept, 0) + 1
    return found
