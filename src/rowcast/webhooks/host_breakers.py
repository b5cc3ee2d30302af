"""Hosts and ports that nobody reaches: all endpoints there, of whatever tenant, wait while one attempt finds out."""

from collections.abc import Callable

from rowcast.core.clock import Clock
from rowcast.delivery.breaker import CLOSED, Breaker, BreakerPolicy, after_failure, ask, probe_given_up
from rowcast.egress.reply import Answer, EgressFailure

POLICY = BreakerPolicy(failures=20, open_s=10.0, cap_s=120.0)
_HOSTS_LIMIT = 4096


class HostBreakers:
    """Breakers by host. A connection says that the host is there, whatever came of it then: it closes the breaker.

    So one tenant's URL that hangs or fails never delays another tenant's at the same host.
    """

    __slots__ = ("_breakers", "_clock", "_noise", "_policy")

    def __init__(self, *, clock: Clock, noise: Callable[[], float], policy: BreakerPolicy = POLICY) -> None:
        """Begin with every breaker closed; `noise` gives random numbers from 0 to 1."""
        self._clock = clock
        self._noise = noise
        self._policy = policy
        self._breakers: dict[str, Breaker] = {}

    def wait_s(self, host: str) -> float | None:
        """Give how long an attempt must wait; None when it may be made, and is reported by `learn` or `give_up`."""
        breaker = self._breakers.get(host)
        if breaker is None:
            return None
        permit = ask(breaker, self._policy, now_s=self._clock.monotonic_s())
        self._remember(host, permit.breaker)
        if permit.may_run:
            return None
        # Spread, so that those who waited do not all come back in one moment.
        return max(1.0, permit.wait_s) * (1.0 + self._noise())

    def learn(self, host: str, answer: Answer) -> None:
        """Let the breaker hear what an attempt came to."""
        if not isinstance(answer, EgressFailure) or answer.is_connected:
            self._breakers.pop(host, None)
        elif is_unreached(answer):
            before = self._breakers.get(host, CLOSED)
            now_s = self._clock.monotonic_s()
            self._remember(host, after_failure(before, self._policy, now_s=now_s, noise=self._noise()))
        else:
            self.give_up(host)

    def give_up(self, host: str) -> None:
        """Say that an attempt that was let through says nothing about the host."""
        breaker = self._breakers.get(host)
        if breaker is not None:
            self._remember(host, probe_given_up(breaker))

    def _remember(self, host: str, breaker: Breaker) -> None:
        if breaker == CLOSED:
            self._breakers.pop(host, None)
            return
        self._breakers[host] = breaker
        if len(self._breakers) > _HOSTS_LIMIT:
            del self._breakers[next(iter(self._breakers))]


def is_unreached(failure: EgressFailure) -> bool:
    """Tell whether a failure says that nobody is there at all: no address, no connection."""
    return failure.kind in ("dns", "refused") or (failure.kind == "timeout" and not failure.is_connected)
