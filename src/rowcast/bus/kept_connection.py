"""A connection that is made again whenever it ends: what every bus needs, whatever it carries."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from rowcast.core.errors import ConfigError
from rowcast.core.retry import RetryPolicy, backoff_s, jittered_s
from rowcast.core.telemetry import tell

C = TypeVar("C")


class KeptConnection(Generic[C]):
    """Connects, uses the connection until it is lost, lets go of it, waits a little and begins anew, until closed."""

    def __init__(
        self,
        *,
        connect: Callable[[], Awaitable[C | None]],
        use: Callable[[C], Awaitable[None]],
        let_go: Callable[[C | None], Awaitable[None]],
        retry: RetryPolicy,
        noise: Callable[[], float],
    ) -> None:
        """Take what makes a connection, what is done with it and how it ends; none of them may raise but `connect`.

        Args:
            connect: Gives a connection, or None when there is none now; ConfigError means that waiting would not help.
            use: Returns when the connection is lost.
            let_go: Called after each `use`, and at the end with what there is.
            retry: How long to wait between attempts.
            noise: Gives random numbers from 0 to 1, so that nodes do not come back all at once.
        """
        self.current: C | None = None
        self._connect = connect
        self._use = use
        self._let_go = let_go
        self._retry = retry
        self._noise = noise
        self._task: asyncio.Task[None] | None = None

    @property
    def is_open(self) -> bool:
        """Tell whether a connection is wanted."""
        return self._task is not None

    async def open(self, name: str) -> None:
        """Connect once and keep connected in a task called `name`; a first attempt in vain is no error.

        Raises:
            ConfigError: Waiting would not help.
        """
        self.current = await self._connect()
        self._group = asyncio.TaskGroup()
        await self._group.__aenter__()
        self._task = self._group.create_task(self._keep(), name=name)

    async def close(self) -> None:
        """Let go; may be called again, and before `open`."""
        task, self._task = self._task, None
        if task is None:
            return
        task.cancel()
        await self._group.__aexit__(None, None, None)
        # The task may have been cancelled before it had begun, so it is not the one to let go.
        await self._drop()

    async def _keep(self) -> None:
        attempt = 0
        while True:
            if self.current is not None:
                attempt = 0
                await self._use(self.current)
                await self._drop()
            attempt += 1
            await asyncio.sleep(jittered_s(backoff_s(attempt, self._retry), self._retry, self._noise()))
            try:
                self.current = await self._connect()
            except ConfigError as error:
                tell("bus.refused", code=error.code)

    async def _drop(self) -> None:
        current, self.current = self.current, None
        await self._let_go(current)
