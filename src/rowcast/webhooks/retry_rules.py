"""The waits of a message: the endpoint's own, else those of the first rule that fits, else the default. Pure."""

from collections.abc import Sequence

import msgspec

from rowcast.core.errors import InvalidInputError
from rowcast.core.event_pattern import checked_event_pattern, fits_any
from rowcast.core.retry import RetryPolicy, scheduled

STANDARD_WAITS_S = (5.0, 300.0, 1800.0, 7200.0, 18_000.0, 36_000.0, 50_400.0, 72_000.0, 86_400.0)
"""Source: the Standard Webhooks specification: after 5 s, 5 min, 30 min, 2 h, 5 h, 10 h, 14 h, 20 h, 24 h."""
WAITS_LIMIT = 30
WAIT_LIMIT_S = 7 * 86_400.0


class RetryRule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Waits for some tenants or types of events; one that names neither fits all. `tenants` are ids."""

    waits_s: tuple[float, ...]
    tenants: tuple[str, ...] = ()
    event_types: tuple[str, ...] = ()

    def fits(self, tenant_id: str, event_type: str) -> bool:
        """Tell whether the rule is meant for such a message."""
        is_tenant = not self.tenants or tenant_id in self.tenants
        return is_tenant and (not self.event_types or fits_any(event_type, self.event_types))


class RetryRules:
    """Rules in the order in which they are asked."""

    __slots__ = ("_default", "_rules")

    def __init__(self, *, waits_s: Sequence[float] = STANDARD_WAITS_S, rules: Sequence[RetryRule] = ()) -> None:
        """Check them all.

        Raises:
            InvalidInputError: `input.retry_schedule` or `input.event_pattern`.
        """
        self._default = scheduled(checked_waits(waits_s))
        for rule in rules:
            for pattern in rule.event_types:
                checked_event_pattern(pattern)
        self._rules = [(rule, scheduled(checked_waits(rule.waits_s))) for rule in rules]

    @property
    def default(self) -> RetryPolicy:
        """Give the policy where nothing else is said."""
        return self._default

    def policy(self, tenant_id: str, event_type: str, *, own_waits_s: Sequence[float] | None = None) -> RetryPolicy:
        """Give the policy of a message to an endpoint.

        Args:
            tenant_id: Whose message it is.
            event_type: Its type.
            own_waits_s: Those of the endpoint; None where it has none.
        """
        if own_waits_s is not None:
            return scheduled(own_waits_s)
        found = (policy for rule, policy in self._rules if rule.fits(tenant_id, event_type))
        return next(found, self._default)


def checked_waits(waits_s: Sequence[float]) -> tuple[float, ...]:
    """Give a schedule back if it can be kept to. An empty one means a single attempt.

    Raises:
        InvalidInputError: `input.retry_schedule`: more than 30 waits, or one that is negative or longer than a week.
    """
    if len(waits_s) > WAITS_LIMIT or not all(0 <= wait_s <= WAIT_LIMIT_S for wait_s in waits_s):
        raise InvalidInputError(
            f"A retry schedule is at most {WAITS_LIMIT} waits of 0 to {WAIT_LIMIT_S:.0f} seconds.",
            code="input.retry_schedule",
        )
    return tuple(float(wait_s) for wait_s in waits_s)
