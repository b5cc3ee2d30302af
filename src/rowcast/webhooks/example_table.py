"""Example messages: for one endpoint and nobody else. No rule sees them, no socket hears them, no job runs for them."""

import uuid

from rowcast.core.codec import encode_json
from rowcast.core.delivery import ordered_key
from rowcast.store.pool import Session
from rowcast.store.sql import load_queries
from rowcast.webhooks.endpoint import Endpoint

EXAMPLE_TAG = "example"
"""By this tag a message says that it is one."""
_TOPIC_PREFIX = "rowcast:example:"


class ExampleTable:
    """Writes example messages, in the session that it is given."""

    __slots__ = ("_queries",)

    def __init__(self) -> None:
        """Read the statements."""
        self._queries = load_queries("rowcast.webhooks")

    async def send(
        self,
        session: Session,
        endpoint: Endpoint,
        *,
        event_type: str,
        payload: dict[str, object],
        aggregate_type: str | None = None,
    ) -> uuid.UUID:
        """Write one with the delivery that it is owed, and give its event's id.

        The event is written as published, so that no relay routes it; its topic is one that nobody joins, since a
        relay that reads the log tells sockets before it asks.

        Raises:
            InvalidInputError: `input.event_type`, or as `emit` refuses a payload.
            PayloadTooLargeError: `outbox.payload_too_large`.
        """
        row = await session.fetch_one(
            self._queries["emit_example"],
            tenant_id=endpoint.tenant_id,
            event_type=event_type,
            payload=encode_json(payload).decode(),
            aggregate_type=aggregate_type,
            topic=_TOPIC_PREFIX + endpoint.id,
        )
        assert row is not None  # it gives one row or refuses
        key = ordered_key(endpoint.id) if endpoint.is_ordered else endpoint.id
        place = {"tenant_id": endpoint.tenant_id, "target": endpoint.id, "key": key}
        await session.execute(self._queries["owe_example"], **place, event_id=row["id"], tags=[EXAMPLE_TAG])
        event_id: uuid.UUID = row["id"]
        return event_id
