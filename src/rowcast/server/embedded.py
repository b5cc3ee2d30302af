"""A real PostgreSQL beside us, for development, tests and small installations: no container, no system package.

Three things see to it that the server never outlives us: leaving the block stops it; a guard process stops it when we
die without leaving the block; and the next start stops whatever the guard did not.
"""

import asyncio
import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal, Self
from urllib.parse import quote

from rowcast.core.errors import ConfigError, StoreUnavailableError
from rowcast.core.telemetry import tell
from rowcast.server.embedded_folder import DataFolder, lock_folder, make_socket_folder, prepare_folder
from rowcast.server.embedded_guard import make_pipe, start_guard
from rowcast.server.embedded_orphan import find_orphan, is_running, send_signal
from rowcast.server.embedded_programs import find_programs
from rowcast.store.pool import connect

StopMode = Literal["fast", "immediate"]

_RETRY_S = 5.0
# Recovery after a crash reads up to max_wal_size of WAL again.
_START_PATIENCE_S = 120.0
_POLL_S = 0.01
# PostgreSQL's own words for its signals: fast, immediate; then the kernel's.
_FAST = ((signal.SIGINT, 10.0), (signal.SIGQUIT, 5.0), (signal.SIGKILL, 5.0))
_IMMEDIATE = _FAST[1:]
_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "wal_level": "logical",
    "max_wal_senders": "20",
    "max_replication_slots": "20",
    # A consumer that never comes back must not fill the disk.
    "max_slot_wal_keep_size": "2GB",
    "max_connections": "200",
    "timezone": "UTC",
    "log_timezone": "UTC",
}


