"""Emitting: an event is written in the caller's own transaction, and is told to nobody before that commits."""

import uuid
from collections.abc import Coroutine, Iterable, Mapping, Sequence
from typing import Any, Unpack, cast, overload

from rowcast.core.codec import encode_json
from rowcast.core.event import DECLARED
from rowcast.core.event_types import EventTypes
from rowcast.outbox.limits import check_batch_size, check_payload_size
from rowcast.outbox.new_event import EventOptions, NewEvent, new_event
from rowcast.outbox.traceparent import current_traceparent
from rowcast.store.caller import AsyncCaller, BlockingCaller, answer, ask
from rowcast.store.sql import Query, load_queries


@overload
def emit(
    connection: AsyncCaller,
    event: object,
    *,
    tenant_id: str,
    catalogue: EventTypes = ...,
    **options: Unpack[EventOptions],
) -> Coroutine[Any, Any, uuid.UUID]: ...
@overload
def emit(
    connection: BlockingCaller,
    event: object,
    *,
    tenant_id: str,
    catalogue: EventTypes = ...,
    **options: Unpack[EventOptions],
) -> uuid.UUID: ...
def emit(
    connection: object,
    event: object,
    *,
    tenant_id: str,
    catalogue: EventTypes = DECLARED,
    **options: Unpack[EventOptions],
) -> Any:
    """Write one event inside the transaction that is open on `connection`, and give its id.

    Never commits and never begins a transaction: the event is as committed, or as gone, as the caller's own rows. On a
    connection in autocommit, with no transaction open, the event is a transaction of its own, as any statement is.

    Args:
        connection: asyncpg, psycopg 3 sync or async, SQLAlchemy 2 session or connection sync or async, or Django.
        event: An instance of a declared class, or a mapping together with `type`.
        tenant_id: Whose event it is.
        catalogue: The declared event types.
        options: `type`, `version`, `aggregate_id`, `id`, `occurred_at`, `traceparent`.
    Returns:
        The id at once for a connection that blocks, something to await for an async one.
    Raises:
        InvalidInputError: `input.payload`, `input.tenant`, `input.event_id`, ...; before the database is touched.
        PayloadTooLargeError: `outbox.payload_too_large`, above 65,536 bytes; before the database is touched.
        UnknownEventTypeError: The type is not declared; the known ones are named.
        ConflictError: `input.conflict`, when another event has this id; the transaction must be rolled back.
        PermissionDeniedError: `auth.denied`, when the session speaks for another tenant; likewise.
    """
    row = _row(event, tenant_id, catalogue, options)
    check_payload_size(row.event_type, row.size_bytes, stacklevel=2)
    return ask(connection, _queries()["emit_event"], row.as_text(), _id)


@overload
def emit_many(
    connection: AsyncCaller,
    events: Iterable[object],
    *,
    tenant_id: str,
    catalogue: EventTypes = ...,
    **options: Unpack[EventOptions],
) -> Coroutine[Any, Any, list[uuid.UUID]]: ...
@overload
def emit_many(
    connection: BlockingCaller,
    events: Iterable[object],
    *,
    tenant_id: str,
    catalogue: EventTypes = ...,
    **options: Unpack[EventOptions],
) -> list[uuid.UUID]: ...
def emit_many(
    connection: object,
    events: Iterable[object],
    *,
    tenant_id: str,
    catalogue: EventTypes = DECLARED,
    **options: Unpack[EventOptions],
) -> Any:
    """Write events in their order, in one round trip, and give their ids in the same order; all or none are taken.

    Args:
        connection: As for `emit`.
        events: At most 10,000: instances of declared classes, mappings together with `type`, or pairs of one of these
            and its own options, such as `(event, {"id": ...})`.
        tenant_id: Whose events they are.
        catalogue: The declared event types.
        options: What holds for each of them.
    Raises:
        InvalidInputError: `outbox.batch_too_large`, and what `emit` refuses.
    """
    rows = [_row(event, tenant_id, catalogue, own) for event, own in _with_options(events, options)]
    for row in rows:
        check_payload_size(row.event_type, row.size_bytes, stacklevel=2)
    check_batch_size(len(rows), sum(row.size_bytes for row in rows))
    if not rows:
        return answer(connection, [])
    return ask(connection, _queries()["emit_events"], {"events": encode_json(rows).decode()}, _ids)


def _with_options(events: Iterable[object], options: EventOptions) -> Iterable[tuple[object, EventOptions]]:
    for each in events:
        match each:
            case (event, Mapping() as own):
                yield event, cast(EventOptions, {**options, **own})
            case _:
                yield each, options


def _row(event: object, tenant_id: str, catalogue: EventTypes, options: EventOptions) -> NewEvent:
    traceparent = None if "traceparent" in options else current_traceparent()
    if traceparent is not None:
        options = {**options, "traceparent": traceparent}
    return new_event(event, tenant_id=tenant_id, catalogue=catalogue, options=options)


def _queries() -> dict[str, Query]:
    return load_queries("rowcast.outbox")


def _id(texts: Sequence[str]) -> uuid.UUID:
    return uuid.UUID(texts[0])


def _ids(texts: Sequence[str]) -> list[uuid.UUID]:
    return [uuid.UUID(text) for text in texts]
