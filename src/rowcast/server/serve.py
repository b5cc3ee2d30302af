"""The life of a server: everything starts in one task group, and ends in the order that loses nothing.

On SIGTERM or Ctrl-C: not ready any more; no new events and no new deliveries are taken; what is in flight may finish
for a bounded time; leases are given back; sockets are told why and closed.

A relay or a runner that ends by an error ends the server with that error: a process that does half of its work looks
healthy to whoever restarts processes.
"""

import asyncio
import gc
import signal
import socket
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, contextmanager
from typing import Any, Protocol

from litestar import Router as Routes

from rowcast.core.errors import RowcastError
from rowcast.core.telemetry import listening as hearing
from rowcast.core.telemetry import tell
from rowcast.observe.health import Health
from rowcast.outbox.relay import DELIVERY_DUE
from rowcast.realtime.authorize import Authorizer
from rowcast.realtime.gateway import Gateway
from rowcast.realtime.hub import Hub
from rowcast.server.app import App
from rowcast.server.http import create_application
from rowcast.server.local_only import LocalOnly, Welcome
from rowcast.server.visits import TenantPaths
from rowcast.server.vitals import Vitals
from rowcast.server.web import HttpProtocols, listening

Duty = Callable[[], Awaitable[None]]
_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_DUTY_PAUSE_S = 5.0
_COLLECT_EVERY = 10_000
"""So many more objects than were freed, and the collector looks at the young ones."""


class Runs(Protocol):
    """A part that works until it is cancelled or told to stop."""

    async def run(self) -> None:
        """Work."""
        ...


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
        is_welcome: Welcome | None = None,
    ) -> None:
        """Keep the parts; nothing starts before `run`. Without `is_welcome` every host and origin is served."""
        self._app = app
        self._health = health
        self._listener = listener
        self._authorizer = authorizer
        self._routes = routes
        self._is_welcome = is_welcome
        self._stopping = asyncio.Event()
        self._vitals = Vitals(health=health, clock=app.clock, is_bus_connected=app.is_bus_connected)

    def stop(self) -> None:
        """Begin to end; a second call changes nothing."""
        self._stopping.set()

    async def run(self, *, duties: Sequence[Duty] = (), ready: Duty | None = None) -> None:
        """Serve until `stop` or a signal.

        Args:
            duties: Further work to do meanwhile, cancelled at the end.
            ready: Called once everything has started.
        Raises:
            ExceptionGroup: With what ended the relay or the runner.
        """
        self._vitals.expect(has_relay=self._app.relay is not None, has_runner=self._app.runner is not None)
        with _signalled(self.stop), hearing(self._vitals.hear):
            async with AsyncExitStack() as doors, asyncio.TaskGroup() as group:
                await self._open_doors(doors)
                tasks = self._start(group, (*duties, self._vitals.run))
                if ready is not None:
                    await ready()
                with _frozen():
                    await self._stopping.wait()
                await self._end(tasks)

    async def _open_doors(self, doors: AsyncExitStack) -> None:
        """Listen for HTTP, and where this process is a gateway for sockets; the way out closes those first."""
        if self._listener is None:
            return
        application: Any = create_application(self._routes)
        if self._authorizer is not None and self._authorizer.tenancy.has_path:
            application = TenantPaths(application)
        http = HttpProtocols(LocalOnly(application, self._is_welcome) if self._is_welcome else application)
        await http.open()
        doors.push_async_callback(http.close)
        hub, authorizer = self._app.hub, self._authorizer
        door = http if hub is None or authorizer is None else await self._open_hub(doors, hub, authorizer, http)
        await doors.enter_async_context(listening(self._listener, door))
        host, port = self._listener.getsockname()[:2]
        tell("server.listening", host=host, port=port)

    async def _open_hub(self, doors: AsyncExitStack, hub: Hub, authorizer: Authorizer, http: HttpProtocols) -> Gateway:
        """Give the door for sockets and HTTP; the way out tells the sockets a reason."""
        if self._app.activity is not None:
            hub.activity = self._app.activity
            # Left first and written last: what the sockets do at the end is kept too.
            doors.push_async_callback(self._app.activity.close)
        await hub.open()
        doors.push_async_callback(hub.close, "Server is restarting")
        return Gateway(hub=hub, authorizer=authorizer, http_protocol_factory=http, is_welcome=self._is_welcome)

    def _start(self, group: asyncio.TaskGroup, duties: Sequence[Duty]) -> list[asyncio.Task[None]]:
        """Start what `_end` stops; the runner is not among the tasks, it ends by its own `stop`."""
        tasks = [group.create_task(_kept_up(duty), name=f"duty:{number}") for number, duty in enumerate(duties)]
        tasks += [group.create_task(part.run(), name=name) for name, part in self._parts().items() if part is not None]
        if self._app.runner is not None:
            unsubscribe = self._app.bus.subscribe(DELIVERY_DUE, self._nudge)
            runner = group.create_task(self._app.runner.run(), name="runner")
            runner.add_done_callback(lambda _: unsubscribe())
        return tasks

    def _parts(self) -> Mapping[str, Runs | None]:
        app = self._app
        return {
            "relay": app.relay,
            "activity": app.activity,
            "channel_log": app.channel_log,
            "archive": app.archive,
            "sweep": app.sweep,
            "recovery": app.recovery,
            "messages": app.messages,
            "message_partitions": app.message_partitions,
        }

    def _nudge(self, sink: bytes) -> None:
        if self._app.runner is not None:
            self._app.runner.nudge(sink.decode("utf-8", "replace"))

    async def _end(self, tasks: list[asyncio.Task[None]]) -> None:
        """Stop the intake, then let deliveries in flight finish; both within one time."""
        loop = asyncio.get_running_loop()
        grace_s = self._app.settings.server.shutdown_grace_s
        end_at = loop.time() + grace_s
        tell("server.stopping", grace_s=grace_s)
        self._health.stop()
        for task in tasks:
            if task.get_name() != "relay":
                task.cancel()
        if self._app.relay is not None:
            # The batch that is out is settled, so that nobody is told of it twice.
            self._app.relay.stop()
        if self._app.runner is not None:
            await self._app.runner.stop(grace_s)
        await asyncio.wait(tasks, timeout=max(0.0, end_at - loop.time()))
        for task in tasks:
            task.cancel()


@contextmanager
def _signalled(stop: Callable[[], None]) -> Iterator[None]:
    """Call `stop` on SIGINT and SIGTERM for the time of a block."""
    loop = asyncio.get_running_loop()
    for number in _SIGNALS:
        loop.add_signal_handler(number, stop)
    try:
        yield
    finally:
        for number in _SIGNALS:
            loop.remove_signal_handler(number)


@contextmanager
def _frozen() -> Iterator[None]:
    """Keep what was made at the start out of the collector's rounds: it stays as long as the server.

    Nearly everything else is freed without a collector, and soon: seldom rounds find less that is still in use. A
    process that has frozen what it holds sees to its collector itself.
    """
    if gc.get_freeze_count():
        yield
        return
    before = gc.get_threshold()
    gc.collect()
    gc.freeze()
    gc.set_threshold(_COLLECT_EVERY, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()


async def _kept_up(duty: Duty) -> None:
    """Run one duty; its fault is told, and a little later it begins again."""
    while True:
        try:
            await duty()
        except RowcastError as error:
            tell("server.duty_failed", code=error.code, error=str(error))
            await asyncio.sleep(_DUTY_PAUSE_S)
        else:
            return
