"""The health of endpoints: since when one fails, and when it is disabled for it."""

from datetime import datetime, timedelta
from typing import Literal

from rowcast.core.outcome import Delivered, Outcome, Postponed, Rejected, Retry
from rowcast.core.telemetry import tell
from rowcast.store.pool import Database
from rowcast.store.sql import load_queries
from rowcast.webhooks.endpoint import SigningEndpoint

Change = Literal["none", "fails", "works", "gone", "given_up"]
"""What an attempt changes: the first failure, the first success after it, 410, and the failure that is one too many."""

_OWN_FAULTS = frozenset({"secret_unopened", "egress_closed", "proxy", "transform_failed", "expunged"})


class EndpointHealth:
    """Writes changes of health. An attempt that changes nothing writes nothing."""

    __slots__ = ("_database", "_queries")

    def __init__(self, *, database: Database) -> None:
        """Keep the pool."""
        self._database = database
        self._queries = load_queries("rowcast.webhooks")

    async def change(self, tenant_id: str, endpoint: SigningEndpoint, change: Change) -> bool:
        """Write a change of an endpoint as an attempt read it; true when it is this one that disabled the endpoint.

        Raises:
            StoreUnavailableError: `store.unavailable`.
        """
        if change == "none":
            return False
        if change in ("fails", "works"):
            query = self._queries["endpoint_fails" if change == "fails" else "endpoint_works"]
            await self._database.execute(query, tenant_id=tenant_id, id=endpoint.id)
            return False
        row = await self._database.fetch_one(
            self._queries["give_up_endpoint"],
            tenant_id=tenant_id,
            id=endpoint.id,
            reason=disabled_reason(change),
            url=endpoint.url,
            is_healable=change == "given_up",
            failing_since=endpoint.failing_since,
        )
        if row is not None:
            tell("webhook.endpoint_disabled", reason=disabled_reason(change))
        return row is not None


def judge(outcome: Outcome, *, failing_since: datetime | None, now: datetime, give_up_days: float) -> Change:
    """Give what an attempt changes.

    The attempt that is made after so many days in which each one failed is the last probe: its success heals the
    endpoint, its failure disables it. Time alone never does. A day may pass without any message.

    Args:
        outcome: What it came to.
        failing_since: The first failure after the last success; None where there is none.
        now: Aware.
        give_up_days: After how many days of failures only; 0 never gives up.
    """
    if isinstance(outcome, Delivered):
        return "none" if failing_since is None else "works"
    if isinstance(outcome, Postponed) or _is_own_fault(outcome):
        return "none"
    if isinstance(outcome, Rejected) and outcome.reason == "endpoint_gone":
        return "gone"
    if failing_since is None:
        return "fails"
    is_over = give_up_days > 0 and now - failing_since >= timedelta(days=give_up_days)
    return "given_up" if is_over else "none"


def disabled_reason(change: Change) -> str:
    """Give the word that the endpoint's row keeps."""
    return "http_410" if change == "gone" else "failing"


def _is_own_fault(outcome: Retry | Rejected) -> bool:
    return outcome.reason in _OWN_FAULTS
