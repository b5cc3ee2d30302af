"""Takes what senders send: a request is judged whole, and what is genuine becomes events in one transaction."""

import uuid
from collections.abc import Awaitable, Callable, Sequence

import msgspec

from rowcast.core.clock import Clock
from rowcast.core.errors import (
    AuthenticationError,
    InvalidInputError,
    InvalidSignatureError,
    LimitExceededError,
    NotFoundError,
    PayloadTooLargeError,
    StaleTimestampError,
)
from rowcast.core.failpoint import Failpoint, no_failpoint
from rowcast.core.ids import uuid7
from rowcast.core.telemetry import tell
from rowcast.store.pool import Connection, Database
from rowcast.webhooks.ids import is_source_id
from rowcast.webhooks.incoming import Accepted, Answer, Challenge, IncomingRequest, Question, Refused
from rowcast.webhooks.incoming_body import event_type
from rowcast.webhooks.incoming_meters import Meters
from rowcast.webhooks.incoming_schemes import SCHEMES, Thanks, judge
from rowcast.webhooks.incoming_source import Source
from rowcast.webhooks.incoming_table import SourceTable

COMMITTED = "incoming.committed"
"""The place between commit and answer, at which a test lets a process die."""


class IncomingEvent(msgspec.Struct, frozen=True):
    """An event that is to be written: what a sender told, as ours."""

    id: uuid.UUID
    tenant_id: str
    event_type: str
    payload: bytes


EmitAll = Callable[[Connection, Sequence[IncomingEvent]], Awaitable[None]]
"""Writes events in the transaction that is open on a connection."""


class IncomingDesk:
    """Answers senders. Nothing is acknowledged before it is committed."""

    __slots__ = ("_clock", "_database", "_emit", "_failpoint", "_meters", "_table")

    def __init__(
        self,
        *,
        table: SourceTable,
        database: Database,
        clock: Clock,
        emit: EmitAll,
        meters: Meters,
        failpoint: Failpoint = no_failpoint,
    ) -> None:
        """Take for the sources of `table`; `emit` writes what is genuine."""
        self._table = table
        self._database = database
        self._clock = clock
        self._emit = emit
        self._meters = meters
        self._failpoint = failpoint

    async def take(self, source_id: str, request: IncomingRequest) -> Thanks:
        """Take one request and give its answer.

        Raises:
            NotFoundError: `input.not_found`, for a source that is not there or is disabled.
            AuthenticationError: `auth.missing`, `auth.signature` or `auth.timestamp`: it is not genuine.
            InvalidInputError: `input.not_json`, `input.payload` or `outbox.payload_too_large`: it can be no event.
            LimitExceededError: `limit.exceeded`.
            StoreError: Nothing was taken.
        """
        source, secrets = await self._found(source_id)
        question = Question(request=request, secrets=secrets, options=source.options, now=self._clock.now())
        try:
            return await self._taken(source, judge(SCHEMES[source.scheme], question))
        except InvalidInputError as error:
            reason = "too_large" if isinstance(error, PayloadTooLargeError) else error.code
            tell("incoming.refused", scheme=source.scheme, source=source.id, reason=reason)
            raise

    async def look(self, source_id: str) -> Thanks:
        """Give the answer for a sender that looks whether its URL is there.

        Raises:
            NotFoundError: `input.not_found`, also where senders never look.
        """
        source, _ = await self._found(source_id)
        if not SCHEMES[source.scheme].is_looked_at:
            raise _nobody()
        return Thanks()

    async def _found(self, source_id: str) -> tuple[Source, tuple[str, ...]]:
        found = await self._table.find(source_id) if is_source_id(source_id) else None
        if found is None:
            tell("incoming.refused", reason="unknown")
            raise _nobody()
        return found

    async def _taken(self, source: Source, answer: Answer) -> Thanks:
        match answer:
            case Refused():
                raise self._refusal(source, answer)
            case Challenge():
                return Thanks(answer.text.encode())
            case Accepted():
                self._admit(source)
                await self._write(source, answer)
        return SCHEMES[source.scheme].thanks

    def _refusal(self, source: Source, refused: Refused) -> AuthenticationError:
        tell("incoming.refused", scheme=source.scheme, source=source.id, reason=refused.code)
        if self._meters.is_failing(source.id, now_s=self._clock.monotonic_s()):
            tell("incoming.failing", scheme=source.scheme, source=source.id, reason=refused.code)
        match refused.code:
            case "auth.timestamp":
                return StaleTimestampError(refused.sentence)
            case "auth.signature":
                return InvalidSignatureError(refused.sentence)
        return AuthenticationError(refused.sentence)

    def _admit(self, source: Source) -> None:
        wait_s = self._meters.wait_s(source.id, now_s=self._clock.monotonic_s())
        if wait_s:
            tell("incoming.refused", scheme=source.scheme, source=source.id, reason="rate")
            raise LimitExceededError("Too many deliveries of this source. Send it again later.", retry_after_s=wait_s)

    async def _write(self, source: Source, accepted: Accepted) -> None:
        """Write ids and events in one transaction; what was taken before is left out of both."""
        now = self._clock.now()
        events = {
            read.delivery_id: IncomingEvent(
                uuid7(now), source.tenant_id, event_type(source.name, read.called), read.payload
            )
            for read in accepted.reads
        }
        if not events:
            return
        async with self._database.transaction() as connection:
            fresh = await self._table.take(connection, source, {said: event.id for said, event in events.items()})
            await self._emit(connection, [event for said, event in events.items() if said in fresh])
        self._failpoint(COMMITTED)
        tell("incoming.taken", scheme=source.scheme, events=len(fresh), repeated=len(accepted.reads) - len(fresh))


def _nobody() -> NotFoundError:
    return NotFoundError("Nothing comes in here.")
