"""A row of the outbox as an envelope."""

from msgspec import Raw

from rowcast.core.envelope import Envelope
from rowcast.store.pool import Row


def read_envelope(row: Row) -> Envelope:
    """Give the envelope of a row that has all columns of `rowcast.event`."""
    return Envelope(
        row["id"],
        row["tenant_id"],
        row["aggregate_type"],
        row["aggregate_id"],
        row["event_type"],
        row["version"],
        row["occurred_at"],
        Raw(row["payload"]),
        row["traceparent"],
        row["topic"],
        row["seq"],
    )
