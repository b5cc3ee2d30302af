"""Answers to requests with an idempotency key: the request again gets the same answer, and nothing is done twice."""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import msgspec

from rowcast.core.codec import encode_json
from rowcast.core.errors import ConflictError, InvalidFieldError
from rowcast.store.pool import Connection, Database, Session
from rowcast.store.sql import load_queries
from rowcast.webhooks.sealing import KeyRing

KEY_LIMIT_CHARS = 256
KEPT_S = 12 * 3600.0
_WAITS_S = (0.02, 0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2)


class Answer(msgspec.Struct, frozen=True):
    """What a route answers: a status, and a body that becomes JSON (None: an empty one).

    `about` names what an `Again` reads anew.
    """

    status: int
    body: Any = None
    about: str = ""

    @property
    def text(self) -> bytes:
        """Give the body as it is sent."""
        return b"" if self.body is None else encode_json(self.body)


class Sent(msgspec.Struct, frozen=True):
    """An answer in the form in which it is sent and kept."""

    status: int
    text: bytes


Act = Callable[[Connection], Awaitable[Answer]]
"""What a request does, all of it in the transaction that it gets."""


Again = Callable[[Connection, str], Awaitable[Answer]]
"""Makes the answer to the same request anew from what it was about, which is kept instead of the answer's text."""


class AskedOnce(msgspec.Struct, frozen=True):
    """A request that may come again: who asks, the key that was sent, and what was asked."""

    caller: str
    key: str
    request_hash: bytes


def asked_once(caller: str, key: str, *, place: str, body: bytes) -> AskedOnce:
    """Give what one request is known by; `place` is its method, path and query.

    Raises:
        InvalidFieldError: `input.field`, for a key that is too long or holds other than visible ASCII.
    """
    if not 1 <= len(key) <= KEY_LIMIT_CHARS or not key.isascii() or not key.isprintable():
        raise InvalidFieldError(
            f"An idempotency key has 1 to {KEY_LIMIT_CHARS} visible ASCII characters.",
            place=("header", "idempotency-key"),
        )
    where = place.encode("utf-8", "surrogatepass")
    # With its length before it, no end of a place can be taken for the beginning of a body.
    return AskedOnce(caller, key, hashlib.sha256(len(where).to_bytes(8, "big") + where + body).digest())


class AnswerTable:
    """Runs what a request does, and keeps its answer in the same transaction: both are there or neither is."""

    __slots__ = ("_database", "_queries", "_ring", "_waits_s")

    def __init__(self, *, database: Database, ring: KeyRing, waits_s: tuple[float, ...] = _WAITS_S) -> None:
        """Ask for what it needs: an answer may show a secret, so `ring` seals it."""
        self._database = database
        self._ring = ring
        self._queries = load_queries("rowcast.server")
        self._waits_s = waits_s

    async def run(self, act: Act, asked: AskedOnce | None, *, again: Again | None = None) -> Sent:
        """Give the answer of `act`, or the kept one where this was asked before. A refusal is not kept.

        Args:
            act: What the request does.
            asked: By what it is known; None for one without a key.
            again: For answers that show what can be removed: they are not kept, but made anew.
        Raises:
            ConflictError: `input.conflict`, when the key belongs to another request, or the same one still runs.
        """
        if asked is None:
            async with self._database.transaction() as connection:
                return _sent(await act(connection))
        # Nobody waits with a connection in the hand: the one who runs may need it.
        for wait_s in (*self._waits_s, 0.0):
            sent = await self._try(act, asked, again)
            if sent is not None:
                return sent
            await asyncio.sleep(wait_s)
        raise ConflictError("A request with this idempotency key is still running. Ask again in a moment.")

    async def _try(self, act: Act, asked: AskedOnce, again: Again | None) -> Sent | None:
        """Give the answer, or None where another request has the key's turn."""
        async with self._database.transaction() as connection:
            lock = self._queries["lock_idempotency_key"]
            turn = await connection.fetch_one(lock, caller=asked.caller, key=asked.key)
            # Who has no turn may find the answer there all the same: others who read it hold the turn too.
            kept = await connection.fetch_one(
                self._queries["kept_answer"], caller=asked.caller, key=asked.key, kept_s=KEPT_S
            )
            if kept:
                sent = self._again(asked, kept)
                return sent if again is None else _sent(await again(connection, sent.text.decode()))
            if not (turn and turn["is_ours"]):
                return None
            answer = await act(connection)
            await self._keep(connection, asked, Sent(answer.status, answer.about.encode()) if again else _sent(answer))
            return _sent(answer)

    async def _keep(self, connection: Connection, asked: AskedOnce, sent: Sent) -> None:
        await connection.execute(
            self._queries["keep_answer"],
            caller=asked.caller,
            key=asked.key,
            request_hash=asked.request_hash,
            status=sent.status,
            body=self._ring.seal(sent.text, context=_context(asked)),
        )

    def _again(self, asked: AskedOnce, kept: Mapping[str, Any]) -> Sent:
        if kept["request_hash"] != asked.request_hash:
            raise ConflictError("This idempotency key was sent with another request. Each request needs its own.")
        return Sent(kept["status"], self._ring.open(kept["body"], context=_context(asked)))


async def drop_old_answers(session: Session, *, most: int) -> int:
    """Remove answers that are kept no longer, `most` at once, and give how many they were."""
    return len(await session.fetch(load_queries("rowcast.server")["drop_answers"], kept_s=KEPT_S, most=most))


def _context(asked: AskedOnce) -> str:
    return f"idempotent_answer {asked.caller} {asked.key}"


def _sent(answer: Answer) -> Sent:
    return Sent(answer.status, answer.text)
