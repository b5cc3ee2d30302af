"""One ledger run: producers and sinks around a rowcast that is killed, frozen and cut off from its database.

usage: python -m tests.reliability.ledger_run --feed wal --seconds 60 [--source DIR]
Prints the report as JSON; exit code 0 whatever it says.
"""

import argparse
import asyncio
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import psycopg

from rowcast.realtime.authorize import sign_token
from rowcast.server.embedded import EmbeddedPostgres
from tests.reliability import ledger_audit
from tests.reliability.ledger_check import TOLD, Arrived, Expected, Report, Written, compare
from tests.reliability.ledger_faults import Faults, Schedule
from tests.reliability.ledger_nodes import ROOT, Node, read_logs
from tests.reliability.ledger_nursery import Nursery
from tests.reliability.ledger_producer import TENANTS
from tests.reliability.ledger_sinks import Arrivals, SocketListener, WebhookReceiver

SECRET = "a-secret-of-the-ledger-run-0123456789abcdef"
LEASE_S = 2
DRAIN_S = 40.0
CONCURRENCY = 16
BATCH_SIZE = 200


@dataclass(frozen=True)
class Run:
    """What to do: which feed, faults and build; how much must at least be written, and how slow everybody is."""

    feed: str
    schedule: Schedule = field(default_factory=Schedule)
    source: Path = ROOT / "src"
    seed: int = 1
    least_events: int = 0
    pause_s: float = 0.06
    receiver_wait_s: float = 0.0
    tell_wait_s: float = 0.0
    relays: int = 3
    workers: int = 2


async def ledger_run(run: Run) -> dict[str, Any]:
    """Do one run and give its report."""
    folder = Path(tempfile.mkdtemp(prefix="rowcast-ledger-"))
    try:
        async with EmbeddedPostgres(folder / "database") as server:
            return await asyncio.to_thread(_Stage(run, folder, server, asyncio.get_running_loop()).play)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


class _Stage:
    """Everything of one run that must be started before it and stopped after it."""

    def __init__(self, run: Run, folder: Path, server: EmbeddedPostgres, loop: asyncio.AbstractEventLoop) -> None:
        self.run, self.folder, self.server, self.loop = run, folder, server, loop
        self.arrivals = Arrivals()
        self.nodes: list[Node] = []

    @property
    def dsn(self) -> str:
        return self.server.dsn

    def play(self) -> dict[str, Any]:
        with ExitStack() as stack:
            receiver = stack.enter_context(WebhookReceiver(self.arrivals, self.run.receiver_wait_s))
            environment = _environment(self.run, self.dsn, self.folder, receiver.port)
            _prepare(self.dsn, environment, receiver.port)
            nursery = stack.enter_context(Nursery(environment))
            stack.callback(self._stop_nodes)
            self._start_nodes(nursery)
            self._listen(stack)
            faults = Faults(self.nodes[1:], self.server, self.loop, self.run.seed)
            with _producing(self.dsn, self.folder, self.run.pause_s):
                faults.run(self.run.schedule, self._is_enough)
            faults.revive()
            for node in self.nodes:
                node.wait_for("bus.connected")
            drained = ledger_audit.drain(self.dsn, patience_s=2 * LEASE_S, limit_s=DRAIN_S)
            time.sleep(0.5)
            exits = self._stop_nodes()
        return self._report(faults, drained, exits)

    def _start_nodes(self, nursery: Nursery) -> None:
        roles = ["gateway", *["relay"] * self.run.relays, *["delivery"] * self.run.workers]
        self.nodes += [Node(role, number, nursery, self.folder) for number, role in enumerate(roles)]

    def _listen(self, stack: ExitStack) -> None:
        url = f"ws://127.0.0.1:{self.nodes[0].wait_for('server.listening')['port']}/realtime/v1"
        for tenant in TENANTS:
            token = sign_token({"role": "authenticated", "tenant_id": tenant, "exp": int(time.time()) + 3600}, SECRET)
            listener = stack.enter_context(SocketListener(url, token, tenant, self.arrivals))
            assert listener.joined.wait(timeout=90), f"the socket of {tenant} could not join"

    def _is_enough(self) -> bool:
        if not self.run.least_events:
            return True
        with psycopg.connect(self.dsn) as connection:
            row = connection.execute("select count(*) from ledger_row").fetchone()
        return row is not None and row[0] >= self.run.least_events

    def _stop_nodes(self) -> list[int]:
        return [node.stop() for node in self.nodes]

    def _report(self, faults: Faults, drained: ledger_audit.Drained, exits: list[int]) -> dict[str, Any]:
        attempted, dead = ledger_audit.recorded(self.dsn)
        expected = Expected(
            durable_sinks=frozenset({"webhooks", "jobs"}),
            ordered_sinks=frozenset({"realtime", TOLD}),
            recorded=attempted,
            dead=dead,
            duplicates={
                "webhooks": CONCURRENCY * faults.crashes("delivery"),
                "jobs": CONCURRENCY * faults.crashes("delivery"),
                TOLD: BATCH_SIZE * faults.crashes("relay"),
            },
        )
        arrived = [*self.arrivals.items(), *_lines(self.folder / "jobs.jsonl"), *_lines(self.folder / "told.jsonl")]
        report = compare(self._written(), arrived, expected)
        self._add_whatever_else(report, drained, exits)
        logged, told = read_logs(self.nodes)
        for text in logged:
            report.add("UNHANDLED", text)
        return {
            **asdict(report), "kills": faults.kills, "database_stops": faults.database_stops, "freezes": faults.freezes,
            "ended": [code for node in self.nodes for code in node.ended], "bounds": expected.duplicates,
            "dead": len(dead), "drain_s": round(drained.seconds, 1), "logged": dict(told.most_common()),
        }  # fmt: skip

    def _add_whatever_else(self, report: Report, drained: ledger_audit.Drained, exits: list[int]) -> None:
        if drained.left:
            report.add("STUCK", f"{drained.stuck} due and not served, {drained.left} owed", drained.left)
        for text in ledger_audit.unfenced(self.dsn):
            report.add("UNFENCED", text)
        for text in ledger_audit.left_behind(self.dsn):
            report.add("LEFT", text)
        for code in exits:
            if code != 0:
                report.add("EXIT", code)

    def _written(self) -> list[Written]:
        """Read the producers' files; an unknown end is settled by the table."""
        there = ledger_audit.marks_there(self.dsn)
        files = self.folder.glob("written-*.jsonl")
        lines = [json.loads(line) for file in files for line in file.read_text().splitlines()]
        settled = {True: "committed", False: "aborted"}
        return [
            Written(**{**line, "fate": settled[line["mark"] in there] if line["fate"] == "unknown" else line["fate"]})
            for line in lines
        ]


