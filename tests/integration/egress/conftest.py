"""An egress client that may reach the receivers of this machine."""

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager

import pytest

from rowcast.core.clock import SystemClock
from rowcast.egress.client import EgressClient, open_client
from rowcast.egress.guard import Policy
from rowcast.egress.reply import EgressSettings
from rowcast.egress.resolver import Resolver

Open = Callable[..., AbstractAsyncContextManager[EgressClient]]


@pytest.fixture
def open_to() -> Open:
    """`open_to(("127.0.0.1", port), ...)` opens a client that may reach exactly these; `names` maps names to addresses."""

    def make(
        *allowed: tuple[str, int],
        names: dict[str, Sequence[str]] | None = None,
        ports: frozenset[int] = Policy().ports,
        **settings: object,
    ) -> AbstractAsyncContextManager[EgressClient]:
        def lookup(host: str) -> Sequence[str]:
            if names is None or host not in names:
                raise OSError("no such name")
            return names[host]

        clock = SystemClock()
        return open_client(
            clock=clock,
            settings=EgressSettings(**{"timeout_s": 5.0, **settings}),  # type: ignore[arg-type]
            policy=Policy(allowed=frozenset(allowed), ports=ports),
            resolver=Resolver(clock=clock, lookup=lookup),
        )

    return make
