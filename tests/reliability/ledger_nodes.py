"""The processes of a ledger run: started again after each kill, as any supervisor does, and their logs read at the end."""

import json
import math
import re
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.reliability.ledger_nursery import Child, Nursery

ROOT = Path(__file__).parents[2]
_FAULT = re.compile(
    r"^(Traceback|\s+\+ Exception Group|Fatal Python|Exception ignored|.*was never (awaited|retrieved))"
)
BUSY_S = 0.7
_READY = {"gateway": ("server.listening",), "relay": ("feed.opened", "feed.waiting"), "delivery": ("bus.connected",)}
"""What a process says when it begins to work; a kill before that would hit an import."""


class Node:
    """One `rowcast serve` process."""

    def __init__(self, role: str, number: int, nursery: Nursery, folder: Path) -> None:
        self.role = role
        self.log = folder / f"{role}-{number}.log"
        self.kills = self.freezes = 0
        self.ended: list[int] = []
        self.is_frozen = False
        self._nursery = nursery
        self._read_from = 0
        self._ready_at = math.inf
        self.started_at = 0.0
        self.process = self._start()

    def _start(self) -> Child:
        self.started_at, self._ready_at = time.monotonic(), math.inf
        self._read_from = self.log.stat().st_size if self.log.exists() else 0
        return self._nursery.start(["serve", "--roles", self.role, "--port", "0"], self.log)

    def kill_and_restart(self) -> None:
        """Kill the process and start it again."""
        self.kills += 1
        self.process.send_signal(signal.SIGKILL)
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
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self.process.send_signal(signal.SIGKILL)
            return self.process.wait(timeout=10)

    def facts(self) -> Iterator[dict[str, Any]]:
        """Give what the running process has logged, in order."""
        with self.log.open("rb") as log:
            log.seek(self._read_from)
            for line in log.read().decode(errors="replace").splitlines():
                if line.startswith("{") and line.endswith("}"):
                    yield json.loads(line)

    def said(self, *events: str) -> dict[str, Any] | None:
        """Give the last line of one of these names from the running process."""
        return next((fact for fact in reversed(list(self.facts())) if fact.get("event") in events), None)

    @property
    def is_at_work(self) -> bool:
        """Tell whether the running process has been at work for a while, so that a fault hits something."""
        if self._ready_at == math.inf and self.said(*_READY[self.role]):
            self._ready_at = time.monotonic()
        is_busy = time.monotonic() - self._ready_at >= BUSY_S
        return is_busy and not self.is_frozen and self.process.poll() is None

    @property
    def leads(self) -> bool:
        """Tell whether this relay has had its feed for a while: it was opened, and neither lost nor waited for since."""
        fact = self.said("feed.opened", "feed.waiting", "relay.interrupted") if self.is_at_work else None
        if fact is None or fact["event"] != "feed.opened":
            return False
        return (datetime.now(UTC) - datetime.fromisoformat(fact["timestamp"])).total_seconds() >= BUSY_S

    def wait_for(self, event: str, patience_s: float = 90.0) -> dict[str, Any]:
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
