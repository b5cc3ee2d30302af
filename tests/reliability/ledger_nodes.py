"""The processes of a ledger run: started again after each kill, as any supervisor does, and their logs read at the end."""

import json
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
_FAULT = re.compile(
    r"^(Traceback|\s+\+ Exception Group|Fatal Python|Exception ignored|.*was never (awaited|retrieved))"
)


class Node:
    """One `rowcast serve` process."""

    def __init__(self, role: str, number: int, environment: dict[str, str], folder: Path) -> None:
        self.role = role
        self.log = folder / f"{role}-{number}.log"
        self.kills = self.freezes = 0
        self.ended: list[int] = []
        self.is_frozen = False
        self._environment = environment
        self._read_from = 0
        self.started_at = 0.0
        self.process = self._start()

    def _start(self) -> subprocess.Popen[bytes]:
        self.started_at = time.monotonic()
        with self.log.open("ab") as log:
            self._read_from = log.tell()
            return subprocess.Popen(
                [sys.executable, "-m", "tests.reliability.ledger_node", "serve", "--roles", self.role, "--port", "0"],
                env=self._environment, cwd=ROOT, stdout=log, stderr=log,
            )  # fmt: skip

    def kill_and_restart(self) -> None:
        """Kill the process and start it again; counted where it was alive."""
        if self.process.poll() is None:
            self.kills += 1
        self.process.kill()
        self.process.wait(timeout=10)
        self.process = self._start()

    def revive(self) -> None:
        """Start the process again if it ended by itself."""
        if self.process.poll() is not None:
            self.ended.append(self.process.returncode)
            self.process = self._start()

    def freeze(self, seconds: float) -> None:
        """Stop the process past its lease, then let it wake up and go on as if nothing had happened."""
        self.is_frozen, process = True, self.process
        process.send_signal(signal.SIGSTOP)
        time.sleep(seconds)
        process.send_signal(signal.SIGCONT)
        self.freezes += 1
        self.is_frozen = False

    def stop(self) -> int:
        """Stop politely and give the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.terminate()
        try:
            return self.process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait(timeout=10)

    def facts(self) -> Iterator[dict[str, Any]]:
        """Give what the running process has logged, in order."""
        with self.log.open("rb") as log:
            log.seek(self._read_from)
            for line in log.read().decode(errors="replace").splitlines():
                if line.startswith("{") and line.endswith("}"):
                    yield json.loads(line)

    def said(self, event: str) -> dict[str, Any] | None:
        """Give the last line of that name from the running process."""
        return next((fact for fact in reversed(list(self.facts())) if fact.get("event") == event), None)

    def wait_for(self, event: str, patience_s: float = 30.0) -> dict[str, Any]:
        """Wait until the process has said something, and give that."""
        deadline = time.monotonic() + patience_s
        while (fact := self.said(event)) is None:
            if time.monotonic() > deadline:
                raise AssertionError(f"{self.log.name} never said {event}:\n{self.log.read_text()[-3000:]}")
            self.revive()
            time.sleep(0.1)
        return fact


def read_logs(nodes: Iterable[Node]) -> tuple[list[str], Counter[str]]:
    """Give the unhandled errors in all logs with what follows them, and how often each name was told."""
    faults: list[str] = []
    told: Counter[str] = Counter()
    for node in nodes:
        lines = node.log.read_text(errors="replace").splitlines()
        for number, line in enumerate(lines):
            if line.startswith("{") and line.endswith("}"):
                fact = json.loads(line)
                told[f"{fact['event']}" + (f" ({why})" if (why := _why(fact)) else "")] += 1
                if fact.get("level") == "error":
                    faults.append(line)
            elif _FAULT.match(line):
                faults.append(f"{node.log.name}: " + "\n".join(lines[number : number + 25]))
    return faults, told


def _why(fact: dict[str, Any]) -> str:
    found = next((fact[name] for name in ("error", "reason", "code", "message") if fact.get(name)), "")
    return str(found)[:100] if fact["event"] != "delivery.settled" or fact.get("status") != "delivered" else ""
