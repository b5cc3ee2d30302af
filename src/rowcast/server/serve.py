"""The life of a server: everything starts in one task group, and ends in the order that loses nothing.

On SIGTERM or Ctrl-C: not ready any more; no new events and no new deliveries are taken; what is in flight may finish for a
bounded time; leases are given back; sockets are told why and closed.
"""

import asyncio
import signal
import socket
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack

from litestar import Router as Routes

from rowcast.core.errors import RowcastError
from rowcast.core.telemetry import tell
from rowcast.observe.health import Health
from rowcast.outbox.relay import DELIVERY_DUE
from rowcast.realtime.authorize import Authorizer
from rowcast.realtime.gateway import Gateway
from rowcast.server.app import App
from rowcast.server.http import create_application
from rowcast.server.web import HttpProtocols, listening

Duty = Callable[[], Awaitable[None]]
_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Server:
    """Runs an app until it is told to stop."""

    def __init__(
        self,
        app: App,
        *,
        health: Health,
        listener: socket.socket | None,
        authorizer: Authorizer | None,
        routes: Sequence[Routes],
    ) -> None:
        """Keep the parts; nothing starts before `run`."""
        self._app = app
        self._health = health
        self._listener = listener
        self._authorizer = authorizer
        self._routes = routes
        self._stopping = asyncio.Event()

    def stop(self) -> None:
        """Begin to end; a second call changes nothing."""
        self._stopping.set()

    async def run(self, *, duties: Sequence[Duty] = (), ready: Duty | None = None) -> None:
        """Serve until `stop` or a signal.

        Args:
            duties: Further work to do meanwhile, cancelled at the end.
            ready: Called once everything has started.
        """
        loop = asyncio.get_running_loop()
        for number in _SIGNALS:
            loop.add_signal_handler(number, self.stop)
        try:
            async with AsyncExitStack() as doors, asyncio.TaskGroup() as group:
                await self._open_doors(doors)
                tasks = self._start(group, duties)
                if ready is not None:
                    await ready()
                await self._stopping.wait()
                await self._end(tasks)
        finally:
            for number in _SIGNALS:
                loop.remove_signal_handler(number)

    async def _open_doors(self, doors: AsyncExitStack) -> None:
        """Listen for HTTP and sockets; the way out closes sockets first, with a reason, then HTTP."""
        hub = self._app.hub
        if hub is None or self._listener is None or self._authorizer is None:
            return
        http = HttpProtocols(create_application(self._routes))
        await http.open()
        doors.push_async_callback(http.close)
        await hub.open()
        doors.push_async_callback(hub.close, "Server is restarting")
        gateway = Gateway(hub=hub, authorizer=self._authorizer, http_protocol_factory=http)
        await doors.enter_async_context(listening(self._listener, gateway))
        host, port = self._listener.getsockname()[:2]
        tell("server.listening", host=host, port=port)

    def _start(self, group: asyncio.TaskGroup, duties: Sequence[Duty]) -> list[asyncio.Task[None]]:
        tasks = [group.create_task(_duty(duty), name=f"duty:{number}") for number, duty in enumerate(duties)]
        if self._app.relay is not None:
            tasks.append(group.create_task(self._app.relay.run(), name="relay"))
        if self._app.archive is not None:
            tasks.append(group.create_task(self._app.archive.run(), name="archive"))
        if self._app.runner is not None:
            unsubscribe = self._app.bus.subscribe(DELIVERY_DUE, lambda _: self._nudge())
            runner = group.create_task(self._app.runner.run(), name="runner")
            runner.add_done_callback(lambda _: unsubscribe())
        return tasks

    def _nudge(self) -> None:
        if self._app.runner is not None:
            self._app.runner.nudge()

    async def _end(self, tasks: list[asyncio.Task[None]]) -> None:
        """Stop the intake, then let deliveries in flight finish; the runner ends by itself."""
        grace_s = self._app.settings.server.shutdown_grace_s
        tell("server.stopping", grace_s=grace_s)
        self._health.stop()
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=grace_s)
        if self._app.runner is not None:
            await self._app.runner.stop(grace_s)


async def _duty(duty: Duty) -> None:
    """Run one duty; its fault is told and does not end the server."""
    try:
        await duty()
    except RowcastError as error:
        tell("server.duty_failed", code=error.code, error=str(error))
