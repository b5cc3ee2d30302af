"""What follows an attempt beyond its result: the endpoint is slowed, healed or disabled, and somebody hears."""

import asyncio
from datetime import datetime

from rowcast.core.clock import Clock
from rowcast.core.delivery import Delivery
from rowcast.core.errors import RowcastError
from rowcast.core.outcome import Delivered, Outcome, Postponed, Rejected, Retry
from rowcast.core.retry import RetryPolicy
from rowcast.core.telemetry import tell
from rowcast.delivery.attempt import is_last
from rowcast.egress.reply import Answer
from rowcast.webhooks.classify import retry_after_s
from rowcast.webhooks.endpoint import SigningEndpoint
from rowcast.webhooks.endpoint_health import Change, EndpointHealth, disabled_reason, judge
from rowcast.webhooks.endpoint_limits import EndpointLimits
from rowcast.webhooks.ids import attempt_id, message_id
from rowcast.webhooks.operational import (
    ATTEMPT_EXHAUSTED,
    ATTEMPT_FAILING,
    ATTEMPT_RECOVERED,
    ENDPOINT_DISABLED,
    OperationalEvents,
)

GIVE_UP_DAYS = 5.0
_BOUND_S = 2.0
FAILING_ATTEMPT = 4
"""The attempt whose failure is told as `message.attempt.failing`; a success after it as `message.attempt.recovered`."""


class Aftermath:
    """Writes and tells. A database that is away or slow holds nothing up: the attempt was made."""

    __slots__ = ("_clock", "_give_up_days", "_health", "_limits", "_operational")

    def __init__(
        self,
        *,
        clock: Clock,
        health: EndpointHealth,
        limits: EndpointLimits,
        operational: OperationalEvents,
        give_up_days: float = GIVE_UP_DAYS,
    ) -> None:
        """Ask for what it needs."""
        self._clock = clock
        self._health = health
        self._limits = limits
        self._operational = operational
        self._give_up_days = give_up_days

    def slow_down(self, delivery: Delivery, answer: Answer) -> None:
        """Let the endpoint's limits hear what it answered."""
        asked_s = retry_after_s(answer.headers.get("retry-after"), now=self._clock.now())
        self._limits.learn((delivery.tenant_id, delivery.target), answer, asked_s=asked_s)

    async def follow(
        self, delivery: Delivery, endpoint: SigningEndpoint, outcome: Outcome, policy: RetryPolicy
    ) -> None:
        """Do what an attempt's outcome asks for, once it is known; of most successes, nothing."""
        since, now = endpoint.failing_since, self._clock.now()
        change = judge(outcome, failing_since=since, now=now, give_up_days=self._give_up_days)
        event_type = operational_type(delivery, outcome, policy)
        if change == "none" and not event_type:
            return
        try:
            async with asyncio.timeout(_BOUND_S):
                if await self._health.change(delivery.tenant_id, endpoint, change):
                    await self._tell_disabled(delivery, change, since)
                if event_type:
                    await self._tell_attempt(event_type, delivery, outcome, now)
        except TimeoutError:
            tell("webhook.aftermath_lost", code="timeout")
        except RowcastError as error:
            tell("webhook.aftermath_lost", code=error.code)

    async def _tell_disabled(self, delivery: Delivery, change: Change, since: datetime | None) -> None:
        await self._operational.emit(
            ENDPOINT_DISABLED,
            tenant_id=delivery.tenant_id,
            endpoint_id=delivery.target,
            facts={"failSince": since, "trigger": "automatic", "reason": disabled_reason(change)},
        )

    async def _tell_attempt(self, event_type: str, delivery: Delivery, outcome: Outcome, now: datetime) -> None:
        code = outcome.code if not isinstance(outcome, Postponed) else ""
        last = {
            "id": attempt_id(delivery.id, delivery.fence),
            "timestamp": now,
            "responseStatusCode": int(code) if code.isdigit() else 0,
        }
        facts = {"msgId": message_id(delivery.event_id), "lastAttempt": last} if delivery.event_id else {}
        await self._operational.emit(
            event_type,
            tenant_id=delivery.tenant_id,
            endpoint_id=delivery.target,
            facts={**facts, "attempt": delivery.attempt},
        )


def operational_type(delivery: Delivery, outcome: Outcome, policy: RetryPolicy) -> str:
    """Give the type of the operational event that an attempt makes, or an empty text."""
    if isinstance(outcome, Delivered):
        return ATTEMPT_RECOVERED if delivery.attempt > FAILING_ATTEMPT else ""
    if isinstance(outcome, Rejected):
        return "" if outcome.is_cancelled else ATTEMPT_EXHAUSTED
    if not isinstance(outcome, Retry):
        return ""
    if is_last(delivery, policy):
        return ATTEMPT_EXHAUSTED
    return ATTEMPT_FAILING if delivery.attempt == FAILING_ATTEMPT else ""
