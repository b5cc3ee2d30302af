"""Nodes that start at once: one process imports rowcast, and every node is a fork of it.

A run kills a process each second. Were each one an interpreter that imports everything anew, two cores would do little else,
and most kills would hit an import.

usage: python -m tests.reliability.ledger_nursery
Reads one JSON line for each request and answers with one; when its input ends it kills what it started.
"""

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]


class Child:
    """One node, as `subprocess.Popen` would have it."""

    def __init__(self, nursery: "Nursery", pid: int) -> None:
        self.pid = pid
        self._nursery = nursery
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """Give the exit code, or None while it runs."""
        if self.returncode is None:
            self.returncode = self._nursery.ask({"poll": self.pid})
        return self.returncode

    def wait(self, timeout: float) -> int:
        """Wait for the exit code."""
        deadline = time.monotonic() + timeout
        while (code := self.poll()) is None:
            if time.monotonic() > deadline:
                raise subprocess.TimeoutExpired("a node", timeout)
            time.sleep(0.02)
        return code

    def send_signal(self, number: int) -> None:
        """Signal it, if it still runs; its id is not given to another before it was waited for."""
        if self.poll() is None:
            os.kill(self.pid, number)


class Nursery:
    """Starts nodes: `with Nursery(environment) as nursery: nursery.start([...], log)`."""

    def __init__(self, environment: dict[str, str]) -> None:
        self._lock = threading.Lock()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.reliability.ledger_nursery"],
            env=environment, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip

    def __enter__(self) -> "Nursery":
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(timeout=20)
        self._process.stdout.close()

    def start(self, words: list[str], log: Path) -> Child:
        """Start `rowcast` with these words; what it says goes to the end of `log`."""
        return Child(self, self.ask({"start": words, "log": str(log)}))

    def ask(self, request: dict[str, Any]) -> Any:
        """Ask and give the answer."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with self._lock:
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
            return json.loads(self._process.stdout.readline())


def _serve() -> None:
    from rowcast.server import production  # noqa: F401 - imported once, for all forks
    from tests.reliability import ledger_node  # noqa: F401 - the same

    children: dict[int, int | None] = {}
    for line in sys.stdin:
        request = json.loads(line)
        if "start" in request:
            pid = os.fork()
            if pid == 0:
                _become(request["start"], request["log"])
            children[pid] = None
            answer: int | None = pid
        else:
            answer = children[request["poll"]] = children[request["poll"]] or _poll(request["poll"])
        print(json.dumps(answer), flush=True)
    for pid, code in children.items():
        if code is None and _poll(pid) is None:
            os.kill(pid, signal.SIGKILL)


def _poll(pid: int) -> int | None:
    try:
        found, status = os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        return 0
    return os.waitstatus_to_exitcode(status) if found else None


def _become(words: list[str], log: str) -> None:
    """Be a node from here on; never returns."""
    file = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(file, 1)
    os.dup2(file, 2)
    sys.argv = ["rowcast", *words]
    random.seed()  # or all nodes would wait for the same times
    code = 1
    try:
        from tests.reliability.ledger_node import run

        run()
        code = 0
    except SystemExit as left:
        code = left.code if isinstance(left.code, int) else 0 if left.code is None else 1
    except BaseException:  # noqa: BLE001 - what an interpreter does with it
        import traceback

        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    _serve()
