"""Private channels by row-level security: the policies of `realtime.messages` say who may hear and say what.

Each question is one round trip: rows are probed in the token's role inside the database, and nothing of it stays
there (`rowcast.channel_rights`). Questions that wait for their turn and are the same share one answer; an answer is
never older than the question, so a policy that was changed is noticed at the next join.
"""

import asyncio
from typing import Literal

import msgspec

from rowcast.core.errors import RowcastError
from rowcast.core.telemetry import tell
from rowcast.realtime.authorize import Claims
from rowcast.realtime.channel_policy import Access, ChannelPolicy, Extension, Fault
from rowcast.store.pool import Database, Row
from rowcast.store.sql import load_queries

_UNREACHABLE = Fault("UnableToConnectToProject: Realtime was unable to connect to the project database")
_FAILED = Fault("Realtime was unable to connect to the project database")
_NO_ROOM = Fault("IncreaseConnectionPool: Please increase your connection pool size")
_NO_CONNECTIONS = Fault("DatabaseLackOfConnections: Database can't accept more connections, Realtime won't connect")
_NO_PARTITION = Fault("MissingPartition: Realtime was unable to find the expected messages partition")
_TOO_LONG = Fault("QueryCanceled: canceling statement due to statement timeout")
_STATE_CANCELED, _STATE_TOO_MANY = "57014", "53300"

Unset = Literal["unset"]
_UNSET: Unset = "unset"
_Answer = frozenset[str] | Fault | Unset


class PolicyLimits(msgspec.Struct, frozen=True):
    """Bounds: questions at once (one connection each), and how long one waits for its turn."""

    at_once: int = 4
    wait_s: float = 4.0


class _Question(msgspec.Struct, frozen=True):
    role: str
    document: bytes
    headers: bytes
    topic: str
    extensions: tuple[str, ...]
    is_write: bool


class RowPolicies:
    """Asks the policies. A table without any has nothing to say, so that the next rule is asked."""

    __slots__ = ("_database", "_gate", "_limits", "_query", "_waiting")

    def __init__(self, *, database: Database, limits: PolicyLimits | None = None) -> None:
        """Take a pool of `at_once` connections or more, of a role that may act as the roles of tokens."""
        self._database = database
        self._limits = limits or PolicyLimits()
        self._gate = asyncio.Semaphore(self._limits.at_once)
        self._query = load_queries("rowcast.realtime")["channel_rights"]
        self._waiting: dict[_Question, asyncio.Future[_Answer | None]] = {}

    async def read(self, claims: Claims, topic: str, *, wants_presence: bool) -> Access | Fault | None:
        """Give what the policies let `claims` hear on a topic."""
        extensions = ("broadcast", "presence") if wants_presence else ("broadcast",)
        found = await self._ask(_Question(claims.role, claims.document, claims.headers, topic, extensions, False))
        if found == _UNSET:
            return None
        return found if isinstance(found, Fault) else Access("broadcast" in found, "presence" in found)

    async def write(self, claims: Claims, topic: str, *, extension: Extension) -> bool | Fault | None:
        """Tell whether the policies let `claims` say something on a topic."""
        found = await self._ask(_Question(claims.role, claims.document, claims.headers, topic, (extension,), True))
        if found == _UNSET:
            return None
        return found if isinstance(found, Fault) else extension in found

    async def _ask(self, question: _Question) -> _Answer:
        """Give the answer of whoever asks the same and still waits for his turn, or take a turn."""
        while (shared := self._waiting.get(question)) is not None:
            answer = await asyncio.shield(shared)
            if answer is not None:
                return answer
        return await self._take_turn(question)

    async def _take_turn(self, question: _Question) -> _Answer:
        shared = self._waiting[question] = asyncio.get_running_loop().create_future()
        answer: _Answer | None = None
        try:
            answer = await self._wait_and_ask(question)
        finally:
            self._leave(question, shared)
            # None: we were cancelled, and those who waited with us take a turn of their own.
            shared.set_result(answer)
        return answer

    async def _wait_and_ask(self, question: _Question) -> _Answer:
        shared = self._waiting[question]
        try:
            async with asyncio.timeout(self._limits.wait_s):
                await self._gate.acquire()
        except TimeoutError:
            return _NO_ROOM
        try:
            # Whoever asks from now on wants an answer that is younger than his question.
            self._leave(question, shared)
            return await self._find_out(question)
        finally:
            self._gate.release()

    def _leave(self, question: _Question, shared: asyncio.Future[_Answer | None]) -> None:
        if self._waiting.get(question) is shared:
            del self._waiting[question]

    async def _find_out(self, question: _Question) -> _Answer:
        try:
            row = await self._database.fetch_one(
                self._query,
                role=question.role,
                claims=question.document.decode(),
                headers=question.headers.decode(),
                topic=question.topic,
                extensions=list(question.extensions),
                is_write=question.is_write,
            )
        except RowcastError as error:
            tell("policy.failed", step="ask", error=error.code)
            return explain_failure(error)
        return read_rights(row)


def read_rights(row: Row | None) -> _Answer:
    """Give what the database found out: the extensions that are allowed, or why that is not known."""
    if row is None:
        return _FAILED
    fault, allowed = row["fault"], frozenset(row["allowed"])
    if fault is None:
        return allowed
    if fault == _UNSET:
        return _UNSET
    # The state's code only: the words may hold what the token says of a person.
    tell("policy.failed", step=fault, error=(row["detail"] or "")[:5])
    if fault == "partition":
        return _NO_PARTITION
    # A policy that fails opens nothing; so does a role that no policy holds for.
    return frozenset() if fault in ("policy", "superuser") else _FAILED


def explain_failure(error: RowcastError) -> Fault:
    """Give the words in which a client hears that the database could not be asked."""
    state = getattr(error.__cause__, "sqlstate", None)
    if state == _STATE_CANCELED:
        return Fault(f"QueryCanceled: {error.__cause__}")
    if error.code == "store.timeout":
        return _TOO_LONG
    if state == _STATE_TOO_MANY:
        return _NO_CONNECTIONS
    return _UNREACHABLE if error.code == "store.unavailable" else _FAILED


_CONTRACT: type[ChannelPolicy] = RowPolicies
