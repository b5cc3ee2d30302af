"""From the log's row of `rowcast.event` to an envelope, without parsing the payload. Pure."""

import uuid
from collections.abc import Callable, Mapping
from datetime import datetime

import msgspec
from msgspec import Raw

from rowcast.capture.pgoutput import Relation, Value, Values, refuse
from rowcast.core.envelope import Envelope

EVENT_COLUMNS = (
    "id", "seq", "tenant_id", "aggregate_type", "aggregate_id", "event_type", "version", "occurred_at", "payload",
    "traceparent", "topic",
)  # fmt: skip
"""What the publication shows of an event, and all that an envelope needs."""

EventReader = Callable[[Values], Envelope]
_read_id = msgspec.json.Decoder(uuid.UUID).decode


def is_event_table(relation: Relation) -> bool:
    """Tell whether a table of the log is the outbox."""
    return relation.table == "event" and relation.schema == "rowcast"


def make_event_reader(relation: Relation) -> EventReader:
    """Give the function that turns this table's rows into envelopes; made once for each announcement of the table.

    Raises:
        StoreError: `store.replication_message`, when a column is not published.
    """
    places: Mapping[str, int] = {column.name: place for place, column in enumerate(relation.columns)}
    missing = [name for name in EVENT_COLUMNS if name not in places]
    if missing:
        raise refuse(f"events without {', '.join(missing)}; drop the publication rowcast_events, it is made again")
    at = tuple(places[name] for name in EVENT_COLUMNS)
    return lambda values: _read_event([values[place] for place in at])


def _read_event(values: Values) -> Envelope:
    # Nothing but an event comes in here: the first nine columns are never null, and an insert never leaves one out.
    try:
        id_, seq, tenant, aggregate_type, aggregate_id, event_type, version, occurred_at, payload, trace, topic = values
        return Envelope(
            _read_id(b'"%b"' % id_),  # type: ignore[str-format]
            tenant.decode(),  # type: ignore[union-attr]
            aggregate_type.decode(),  # type: ignore[union-attr]
            aggregate_id.decode(),  # type: ignore[union-attr]
            event_type.decode(),  # type: ignore[union-attr]
            int(version),  # type: ignore[arg-type]
            datetime.fromisoformat(occurred_at.decode()),  # type: ignore[union-attr]
            Raw(payload),  # type: ignore[arg-type]
            _text(trace),
            _text(topic),
            int(seq),  # type: ignore[arg-type]
        )
    except (AttributeError, TypeError, ValueError, msgspec.MsgspecError) as error:
        raise refuse(f"an event that is none ({type(error).__name__})") from error


def _text(value: Value) -> str | None:
    return value.decode() if isinstance(value, bytes) else None