def _environment(run: Run, dsn: str, folder: Path, port: int) -> dict[str, str]:
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(run.source), str(ROOT)]),
        "ROWCAST_DATABASE__URL": dsn,
        "ROWCAST_RELAY__FEED": run.feed,
        "ROWCAST_RELAY__LEASE_S": str(LEASE_S),
        "ROWCAST_RELAY__BATCH_SIZE": str(BATCH_SIZE),
        "ROWCAST_DELIVERY__LEASE_S": str(LEASE_S),
        "ROWCAST_DELIVERY__TIMEOUT_S": "1.5",
        "ROWCAST_DELIVERY__CONCURRENCY": str(CONCURRENCY),
        "ROWCAST_WEBHOOKS__ALLOW_HTTP": "true",
        "ROWCAST_WEBHOOKS__ALLOW_PRIVATE": f"127.0.0.1:{port}",
        "ROWCAST_WEBHOOKS__RATE_PER_MINUTE": "1000000",
        # A worker that was killed keeps its places until its leases end: longer than such a run can wait.
        "ROWCAST_WEBHOOKS__ENDPOINT_CONCURRENCY": "0",
        "ROWCAST_WEBHOOKS__RETRY_WAITS_S": "5,10,20,40,80,160",
        "ROWCAST_AUTH__JWT_SECRET": SECRET,
        "ROWCAST_PACKS": "tests.reliability.ledger_pack:pack",
        "ROWCAST_TEST_JOBS_FILE": str(folder / "jobs.jsonl"),
        "ROWCAST_TEST_TOLD_FILE": str(folder / "told.jsonl"),
        "ROWCAST_TEST_TELL_WAIT_S": str(run.tell_wait_s),
        "ROWCAST_LOG__FORMAT": "json",
    }


def _prepare(dsn: str, environment: dict[str, str], port: int) -> None:
    _command(environment, "migrate")
    with psycopg.connect(dsn) as connection:
        connection.execute(ledger_audit.PREPARE)
    _command(environment, "watch", "--apply")
    for tenant in TENANTS:
        _command(environment, "endpoints", "create", "--tenant", tenant, "--url", f"http://127.0.0.1:{port}/{tenant}")


def _command(environment: dict[str, str], *words: str) -> None:
    command = [sys.executable, "-m", "rowcast", *words]
    done = subprocess.run(command, env=environment, cwd=ROOT, check=False, timeout=60, capture_output=True, text=True)
    assert done.returncode == 0, f"rowcast {' '.join(words)}: {done.stdout}{done.stderr}"


@contextmanager
def _producing(dsn: str, folder: Path, pause_s: float) -> Iterator[None]:
    words = ["-m", "tests.reliability.ledger_producer", dsn, str(folder), "8", "6", str(pause_s)]
    paths = os.pathsep.join([str(ROOT / "src"), str(ROOT)])
    process = subprocess.Popen([sys.executable, *words], cwd=ROOT, env={**os.environ, "PYTHONPATH": paths})
    try:
        yield
    finally:
        (folder / "stop").touch()
        process.wait(timeout=60)


def _lines(file: Path) -> list[Arrived]:
    return [Arrived(**json.loads(line)) for line in file.read_text().splitlines()] if file.exists() else []


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--feed", choices=("wal", "claim"), required=True)
    parser.add_argument("--source", type=Path, default=ROOT / "src")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--kills", type=int, default=45)
    parser.add_argument("--database-stops", type=int, default=3)
    parser.add_argument("--freezes", type=int, default=4)
    chosen = parser.parse_args()
    schedule = Schedule(chosen.seconds, chosen.kills, chosen.database_stops, chosen.freezes)
    run = Run(chosen.feed, schedule, chosen.source.absolute(), chosen.seed)
    print(json.dumps(asyncio.run(ledger_run(run)), indent=2))


if __name__ == "__main__":
    main()
