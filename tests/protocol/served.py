"""A real `rowcast serve` on a port of its own, that can be killed and comes back on it."""

import os
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.integration.server.processes import Process

_PROCESSES = 64


class Served:
    """A server that can be killed and comes back on its port."""

    def __init__(self, dsn: str, folder: Path, **settings: str) -> None:
        """Start it. `settings` are environment names."""
        self.dsn = dsn
        self.port = _free_port()
        self._folder = folder
        self._settings = settings
        self.process = self._start()

    def kill(self) -> None:
        """End it with SIGKILL, and start it anew."""
        self.process.signal(signal.SIGKILL)
        self.process.kill()
        self.process = self._start()

    def resident_kb(self) -> int:
        """Give how much memory it holds."""
        lines = Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS"))

    def _start(self) -> Process:
        words = ("serve", "--database", self.dsn, "--port", str(self.port), "--feed", "claim")
        process = Process(words, self._folder, self._settings)
        try:
            process.until("server.listening")
        except AssertionError:
            process.kill()
            raise
        return process


@contextmanager
def serving(dsn: str, folder: Path, **settings: str) -> Iterator[Served]:
    """Serve for the time of a block."""
    served = Served(dsn, folder, **settings)
    try:
        yield served
    finally:
        served.process.kill()


def _free_port() -> int:
    # Below the ports that the system gives to clients: a crowd that comes back must not sit on the server's own.
    # Each process of a test run has ports of its own: another one must not find the same port free at the same time.
    process = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    for port in range(20_000 + process % _PROCESSES, 30_000, _PROCESSES):
        with socket.socket() as found:
            try:
                found.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise AssertionError("no port below 30,000 is free")
