"""Emitting events whose types need not be declared: what other systems told, in a transaction of the server's own."""

from collections.abc import Sequence

from rowcast.core.codec import encode_json
from rowcast.core.errors import InvalidInputError, PayloadTooLargeError
from rowcast.core.payload import holds_nul
from rowcast.outbox.limits import LIMIT_BYTES, check_batch_size
from rowcast.outbox.new_event import NewEvent
from rowcast.store.pool import Session
from rowcast.store.sql import load_queries


async def emit_rows(session: Session, rows: Sequence[NewEvent]) -> None:
    """Write events in their order inside the transaction that is open on `session`; all or none are taken.

    Raises:
        PayloadTooLargeError: `outbox.payload_too_large`, above 65,536 bytes of one payload.
        InvalidInputError: `outbox.batch_too_large`, `input.payload` or `input.event_type`.
    """
    for row in rows:
        _check(row)
    check_batch_size(len(rows), sum(row.size_bytes for row in rows))
    if rows:
        await session.fetch(load_queries("rowcast.outbox")["emit_events"], events=encode_json(list(rows)).decode())


def _check(row: NewEvent) -> None:
    if row.size_bytes > LIMIT_BYTES:
        raise PayloadTooLargeError(size_bytes=row.size_bytes, limit_bytes=LIMIT_BYTES)
    if holds_nul(bytes(row.payload)):
        raise InvalidInputError(
            f"The payload of {row.event_type} holds the character U+0000, which PostgreSQL cannot read back. Leave it "
            "out.",
            code="input.payload",
        )
