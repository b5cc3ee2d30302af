"""Workers: several gateway processes behind one port, started, watched and ended by their server.

Each has a pair of sockets to its server, so a worker whose server is gone knows it at once and ends: no orphans.
"""

import asyncio
import socket
import sys
from collections.abc import Callable
from contextlib import ExitStack
from typing import NamedTuple

import msgspec
from pydantic import SecretStr

from rowcast.core.clock import Clock
from rowcast.core.retry import RetryPolicy, backoff_s, jittered_s
from rowcast.core.telemetry import tell
from rowcast.observe.health import Health
from rowcast.observe.metrics import Metrics
from rowcast.server.settings import Settings
from rowcast.server.worker_exchange import Attached, WorkerExchange
from rowcast.server.worker_frames import Begin, Frame, Ready, Report
from rowcast.server.worker_report import REPORT_EVERY_S, own_report, sum_reports

WORKERS = "workers"
_RESTART = RetryPolicy(base_s=0.2, cap_s=10.0, jitter=0.3)
_STEADY_S = 30.0
# A worker reports twice a second, and has this long for its start.
_SILENCE_S, _START_S = 10.0, 90.0
_LAST_WORDS_S = 5.0


class Vital(NamedTuple):
    """How the server itself is."""

    health: Health
    metrics: Metrics


class Workers:
    """Keeps a number of workers running."""

    def __init__(
        self,
        *,
        settings: Settings,
        port: int,
        exchange: WorkerExchange,
        vitals: Vital,
        clock: Clock,
        noise: Callable[[], float],
    ) -> None:
        """Keep the parts; nothing starts before `run`."""
        self._settings = settings
        self._document = settings_document(settings)
        self._port = port
        self._exchange = exchange
        self._health, self._metrics = vitals
        self._clock = clock
        self._noise = noise
        self._reports: dict[int, Report] = {}
        self._attached: dict[int, Attached] = {}
        self._processes: dict[int, asyncio.subprocess.Process] = {}
        self._heard_by_s: dict[int, float] = {}
        self._ready: dict[int, Attached] = {}

    async def run(self) -> None:
        """Start all and keep them up until cancelled; then end them within the time that a stop may take."""
        await self._exchange.open()
        self._show()
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._report(), name="workers:report")
                for number in range(self._settings.server.workers):
                    group.create_task(self._keep_up(number), name=f"worker:{number}")
        finally:
            await self._exchange.close()

    async def _keep_up(self, number: int) -> None:
        attempt = 0
        while True:
            begun_s = self._clock.monotonic_s()
            code = await self._run_once(number)
            lived_s = self._clock.monotonic_s() - begun_s
            attempt = 1 if lived_s > _STEADY_S else attempt + 1
            tell("worker.ended", worker=number, code=code, lived_s=lived_s)
            await asyncio.sleep(jittered_s(backoff_s(attempt, _RESTART), _RESTART, self._noise()))

    async def _run_once(self, number: int) -> int:
        with ExitStack() as ends:
            pairs = [socket.socketpair() for _ in range(2)]
            theirs = [ends.enter_context(there) for _, there in pairs]
            words = [sys.executable, "-m", "rowcast.server.worker", *(str(end.fileno()) for end in theirs)]
            process = await asyncio.create_subprocess_exec(
                *words, pass_fds=[end.fileno() for end in theirs], start_new_session=True
            )
        try:
            worker = await self._exchange.attach(pairs[0][0], pairs[1][0], on_frame=lambda it: self._take(number, it))
            worker.send(Begin(number, self._document, self._port))
            self._attached[number], self._processes[number] = worker, process
            self._heard_by_s[number] = self._clock.monotonic_s() + _START_S
            return await process.wait()
        finally:
            self._forget(number)
            await self._end(process)

    def _take(self, number: int, frame: Frame) -> None:
        match frame:
            case Ready():
                tell("worker.ready", worker=number)
                self._ready[number] = self._attached[number]
                self._show()
            case Report():
                self._reports[number] = frame
                self._heard_by_s[number] = self._clock.monotonic_s() + _SILENCE_S

    def _forget(self, number: int) -> None:
        self._ready.pop(number, None)
        for known in (self._reports, self._attached, self._processes, self._heard_by_s):
            known.pop(number, None)
        self._show()

    async def _end(self, process: asyncio.subprocess.Process) -> None:
        """Ask it to end, and make it end where it does not."""
        if process.returncode is not None:
            return
        try:
            process.terminate()
            async with asyncio.timeout(self._settings.server.shutdown_grace_s + _LAST_WORDS_S):
                await process.wait()
        except ProcessLookupError:
            return
        except TimeoutError:
            tell("worker.killed", pid=process.pid)
        finally:
            if process.returncode is None:
                process.kill()

    def _show(self) -> None:
        wanted, here = self._settings.server.workers, len(self._ready)
        if here == wanted:
            self._health.report(WORKERS, "ok")
        else:
            self._health.report(WORKERS, "degraded" if here else "down", f"{here} of {wanted} are up")

    async def _report(self) -> None:
        """Tell every worker, again and again, how all are together: whichever is asked can answer."""
        while True:
            total = sum_reports([own_report(self._health, self._metrics), *self._reports.values()])
            for worker in tuple(self._ready.values()):
                worker.send(total)
            self._end_silent()
            await asyncio.sleep(REPORT_EVERY_S)

    def _end_silent(self) -> None:
        """Kill who says nothing: it holds connections that nobody serves, and another is started in its place."""
        for number, heard_by_s in tuple(self._heard_by_s.items()):
            if self._clock.monotonic_s() > heard_by_s:
                del self._heard_by_s[number]
                tell("worker.hung", worker=number)
                self._processes[number].kill()


def with_roles(settings: Settings, roles: tuple[str, ...]) -> Settings:
    """Give the settings of a process that has these roles only; it may have none."""
    return settings.model_copy(update={"server": settings.server.model_copy(update={"roles": roles})})


def settings_document(settings: Settings) -> bytes:
    """Give settings as JSON, secrets in clear text: for a worker's own wire and nothing else."""
    return msgspec.json.encode(settings.model_dump(), enc_hook=_revealed)


def read_settings(document: bytes) -> Settings:
    """Give the settings of a document."""
    return Settings.model_validate_json(document)


def _revealed(value: object) -> object:
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    return str(value)
