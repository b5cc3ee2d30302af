"""Finds out what sessions ask: policies, the source of changes, the log; each in its time, not too many at once."""

import asyncio
from collections.abc import Sequence

import msgspec

from rowcast.core.telemetry import tell
from rowcast.realtime import replies
from rowcast.realtime.change_source import ChangeSource
from rowcast.realtime.channel_log import ChannelLog
from rowcast.realtime.channel_policy import Access, ChannelPolicy, Fault
from rowcast.realtime.ear import ChannelChanges
from rowcast.realtime.effects import Answer, Follow, Followed, MayRead, MayWrite, Recall, Recalled
from rowcast.realtime.tenant_topics import MemberTopics, TenantTopics


class AskLimits(msgspec.Struct, frozen=True):
    """Bounds of one process: what is out at once, how much may wait, and for how long each may take.

    A join waits `follow_s` for changes to be live; after that it is answered, and the rest goes on for `subscribe_s`.
    """

    at_once: int = 64
    waiting: int = 20_000
    timeout_s: float = 5.0
    follow_s: float = 5.0
    subscribe_s: float = 60.0


class Outside:
    """What a node asks: policies in order, and where there are such, a source of changes and a log."""

    __slots__ = ("_gate", "changes", "limits", "log", "policies")

    def __init__(
        self,
        *,
        policies: Sequence[ChannelPolicy] | None = None,
        changes: ChangeSource | None = None,
        log: ChannelLog | None = None,
        limits: AskLimits | None = None,
    ) -> None:
        """Without `policies` each tenant's topics are open to its members, and nothing else is."""
        self.policies = (TenantTopics(), MemberTopics()) if policies is None else tuple(policies)
        self.changes = changes
        self.log = log
        self.limits = limits or AskLimits()
        self._gate = asyncio.Semaphore(self.limits.at_once)

    async def answer(self, question: MayRead | MayWrite | Recall) -> Answer:
        """Give the answer; a `Fault` when it cannot be had in time."""
        try:
            async with asyncio.timeout(self.limits.timeout_s), self._gate:
                return await self._find_out(question)
        except TimeoutError:
            tell("channel.unanswered", reason="timeout")
        except Exception as error:  # noqa: BLE001 - task boundary: whoever cannot answer refuses one join, not the node
            tell("channel.unanswered", reason=f"crash:{type(error).__name__}")
        return Fault(replies.REPLAY_FAILED if isinstance(question, Recall) else replies.OUT_OF_REACH)

    def late(self, question: Follow) -> tuple[float, Answer]:
        """Give how long a join waits for its changes, and the answer when they are not live by then."""
        if question.wait_ms is None:
            return self.limits.follow_s, Followed()
        return question.wait_ms / 1000, Fault(replies.changes_late(question.wait_ms))

    async def follow(self, question: Follow, receiver: ChannelChanges) -> Followed | Fault:
        """Subscribe to changes, and give word when they are live or the receiver was told why not."""
        if self.changes is None:
            return Followed()
        try:
            async with asyncio.timeout(self.limits.subscribe_s):
                await self.changes.subscribe(receiver, question.bindings, question.claims)
        except TimeoutError:
            receiver.hear_changes_system("error", replies.OUT_OF_REACH)
        except Exception as error:  # noqa: BLE001 - task boundary: a source that fails is told to one channel
            tell("changes.crashed", error=type(error).__name__)
            receiver.hear_changes_system("error", replies.OUT_OF_REACH)
        if receiver.is_over:
            # It left meanwhile: what was undone then has been done again since.
            self.changes.unsubscribe(receiver)
        if question.wait_ms is not None and receiver.fault is not None:
            return Fault(replies.CHANGES_DISABLED + receiver.fault)
        return Followed()

    async def _find_out(self, question: MayRead | MayWrite | Recall) -> Answer:
        match question:
            case MayRead():
                return await self._read(question)
            case MayWrite():
                return await self._write(question)
            case Recall():
                return await self._recall(question)

    async def _read(self, question: MayRead) -> Access | Fault:
        if question.claims.is_guest:
            # Policies look at claims, and these do not say which tenant's topic is meant.
            return Access()
        for policy in self.policies:
            found = await policy.read(question.claims, question.topic, wants_presence=question.wants_presence)
            if found is not None:
                return found
        return Access()

    async def _write(self, question: MayWrite) -> bool | Fault:
        if question.claims.is_guest:
            return False
        for policy in self.policies:
            found = await policy.write(question.claims, question.topic, extension=question.extension)
            if found is not None:
                return found
        return False

    async def _recall(self, question: Recall) -> Recalled:
        if self.log is None:
            return Recalled()
        missed = None if question.session is None else await self.log.recover(question.key, question.session)
        if missed is not None or question.since is None:
            return Recalled(missed)
        return Recalled(None, await self.log.replay(question.key, since=question.since, limit=question.limit))
