"""Who is on which topic, on all nodes: each node counts the changes of its own presences, and tells them. Pure.

A change that is missing is noticed by its number, and all presences of that node are asked for. So every node comes to
the same view, whatever was lost and in whatever order the rest came.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

import msgspec

from rowcast.realtime.messages import TopicKey
from rowcast.realtime.presence_messages import (
    Announced,
    Change,
    Changed,
    Diff,
    Message,
    Presence,
    Wanted,
    Whole,
    in_parts,
)

_WAITING_CHANGES = 1024


class PresenceTimes(msgspec.Struct, frozen=True):
    """Patience, in seconds.

    A client whose socket is lost is seen for `grace_s` more. Nodes announce themselves every `announce_s`; one that is
    silent for `silent_s` is taken for dead. All presences are told once in `whole_s` at most.
    """

    grace_s: float = 5.0
    announce_s: float = 3.0
    silent_s: float = 10.0
    whole_s: float = 1.0


class Followed(msgspec.Struct, frozen=True):
    """What follows: diffs for the clients here, messages for the other nodes."""

    diffs: tuple[Diff, ...] = ()
    messages: tuple[Message, ...] = ()


_NOTHING = Followed()


@dataclass(slots=True)
class _Peer:
    """Another node. `number` is the last change taken over; None before all its presences were told once."""

    heard_at_s: float
    number: int | None = None
    refs: dict[str, TopicKey] = field(default_factory=dict)
    waiting: dict[int, Change] = field(default_factory=dict)
    parts: dict[int, Whole] = field(default_factory=dict)
    parts_number: int = -1


class Others:
    """The presences of the other nodes."""

    __slots__ = ("_node", "_peers", "_seen", "_times")

    def __init__(self, node: str, seen: "Seen", times: PresenceTimes) -> None:
        """Write what is found to `seen`, beside the presences of `node` itself."""
        self._node = node
        self._seen = seen
        self._times = times
        self._peers: dict[str, _Peer] = {}

    @property
    def count(self) -> int:
        """Give how many other nodes are known."""
        return len(self._peers)

    def receive(self, message: Changed | Announced | Whole, *, now_s: float) -> Followed:
        """Take over what another node tells."""
        if message.node == self._node:
            return _NOTHING
        peer = self._peers.get(message.node)
        if peer is None:
            peer = self._peers[message.node] = _Peer(now_s)
        peer.heard_at_s = now_s
        match message:
            case Announced(is_leaving=True):
                # Its clients come back elsewhere in a moment: it is forgotten a little later.
                peer.heard_at_s = now_s - self._times.silent_s + self._times.grace_s
                return _NOTHING
            case Announced(number=number):
                return self._compare(message.node, peer, number)
            case Changed(number=number, change=change):
                return self._take_change(message.node, peer, number, change)
            case Whole():
                return self._take_part(peer, message)

    def forget_silent(self, *, now_s: float) -> Followed:
        """Let go of the presences of nodes that have fallen silent."""
        diffs: list[Diff] = []
        for node, peer in list(self._peers.items()):
            if now_s - peer.heard_at_s >= self._times.silent_s:
                del self._peers[node]
                diffs += self._replace(peer, ())
        return Followed(tuple(diffs))

    def _compare(self, node: str, peer: _Peer, number: int) -> Followed:
        if peer.number is None and number == 0:
            peer.number = 0
        is_behind = peer.number is None or peer.number < number
        return Followed(messages=(Wanted(node),)) if is_behind else _NOTHING

    def _take_change(self, node: str, peer: _Peer, number: int, change: Change) -> Followed:
        if peer.number is None and number == 1:
            peer.number = 0
        if peer.number is not None and number <= peer.number:
            return _NOTHING
        if len(peer.waiting) < _WAITING_CHANGES:
            peer.waiting[number] = change
        diffs = self._take_waiting(peer)
        is_behind = peer.number is None or peer.number < number
        return Followed(tuple(diffs), (Wanted(node),) if is_behind else ())

    def _take_waiting(self, peer: _Peer) -> list[Diff]:
        """Take over the changes that follow without a gap."""
        diffs: list[Diff] = []
        while peer.number is not None and (change := peer.waiting.pop(peer.number + 1, None)) is not None:
            peer.number += 1
            diffs.append(self._seen.apply(change))
            for ref in change.leaves:
                peer.refs.pop(ref, None)
            peer.refs |= {presence.ref: change.key for presence in change.joins}
        return diffs

    def _take_part(self, peer: _Peer, part: Whole) -> Followed:
        if peer.number is not None and part.number <= peer.number:
            return _NOTHING
        if part.number != peer.parts_number:
            peer.parts, peer.parts_number = {}, part.number
        peer.parts[part.part] = part
        if len(peer.parts) < part.parts:
            return _NOTHING
        presences = [found for number in sorted(peer.parts) for found in peer.parts[number].presences]
        peer.parts, peer.number = {}, part.number
        peer.waiting = {number: change for number, change in peer.waiting.items() if number > part.number}
        return Followed((*self._replace(peer, presences), *self._take_waiting(peer)))

    def _replace(self, peer: _Peer, presences: Iterable[tuple[TopicKey, Presence]]) -> list[Diff]:
        """Put all presences of a node in place of those that were known; one diff for each topic that changes."""
        found = {presence.ref: (key, presence) for key, presence in presences}
        gone: dict[TopicKey, list[str]] = {}
        for ref, key in peer.refs.items():
            if ref not in found:
                gone.setdefault(key, []).append(ref)
        come: dict[TopicKey, list[Presence]] = {}
        for ref, (key, presence) in found.items():
            if ref not in peer.refs:
                come.setdefault(key, []).append(presence)
        peer.refs = {ref: key for ref, (key, _) in found.items()}
        return [
            self._seen.apply(Change(key, tuple(come.get(key, ())), tuple(gone.get(key, ()))))
            for key in {**gone, **come}
        ]


class Seen:
    """Everybody on every topic, from all nodes, by ref."""

    __slots__ = ("_topics",)

    def __init__(self) -> None:
        """Begin with nobody."""
        self._topics: dict[TopicKey, dict[str, Presence]] = {}

    def on(self, key: TopicKey) -> tuple[Presence, ...]:
        """Give who is on a topic."""
        return tuple(self._topics.get(key, {}).values())

    @property
    def topics(self) -> dict[TopicKey, frozenset[str]]:
        """Give the refs on each topic."""
        return {key: frozenset(found) for key, found in self._topics.items()}

    def apply(self, change: Change) -> Diff:
        """Let some come and some go, and give what clients are told of it."""
        found = self._topics.setdefault(change.key, {})
        leaves = tuple(gone for ref in change.leaves if (gone := found.pop(ref, None)) is not None)
        found |= {presence.ref: presence for presence in change.joins}
        if not found:
            del self._topics[change.key]
        return Diff(change.key, change.joins, leaves)


@dataclass(slots=True, frozen=True)
class _Own:
    """A presence of this node."""

    key: TopicKey
    presence: Presence


class Roster:
    """The whole view of one node: its own presences and those of the others."""

    __slots__ = (
        "_announced_at_s",
        "_ending",
        "_lost",
        "_node",
        "_number",
        "_others",
        "_owes_whole",
        "_own",
        "_times",
        "_whole_at_s",
        "seen",
    )

    def __init__(self, node: str, *, times: PresenceTimes | None = None) -> None:
        """`node` is a word that no other node has, nor this one had before."""
        self.seen = Seen()
        self._node = node
        self._times = times or PresenceTimes()
        self._others = Others(node, self.seen, self._times)
        self._own: dict[tuple[TopicKey, int], _Own] = {}
        self._ending: dict[tuple[TopicKey, int], float] = {}
        self._lost: dict[tuple[TopicKey, str], int] = {}
        self._number = 0
        self._announced_at_s = self._whole_at_s = float("-inf")
        self._owes_whole = False

    @property
    def own(self) -> int:
        """Give how many presences are this node's."""
        return len(self._own)

    def track(self, key: TopicKey, owner: int, name: str, payload: bytes) -> Followed:
        """Let everybody see `owner` under `name`. What changes nothing is told to nobody."""
        old = self._take(key, owner) or self._take_over(key, name)
        if old is None or (old.presence.name, old.presence.payload) != (name, payload):
            presence = Presence(f"{self._node}.{self._number + 1}", name, payload, old.presence.ref if old else "")
            self._own[key, owner] = _Own(key, presence)
            return self._tell(Change(key, (presence,), (old.presence.ref,) if old else ()))
        self._own[key, owner] = _Own(key, old.presence)
        return _NOTHING

    def untrack(self, key: TopicKey, owner: int) -> Followed:
        """Let nobody see it any longer."""
        old = self._take(key, owner)
        return _NOTHING if old is None else self._tell(Change(key, (), (old.presence.ref,)))

    def lose(self, key: TopicKey, owner: int, *, now_s: float) -> None:
        """Its socket is gone: it is seen a little longer, and whoever comes back under its name takes its place."""
        old = self._own.get((key, owner))
        if old is not None:
            self._lost[key, old.presence.name] = owner
            self._ending[key, owner] = now_s + self._times.grace_s

    def receive(self, message: Message, *, now_s: float) -> Followed:
        """Take over what another node tells, or answer it."""
        if not isinstance(message, Wanted):
            return self._others.receive(message, now_s=now_s)
        if message.node not in ("", self._node) or not self._number:
            return _NOTHING
        self._owes_whole = True
        return Followed(messages=self._whole(now_s))

    def tick(self, *, now_s: float) -> Followed:
        """Give what follows from the passing of time; called about once a second."""
        left = self._untrack_lost(now_s)
        gone = self._others.forget_silent(now_s=now_s)
        messages = [message for one in left for message in one.messages]
        if self._number and now_s - self._announced_at_s >= self._times.announce_s:
            self._announced_at_s = now_s
            messages.append(Announced(self._node, self._number))
        diffs = (*(diff for one in left for diff in one.diffs), *gone.diffs)
        return Followed(diffs, (*messages, *self._whole(now_s)))

    def begin(self) -> Followed:
        """Give the first word of a node: what do the others see?"""
        return Followed(messages=(Wanted(""),))

    def end(self) -> Followed:
        """Give the last word of a node."""
        return Followed(messages=(Announced(self._node, self._number, is_leaving=True),) if self._number else ())

    def _untrack_lost(self, now_s: float) -> list[Followed]:
        over = [whose for whose, until_s in self._ending.items() if until_s <= now_s]
        return [self.untrack(key, owner) for key, owner in over]

    def _tell(self, change: Change) -> Followed:
        self._number += 1
        return Followed((self.seen.apply(change),), (Changed(self._node, self._number, change),))

    def _take_over(self, key: TopicKey, name: str) -> _Own | None:
        """Give the presence of a lost socket whose client is back."""
        owner = self._lost.get((key, name))
        return None if owner is None else self._take(key, owner)

    def _take(self, key: TopicKey, owner: int) -> _Own | None:
        """Take a presence out; it is lost no longer, if it was."""
        old = self._own.pop((key, owner), None)
        self._ending.pop((key, owner), None)
        if old is not None and self._lost.get((key, old.presence.name)) == owner:
            del self._lost[key, old.presence.name]
        return old

    def _whole(self, now_s: float) -> tuple[Whole, ...]:
        if not self._owes_whole or now_s - self._whole_at_s < self._times.whole_s:
            return ()
        self._owes_whole, self._whole_at_s = False, now_s
        return tuple(in_parts(self._node, self._number, ((own.key, own.presence) for own in self._own.values())))
