"""Shows who is on which topic: clients' wishes to the roster, its diffs to the clients, its messages to the bus."""

import asyncio
from collections.abc import Callable

from rowcast.core.clock import Clock
from rowcast.core.telemetry import tell
from rowcast.realtime.messages import Broadcast, Malformed, TopicKey
from rowcast.realtime.presence import Followed, PresenceTimes, Roster
from rowcast.realtime.presence_messages import Diff, Presence, diff_text, pack_message, state_text, unpack_message

PRESENCE_SUBJECT = "realtime.presence"
"""The subject of the bus on which nodes tell each other their presences."""

_JOINED_S = 0.05


class _Pending:
    """The diffs of one topic that go out together."""

    __slots__ = ("joins", "leaves")

    def __init__(self) -> None:
        self.joins: dict[str, Presence] = {}
        self.leaves: dict[str, Presence] = {}

    def add(self, diff: Diff) -> None:
        """Whoever comes and goes before anybody was told is told to nobody."""
        for presence in diff.leaves:
            if self.joins.pop(presence.ref, None) is None:
                self.leaves[presence.ref] = presence
        self.joins |= {presence.ref: presence for presence in diff.joins}


class PresenceBoard:
    """The presences of one hub. Diffs of a moment are joined: a thousand who come at once are not a thousand frames."""

    __slots__ = ("_clock", "_is_planned", "_pending", "_publish", "_show", "roster")

    def __init__(
        self,
        node: str,
        *,
        clock: Clock,
        publish: Callable[[str, bytes], bool],
        show: Callable[[Broadcast], None],
        times: PresenceTimes | None = None,
    ) -> None:
        """Tell the other nodes by `publish`, and the clients here by `show`."""
        self.roster = Roster(node, times=times)
        self._clock = clock
        self._publish = publish
        self._show = show
        self._pending: dict[TopicKey, _Pending] = {}
        self._is_planned = False

    def open(self) -> None:
        """Ask the other nodes who is there."""
        self._follow(self.roster.begin())

    def close(self) -> None:
        """Say goodbye to the other nodes."""
        self._follow(self.roster.end())

    def track(self, key: TopicKey, owner: int, name: str, payload: bytes) -> None:
        """Let everybody on a topic see `owner`, the number of a socket."""
        self._follow(self.roster.track(key, owner, name, payload))

    def untrack(self, key: TopicKey, owner: int, *, is_at_once: bool) -> None:
        """Let nobody see it any longer, at once or a little later."""
        if is_at_once:
            self._follow(self.roster.untrack(key, owner))
        else:
            self.roster.lose(key, owner, now_s=self._clock.monotonic_s())

    def state(self, key: TopicKey) -> bytes:
        """Give the payload of `presence_state`; what waits to be told is told first, so that later diffs fit it."""
        self._show_pending(key)
        return state_text(self.roster.seen.on(key))

    def hear(self, data: bytes) -> None:
        """Take what the bus brought."""
        message = unpack_message(data)
        if isinstance(message, Malformed):
            tell("presence.dropped", reason="malformed")
            return
        self._follow(self.roster.receive(message, now_s=self._clock.monotonic_s()))

    def tick(self) -> None:
        """Look at the time."""
        self._follow(self.roster.tick(now_s=self._clock.monotonic_s()))

    def _follow(self, followed: Followed) -> None:
        for message in followed.messages:
            # What is not taken is noticed by the other nodes: a number is missing.
            self._publish(PRESENCE_SUBJECT, pack_message(message))
        for diff in followed.diffs:
            self._pending.setdefault(diff.key, _Pending()).add(diff)
        if self._pending and not self._is_planned:
            self._is_planned = True
            asyncio.get_running_loop().call_later(_JOINED_S, self._show_all)

    def _show_all(self) -> None:
        self._is_planned = False
        for key in tuple(self._pending):
            self._show_pending(key)

    def _show_pending(self, key: TopicKey) -> None:
        pending = self._pending.pop(key, None)
        if pending is None or not (pending.joins or pending.leaves):
            return
        payload = diff_text(tuple(pending.joins.values()), tuple(pending.leaves.values()))
        self._show(Broadcast(key.tenant_id, key.is_private, key.topic, "", payload, form="presence"))