class EmbeddedPostgres:
    """One PostgreSQL server on one folder: `async with EmbeddedPostgres(folder) as server: server.dsn`.

    Data stay in the folder between starts. Only one process may use a folder at a time.
    """

    def __init__(
        self,
        folder: Path,
        *,
        port: int = 0,
        bin_folder: Path | None = None,
        settings: Mapping[str, str] | None = None,
        is_temporary: bool = False,
    ) -> None:
        """Say where and how; nothing is started yet.

        Args:
            folder: Made where it is missing.
            port: TCP port on 127.0.0.1; 0 takes a free one, a taken one gives way to the next free one.
            bin_folder: Programs of another PostgreSQL than the one in the wheel.
            settings: Further settings of postgresql.conf.
            is_temporary: Remove the folder when the server is not needed any more.
        """
        self._folder = DataFolder(folder.absolute())
        self._programs = find_programs(bin_folder)
        self._settings = {**_SETTINGS, **(settings or {})}
        self._is_temporary = is_temporary
        self._asked_port = port
        self._lock: int | None = None
        self._pipe: int | None = None
        self._socket_folder: Path | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._guard: subprocess.Popen[bytes] | None = None
        self.port = 0

    @property
    def dsn(self) -> str:
        """Give the URL over TCP, with the password."""
        return f"postgresql://postgres:{self._folder.password}@127.0.0.1:{self.port}/postgres"

    @property
    def socket_dsn(self) -> str:
        """Give the URL over the unix socket, with the password; a little faster."""
        return self._socket_dsn(self.port)

    def _socket_dsn(self, port: int) -> str:
        host = quote(str(self._socket_folder), safe="")
        return f"postgresql://postgres:{self._folder.password}@/postgres?host={host}&port={port}"

    @property
    def pid(self) -> int | None:
        """Give the process id of the running server, or None."""
        return self._process.pid if self._process is not None and self._process.poll() is None else None

    async def __aenter__(self) -> Self:
        """Take the folder, make the cluster where there is none, and start.

        Raises:
            ConfigError: `config.data_locked`, `config.data_folder`, `config.data_password`, `config.data_version`,
                `config.embedded`.
        """
        self._lock = lock_folder(self._folder.path)
        try:
            self._programs = await asyncio.to_thread(prepare_folder, self._folder, self._programs)
            self._socket_folder = make_socket_folder(self._folder, self._programs.account)
            self._pipe = make_pipe(self._folder.path)
            await self.start()
        except BaseException:
            await self._leave()
            raise
        return self

    async def __aexit__(self, *error: object) -> None:
        """Stop the server and give the folder back."""
        await self._leave()

    async def start(self) -> None:
        """Start the server and wait until it answers; a start that fails is tried again for 5 seconds.

        Raises:
            ConfigError: `config.embedded`, with the end of the server's log.
        """
        if self.pid is not None:
            return
        # The server may have died by itself; its guard goes before another one comes.
        await self.stop()
        await self._stop_orphan()
        give_up_at = asyncio.get_running_loop().time() + _RETRY_S
        while not await self._try_start(self.port or find_free_port(self._asked_port)):
            if asyncio.get_running_loop().time() > give_up_at:
                raise ConfigError(f"The embedded database does not start: {self._log_end()}", code="config.embedded")
            await asyncio.sleep(10 * _POLL_S)
        if self._asked_port not in (0, self.port):
            tell("embedded.port_taken", asked=self._asked_port, port=self.port)
        tell("embedded.started", port=self.port, pid=self.pid)

    async def stop(self, mode: StopMode = "fast") -> None:
        """Stop the server and keep the folder: `fast` ends sessions and writes a checkpoint, `immediate` is a crash."""
        process, guard = self._process, self._guard
        if process is not None:
            steps = _FAST if mode == "fast" else _IMMEDIATE
            await _end(lambda: process.poll() is None, process.send_signal, steps)
            tell("embedded.stopped", mode=mode)
        if guard is not None:
            guard.kill()
            guard.wait()
        self._process = self._guard = None

    def hand_over(self) -> None:
        """Let go of a running server without stopping it: it ends with the last holder of its pipe (`hold_pipe`)."""
        for process in (self._process, self._guard):
            if process is not None:
                # Not ours to wait for any more; without this the interpreter warns of a child left running.
                process.returncode = 0
        self._process = self._guard = self._socket_folder = None
        self._is_temporary = False
        self._close()

    async def _try_start(self, port: int) -> bool:
        """Start once; False where the server gave up."""
        with self._folder.log.open("ab") as log:
            process = self._process = self._programs.spawn(self._command(port), stdout=log)
        self._guard = start_guard(
            self._folder.path,
            process.pid,
            pid_file=self._folder.data / "postmaster.pid",
            remove=self._folder.path if self._is_temporary else None,
        )
        give_up_at = asyncio.get_running_loop().time() + _START_PATIENCE_S
        while process.poll() is None and asyncio.get_running_loop().time() < give_up_at:
            if await self._answers(port):
                self.port = port
                return True
            await asyncio.sleep(_POLL_S)
        await self.stop()
        return False

    async def _answers(self, port: int) -> bool:
        """Ask over the socket, which is ours alone; on the port somebody else may answer."""
        try:
            connection = await connect(self._socket_dsn(port), timeout_s=2.0)
        except StoreUnavailableError:
            return False
        await connection.driver.close(timeout=2.0)
        return True

    def _command(self, port: int) -> list[str | Path]:
        settings = {**self._settings, "unix_socket_directories": str(self._socket_folder), "port": str(port)}
        words = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        return [self._programs.path("postgres"), "-D", self._folder.data, *words]

    async def _stop_orphan(self) -> None:
        data = self._folder.data
        pid = find_orphan(data)
        if pid is not None:
            tell("embedded.orphan_found", pid=pid)
            await _end(lambda: is_running(pid, data), lambda number: send_signal(pid, number), _FAST)

    def _log_end(self) -> str:
        text = self._folder.log.read_text(errors="replace") if self._folder.log.exists() else ""
        return " ".join(text.splitlines()[-5:])

    async def _leave(self) -> None:
        """Undo `__aenter__` as far as it came."""
        await self.stop()
        self._close()
        for folder in (self._socket_folder, self._folder.path if self._is_temporary else None):
            if folder is not None:
                shutil.rmtree(folder, ignore_errors=True)

    def _close(self) -> None:
        for descriptor in (self._pipe, self._lock):
            if descriptor is not None:
                os.close(descriptor)
        self._pipe = self._lock = None


async def _end(
    is_alive: Callable[[], bool],
    send: Callable[[signal.Signals], None],
    steps: tuple[tuple[signal.Signals, float], ...],
) -> None:
    """Signal a process, more firmly each time its patience has run out, until it is gone."""
    loop = asyncio.get_running_loop()
    for number, patience_s in steps:
        give_up_at = loop.time() + patience_s
        if is_alive():
            send(number)
        while is_alive() and loop.time() < give_up_at:  # noqa: ASYNC110 - nobody tells us of another's child
            await asyncio.sleep(_POLL_S)


def find_free_port(asked: int) -> int:
    """Give `asked` where it is free on 127.0.0.1, else the next free port above it; 0 asks for any.

    Raises:
        ConfigError: `config.port_in_use`, where a hundred ports in a row are taken.
    """
    for port in range(asked, min(asked + 100, 65_536)):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise ConfigError(f"The ports from {asked} on are all taken. Choose another one.", code="config.port_in_use")
