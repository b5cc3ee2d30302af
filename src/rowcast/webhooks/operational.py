"""Operational events: what happens to endpoints and messages, as ordinary events of whoever looks after them."""

from collections.abc import Mapping

from rowcast.core.codec import encode_json
from rowcast.core.errors import RowcastError
from rowcast.core.telemetry import tell
from rowcast.store.pool import Database
from rowcast.store.sql import load_queries

ENDPOINT_DISABLED = "endpoint.disabled"
ATTEMPT_FAILING = "message.attempt.failing"
ATTEMPT_EXHAUSTED = "message.attempt.exhausted"
ATTEMPT_RECOVERED = "message.attempt.recovered"


class OperationalEvents:
    """Emits them. Without a tenant there are none; what happens to that tenant's own endpoints makes none either."""

    __slots__ = ("_database", "_queries", "_tenant_id")

    def __init__(self, *, database: Database, tenant_id: str = "") -> None:
        """Emit to this tenant."""
        self._database = database
        self._tenant_id = tenant_id
        self._queries = load_queries("rowcast.webhooks")

    async def emit(self, event_type: str, *, tenant_id: str, endpoint_id: str, facts: Mapping[str, object]) -> bool:
        """Emit one; a database that is away, or a tenant without such an endpoint, makes none. Tells whether it did.

        Args:
            event_type: One of the constants of this module.
            tenant_id: Whose endpoint it is.
            endpoint_id: Which one.
            facts: What the payload says beside who it is about.
        """
        if not self._tenant_id or tenant_id == self._tenant_id:
            return False
        try:
            row = await self._database.fetch_one(
                self._queries["emit_operational"],
                to_tenant=self._tenant_id,
                event_type=event_type,
                tenant_id=tenant_id,
                endpoint_id=endpoint_id,
                facts=encode_json(facts).decode(),
            )
        except RowcastError as error:
            # What happened is in the ledger; the caller has more important things to finish.
            tell("webhook.operational_lost", code=error.code)
            return False
        return row is not None
