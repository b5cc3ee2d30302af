"""A real nats-server of the tests' own: started on a free port, killed, started again on the same one."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path


class NatsServer:
    """One server; `kill` and `start` may follow each other, and the port stays its own until `close`."""

    def __init__(self, *flags: str) -> None:
        # Bound and never listening: the system gives the port to nobody else, not even while the server is away, and
        # the server, which asks to share it in the same way, may listen there.
        self._place = socket.socket()
        self._place.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._place.bind(("127.0.0.1", 0))
        self.port = int(self._place.getsockname()[1])
        self._flags = flags
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"nats://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        words = [program(), "-a", "127.0.0.1", "-p", str(self.port), *self._flags]
        self._process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
            except OSError:
                time.sleep(0.01)
            else:
                return
        raise AssertionError("nats-server does not answer")

    def freeze(self) -> None:
        """Stop it as it stands, all of its threads, and see that it has."""
        os.kill(self.pid, signal.SIGSTOP)
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            states = [
                text.read_text().rpartition(")")[2].split()[0] for text in Path(f"/proc/{self.pid}").glob("task/*/stat")
            ]
            if set(states) == {"T"}:
                return
            time.sleep(0.005)
        raise AssertionError("nats-server goes on")

    def thaw(self) -> None:
        os.kill(self.pid, signal.SIGCONT)

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait(20)

    def close(self) -> None:
        """Kill it and let go of its port."""
        self.kill()
        self._place.close()


@contextmanager
def nats_server(*flags: str) -> Iterator[NatsServer]:
    """Run a server for the time of a block."""
    with closing(NatsServer(*flags)) as server:
        server.start()
        yield server


def program() -> str:
    """Give the program that the wheel has brought."""
    beside = Path(sys.executable).with_name("nats-server")
    found = str(beside) if beside.is_file() else shutil.which("nats-server")
    assert found, "nats-server is not here: make setup"
    return found


def free_port() -> int:
    """Give a port that nobody listens on."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])
