"""`rowcast` as a process of its own: started, read line by line, signalled."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

START_S = 60.0
JWT_SECRET = "a secret of these tests, 32 bytes or more"
ROOT = Path(__file__).parents[3]


def environment(**more: str) -> dict[str, str]:
    """Give an environment without settings of the machine."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("ROWCAST_")}
    return {**kept, "PYTHONUNBUFFERED": "1", "ROWCAST_AUTH__JWT_SECRET": JWT_SECRET, **more}


class Process:
    """A running command; its log is JSON, one line each."""

    def __init__(self, words: tuple[str, ...], folder: Path, variables: Mapping[str, str]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "rowcast", *words], cwd=folder, env=environment(**variables), text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
        )  # fmt: skip
        self.log: list[dict[str, Any]] = []

    @property
    def pid(self) -> int:
        return self._process.pid

    def until(self, name: str) -> dict[str, Any]:
        """Read the log up to a line of that name."""
        assert self._process.stderr is not None
        read: list[str] = []
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline and (line := self._process.stderr.readline()):
            read.append(line)
            if line.startswith("{"):
                self.log.append(json.loads(line))
                if self.log[-1]["event"] == name:
                    return self.log[-1]
        raise AssertionError(f"no {name} in:\n{''.join(read)}")

    def signal(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def end(self, seconds: float = 40.0) -> tuple[int, str, str]:
        """Wait for the end; gives the exit code and what else was printed."""
        out, err = self._process.communicate(timeout=seconds)
        return self._process.returncode, out, err

    def kill(self) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.communicate(timeout=20)


@contextmanager
def started(*words: str, folder: Path, **variables: str) -> Iterator[Process]:
    """Run a command for the time of a block; it is gone at the end."""
    process = Process(words, folder, variables)
    try:
        yield process
    finally:
        process.kill()
