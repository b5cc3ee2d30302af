"""One worker: a gateway that shares its server's port, and hears the bus through its server."""

import asyncio
import socket
import sys
from contextlib import ExitStack

import msgspec
import uvloop

from rowcast.core.clock import SystemClock
from rowcast.core.telemetry import tell
from rowcast.server.app import open_app
from rowcast.server.failure import crash_text, refusal_in
from rowcast.server.output import ExitCode, exit_code, print_refusal
from rowcast.server.parts import api_routes, told, user_routes
from rowcast.server.plugins import load_packs
from rowcast.server.ports import bind
from rowcast.server.production import required_tokens, required_url
from rowcast.server.serve import Server
from rowcast.server.settings import Settings
from rowcast.server.worker_bus import WorkerBus
from rowcast.server.worker_frames import Begin, Frame, Ready, Report
from rowcast.server.worker_report import REPORT_EVERY_S, SummedHealth, SummedMetrics
from rowcast.server.workers import read_settings

_BEGIN_S = 30.0


class Worker:
    """A worker from its first frame to its end."""

    def __init__(self, messages: socket.socket, interests: socket.socket) -> None:
        """Take the two wires to the server."""
        self._bus = WorkerBus(lambda: (messages, interests), on_frame=self._take, on_lost=self._lose)
        self._health = SummedHealth(clock=SystemClock())
        self._metrics = SummedMetrics()
        self._is_lost = asyncio.Event()
        self._begin: asyncio.Future[Begin] = asyncio.get_running_loop().create_future()

    async def run(self) -> None:
        """Serve until the server says so or is gone.

        Raises:
            TimeoutError: The server said nothing.
            EOFError: The server is gone before it said how to begin.
        """
        await self._bus.open()
        async with asyncio.timeout(_BEGIN_S):
            begin = await self._begin
        settings = read_settings(begin.settings)
        with ExitStack() as stack:
            stack.enter_context(told(settings, self._metrics))
            listener = bind(settings.server.host, begin.port, is_next_allowed=False, is_shared=True)
            stack.enter_context(listener)
            await self._serve(settings, listener)

    async def _serve(self, settings: Settings, listener: socket.socket) -> None:
        url, packs = required_url(settings), load_packs(settings.packs)
        async with (
            required_tokens(settings, health=self._health) as tokens,
            open_app(settings, database_url=url, packs=packs, bus=self._bus) as app,
        ):
            if app.hub is not None:
                app.hub.on_topic = self._bus.want
            own = api_routes(app, health=self._health, metrics=self._metrics)
            routes = (*own, *user_routes(app, authorizer=tokens.authorizer))
            server = Server(app, health=self._health, listener=listener, authorizer=tokens.authorizer, routes=routes)

            async def end_with_the_server() -> None:
                await self._is_lost.wait()
                server.stop()

            duties = [self._report, end_with_the_server, *tokens.duties]
            await server.run(duties=duties, ready=self._say_ready)

    async def _say_ready(self) -> None:
        self._bus.send(Ready())

    async def _report(self) -> None:
        while True:
            readiness = msgspec.json.encode(self._health.own_readiness())
            self._bus.send(Report(readiness, self._metrics.own_exposition()))
            await asyncio.sleep(REPORT_EVERY_S)

    def _lose(self) -> None:
        self._is_lost.set()
        if not self._begin.done():
            self._begin.set_exception(EOFError())

    def _take(self, frame: Frame) -> None:
        match frame:
            case Begin():
                if not self._begin.done():
                    self._begin.set_result(frame)
            case Report():
                self._health.take(frame)
                self._metrics.take(frame)


async def _run(descriptors: list[int]) -> None:
    messages, interests = (socket.socket(fileno=number) for number in descriptors)
    try:
        await Worker(messages, interests).run()
    except (TimeoutError, EOFError):
        tell("worker.abandoned")


def main() -> None:
    """Run a worker on the two descriptors that its server has passed; its exit code says how it ended."""
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_run([int(word) for word in sys.argv[1:3]]))
    except Exception as error:  # noqa: BLE001 - the end of the road: told once, and the server starts another
        refusal = refusal_in(error)
        if refusal is None:
            sys.stderr.write(crash_text(error) + "\n")
            sys.exit(ExitCode.CRASHED)
        print_refusal(refusal.code, str(refusal), is_json=False)
        sys.exit(exit_code(refusal))


if __name__ == "__main__":
    main()
