"""Policies, changes and the log are asked within bounds; whoever cannot answer refuses one join."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime

from rowcast.realtime.asking import AskLimits, Outside
from rowcast.realtime.authorize import Claims
from rowcast.realtime.change_source import Binding, ChangeReceiver
from rowcast.realtime.channel_log import Missed
from rowcast.realtime.channel_policy import Access, Extension, Fault
from rowcast.realtime.ear import ChangeFrames, ChannelChanges
from rowcast.realtime.effects import Follow, Followed, MayRead, MayWrite, Recall, Recalled
from rowcast.realtime.messages import Broadcast, TopicKey
from tests.unit.realtime.test_ear import Writer

ANN = Claims("authenticated", 0, "acme")
READ, WRITE = MayRead(ANN, "r", wants_presence=False), MayWrite(ANN, "r", "broadcast")
KEY = TopicKey("acme", True, "r")
TOLD = Broadcast("acme", True, "r", "e", b"{}")
OUT_OF_REACH = Fault("Realtime was unable to connect to the project database")


class Says:
    """A policy that always says the same; an exception is raised, and `...` never answers."""

    def __init__(self, read: object, write: object = None) -> None:
        self.answers = (read, write)
        self.running = self.most = 0

    async def read(self, claims: Claims, topic: str, *, wants_presence: bool) -> Access | Fault | None:
        found = await self._say(self.answers[0])
        assert found is None or isinstance(found, Access | Fault)
        return found

    async def write(self, claims: Claims, topic: str, *, extension: Extension) -> bool | Fault | None:
        found = await self._say(self.answers[1])
        assert found is None or isinstance(found, bool | Fault)
        return found

    async def _say(self, answer: object) -> object:
        self.running += 1
        self.most = max(self.most, self.running)
        await asyncio.sleep(10 if answer is ... else 0)
        self.running -= 1
        if isinstance(answer, Exception):
            raise answer
        return answer


ALLOWS = Says(Access(reads_broadcast=True), True)
DENIES = Says(Access(), False)
SILENT = Says(None)


async def test_a_guest_of_a_tenant_is_denied_before_any_policy_is_asked() -> None:
    guest = Claims("authenticated", 0, named_tenant="acme")
    outside = Outside(policies=[ALLOWS])

    assert await outside.answer(MayRead(guest, "r", wants_presence=True)) == Access()
    assert await outside.answer(MayWrite(guest, "r", "broadcast")) is False


async def test_the_first_policy_that_has_an_answer_decides() -> None:
    assert await Outside(policies=[SILENT, DENIES, ALLOWS]).answer(READ) == Access()
    assert await Outside(policies=[SILENT, ALLOWS, DENIES]).answer(READ) == Access(reads_broadcast=True)
    assert await Outside(policies=[SILENT, ALLOWS, DENIES]).answer(WRITE) is True


async def test_without_an_answer_all_is_denied() -> None:
    for policies in ([], [SILENT]):
        assert await Outside(policies=policies).answer(READ) == Access()
        assert await Outside(policies=policies).answer(WRITE) is False


async def test_a_policy_that_fails_or_hangs_is_a_fault_and_not_a_yes() -> None:
    quick = AskLimits(timeout_s=0.01)

    for policy in (Says(OSError("x"), OSError("x")), Says(..., ...)):
        assert await Outside(policies=[policy], limits=quick).answer(READ) == OUT_OF_REACH
        assert await Outside(policies=[policy], limits=quick).answer(WRITE) == OUT_OF_REACH


async def test_no_more_is_out_at_once_than_the_limit() -> None:
    policy = Says(Access())
    outside = Outside(policies=[policy], limits=AskLimits(at_once=3))
    async with asyncio.TaskGroup() as group:
        for number in range(20):
            group.create_task(outside.answer(READ), name=f"ask:{number}")

    assert policy.most == 3


class Log:
    """Knows one session."""

    async def recover(self, key: TopicKey, session: str) -> Missed | None:
        return Missed((TOLD,), is_whole=True) if session == "known" else None

    async def replay(self, key: TopicKey, *, since: datetime, limit: int) -> tuple[Broadcast, ...]:
        return (TOLD,) * limit

    def sent(self, key: TopicKey, session: str, broadcast_id: str) -> None: ...

    def acknowledged(self, key: TopicKey, session: str, broadcast_id: str) -> None: ...


async def test_a_known_session_gets_what_it_missed_and_a_new_one_the_replay() -> None:
    outside, since = Outside(log=Log()), datetime(2026, 1, 1, tzinfo=UTC)

    assert await outside.answer(Recall(KEY, "known", since, 2)) == Recalled(Missed((TOLD,), is_whole=True))
    assert await outside.answer(Recall(KEY, "new", since, 2)) == Recalled(None, (TOLD, TOLD))
    assert await outside.answer(Recall(KEY, "new", None, 2)) == Recalled()
    assert await Outside().answer(Recall(KEY, "known", since, 2)) == Recalled()


class Source:
    """Tells the receiver something, and may fail."""

    def __init__(self, fault: Exception | None = None) -> None:
        self.fault = fault
        self.left: list[ChangeReceiver] = []

    async def subscribe(self, receiver: ChangeReceiver, bindings: Sequence[Binding], claims: Claims) -> None:
        if self.fault is not None:
            raise self.fault
        receiver.hear_changes_system("ok", "Subscribed to PostgreSQL")

    def unsubscribe(self, receiver: ChangeReceiver) -> None:
        self.left.append(receiver)


def receiver(writer: Writer) -> ChannelChanges:
    made = ChannelChanges(writer, ChangeFrames(), FOLLOW)
    made.release()
    return made


FOLLOW = Follow(1, "realtime:r", "1", (), ANN)


async def test_changes_are_subscribed_and_a_source_that_fails_is_told() -> None:
    live, failed = Writer(), Writer()

    assert await Outside(changes=Source()).follow(FOLLOW, receiver(live)) == Followed()
    assert await Outside(changes=Source(OSError("x"))).follow(FOLLOW, receiver(failed)) == Followed()
    assert b"Subscribed to PostgreSQL" in live.written[0]
    assert b"unable to connect" in failed.written[0]


async def test_who_waits_for_changes_is_told_why_there_are_none() -> None:
    waits = Follow(1, "realtime:r", "1", (), ANN, wait_ms=700)
    outside = Outside(changes=Source(OSError("x")), limits=AskLimits(follow_s=5.0))

    assert await outside.follow(waits, receiver(Writer())) == Fault(
        "RealtimeDisabledForConfiguration: Realtime was unable to connect to the project database"
    )
    assert outside.late(FOLLOW) == (5.0, Followed())
    assert outside.late(waits) == (
        0.7,
        Fault("PostgresChangesSubscribeTimeout: Timed out after 700ms waiting for the postgres_changes subscription"),
    )


async def test_a_channel_that_left_while_it_subscribed_is_taken_out_again() -> None:
    source, gone = Source(), receiver(Writer())
    gone.is_over = True
    await Outside(changes=source).follow(FOLLOW, gone)

    assert source.left == [gone]
