"""Operational events: what happens to endpoints and messages, as ordinary events of whoever looks after them."""

from collections.abc import Mapping

from rowcast.core.codec import encode_json
from rowcast.core.errors import RowcastError
from rowcast.core.telemetry import tell
from rowcast.store.pool import Connection, Database, Row
from rowcast.store.sql import load_queries

ENDPOINT_DISABLED = "endpoint.disabled"
ENDPOINT_RECOVERED = "endpoint.recovered"
ATTEMPT_FAILING = "message.attempt.failing"
ATTEMPT_EXHAUSTED = "message.attempt.exhausted"
ATTEMPT_RECOVERED = "message.attempt.recovered"
BACKGROUND_TASK_FINISHED = "background_task.finished"


class OperationalEvents:
    """Emits them. Without a tenant there are none; what happens to that tenant's own endpoints makes none either."""

    __slots__ = ("_database", "_queries", "_tenant_id")

    def __init__(self, *, database: Database, tenant_id: str = "") -> None:
        """Emit to this tenant."""
        self._database = database
        self._tenant_id = tenant_id
        self._queries = load_queries("rowcast.webhooks")

    async def emit(
        self,
        event_type: str,
        *,
        tenant_id: str,
        endpoint_id: str,
        facts: Mapping[str, object],
        within: Connection | None = None,
    ) -> bool:
        """Emit one; a database that is away, or a tenant without such an endpoint, makes none. Tells whether it did.

        Args:
            event_type: One of the constants of this module.
            tenant_id: Whose endpoint it is.
            endpoint_id: Which one.
            facts: What the payload says beside who it is about.
            within: The transaction that it belongs to; None for one of its own.
        """
        if not self._tenant_id or tenant_id == self._tenant_id:
            return False
        asked = {
            "to_tenant": self._tenant_id,
            "event_type": event_type,
            "tenant_id": tenant_id,
            "endpoint_id": endpoint_id,
            "facts": encode_json(facts).decode(),
        }
        try:
            row = await self._emit(asked, within)
        except RowcastError as error:
            # What happened is in the ledger; the caller has more important things to finish.
            tell("webhook.operational_lost", code=error.code)
            return False
        return row is not None

    async def _emit(self, asked: Mapping[str, object], within: Connection | None) -> Row | None:
        query = self._queries["emit_operational"]
        if within is None:
            return await self._database.fetch_one(query, **asked)
        # A savepoint: an event that fails takes nothing else with it.
        async with within.transaction():
            return await within.fetch_one(query, **asked)
