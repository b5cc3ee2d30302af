"""One ledger run: producers and sinks around a rowcast that is killed, frozen and cut off from its database.

usage: python -m tests.reliability.ledger_run --feed wal --seconds 60 [--source DIR]
Prints the report as JSON; exit code 0 whatever it says.
"""

import argparse
import asyncio
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import psycopg

from rowcast.realtime.authorize import sign_token
from rowcast.server.embedded import EmbeddedPostgres
from tests.reliability.ledger_check import Arrived, Report, Written, compare
from tests.reliability.ledger_producer import TENANTS
from tests.reliability.ledger_sinks import Arrivals, SocketListener, WebhookReceiver

ROOT = Path(__file__).parents[2]
SECRET = "a-secret-of-the-ledger-run-0123456789abcdef"
LEASE_S = 2
FROZEN_S = 2.5 * LEASE_S
DRAIN_S = 30.0


class Node:
    """One `rowcast serve` process that is started again after each kill."""

    def __init__(self, role: str, environment: dict[str, str], log: Path) -> None:
        self.role = role
        self._environment = environment
        self._log = log
        self.process = self._start()

    def _start(self) -> subprocess.Popen[bytes]:
        with self._log.open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "rowcast", "serve", "--roles", self.role, "--port", "0"],
                env=self._environment, cwd=ROOT, stdout=log, stderr=log,
            )  # fmt: skip

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(timeout=10)

    def kill_and_restart(self) -> None:
        self.kill()
        self.process = self._start()

    def revive(self) -> None:
        """Start the process again if it ended by itself, as any supervisor does."""
        if self.process.poll() is not None:
            self.process = self._start()

    def freeze(self, seconds: float) -> None:
        """Stop the process past its lease, then let it wake up and go on as if nothing had happened."""
        self.process.send_signal(signal.SIGSTOP)
        time.sleep(seconds)
        self.process.send_signal(signal.SIGCONT)

    def stop(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self.kill()


class Faults:
    """The schedule: kills all the time, three database stops, three freezes; each counted."""

    def __init__(self, nodes: list[Node], server: EmbeddedPostgres, loop: asyncio.AbstractEventLoop, seed: int) -> None:
        self._nodes, self._server, self._loop = nodes, server, loop
        self._noise = random.Random(seed)
        self.kills = self.database_stops = self.freezes = 0

    def run(self, seconds: float) -> None:
        begin = time.monotonic()
        plan = sorted([(seconds * share, "database") for share in (0.2, 0.45, 0.7)] + [(seconds * share, "freeze") for share in (0.1, 0.35, 0.6)])
        frozen: list[threading.Thread] = []
        while (passed := time.monotonic() - begin) < seconds:
            self.revive()
            if plan and plan[0][0] <= passed:
                frozen += self._planned(plan.pop(0)[1])
            else:
                self._kill_one()
            time.sleep(seconds / 60 * (0.5 + self._noise.random()))
        for thread in frozen:
            thread.join(timeout=60)

    def revive(self) -> None:
        """Start again every node that ended by itself."""
        for node in self._nodes:
            node.revive()

    def _planned(self, kind: str) -> list[threading.Thread]:
        if kind == "database":
            asyncio.run_coroutine_threadsafe(self._restart_database(), self._loop).result(timeout=60)
            self.database_stops += 1
            return []
        index = self.freezes % len(self._nodes)
        thread = threading.Thread(target=self._nodes[index].freeze, args=(FROZEN_S,))
        thread.start()
        self.freezes += 1
        return [thread]

    async def _restart_database(self) -> None:
        await self._server.stop("immediate")
        await asyncio.sleep(0.3)
        await self._server.start()

    def _kill_one(self) -> None:
        """Kill a node that is not frozen just now: a frozen one must wake up and meet its fence."""
        awake = [node for node in self._nodes if not _is_stopped(node.process.pid)]
        self._noise.choice(awake).kill_and_restart()
        self.kills += 1


def _is_stopped(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"
    except OSError:
        return False


async def ledger_run(feed: str, seconds: float, source: Path | None, seed: int = 1) -> dict[str, Any]:
    """Do one run and give its report."""
    folder = Path(tempfile.mkdtemp(prefix="rowcast-ledger-"))
    try:
        async with EmbeddedPostgres(folder / "database") as server:
            return await asyncio.to_thread(_run, feed, seconds, source, seed, folder, server, asyncio.get_running_loop())
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _run(  # noqa: PLR0913 - one value each, all of them fixed for the run
    feed: str, seconds: float, source: Path | None, seed: int, folder: Path, server: EmbeddedPostgres, loop: asyncio.AbstractEventLoop
) -> dict[str, Any]:
    arrivals = Arrivals()
    with ExitStack() as stack:
        receiver = stack.enter_context(WebhookReceiver(arrivals))
        environment = _environment(feed, server.dsn, folder, receiver.port, source)
        _prepare(server.dsn, environment, receiver.port)
        gateway = Node("gateway", {**environment, "ROWCAST_SERVER__PORT": "0"}, folder / "gateway.log")
        stack.callback(gateway.stop)
        nodes = [Node("relay", environment, folder / f"relay-{n}.log") for n in range(3)]
        nodes += [Node("delivery", environment, folder / f"delivery-{n}.log") for n in range(2)]
        for node in nodes:
            stack.callback(node.stop)
        url = _gateway_url(folder / "gateway.log")
        for tenant in TENANTS:
            token = sign_token({"role": "authenticated", "tenant_id": tenant, "exp": int(time.time()) + 3600}, SECRET)
            listener = stack.enter_context(SocketListener(url, token, tenant, arrivals))
            assert listener.joined.wait(timeout=30), f"the socket of {tenant} could not join"
        faults = Faults(nodes, server, loop, seed)
        with _producing(server.dsn, folder):
            faults.run(seconds)
        stuck = _drain(server.dsn, faults)
        return _report(server.dsn, folder, arrivals, faults, stuck)


def _environment(feed: str, dsn: str, folder: Path, port: int, source: Path | None) -> dict[str, str]:
    paths = [str(source)] if source else []
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([*paths, str(ROOT)]),
        "ROWCAST_DATABASE__URL": dsn,
        "ROWCAST_RELAY__FEED": feed,
        "ROWCAST_RELAY__LEASE_S": str(LEASE_S),
        "ROWCAST_RELAY__BATCH_SIZE": "200",
        "ROWCAST_DELIVERY__LEASE_S": str(LEASE_S),
        "ROWCAST_DELIVERY__TIMEOUT_S": "1.5",
        "ROWCAST_DELIVERY__CONCURRENCY": "16",
        "ROWCAST_WEBHOOKS__ALLOW_HTTP": "true",
        "ROWCAST_WEBHOOKS__ALLOW_PRIVATE": f"127.0.0.1:{port}",
        "ROWCAST_WEBHOOKS__RATE_PER_MINUTE": "1000000",
        "ROWCAST_AUTH__JWT_SECRET": SECRET,
        "ROWCAST_PACKS": "tests.reliability.ledger_pack:pack",
        "ROWCAST_TEST_JOBS_FILE": str(folder / "jobs.jsonl"),
        "ROWCAST_LOG__FORMAT": "json",
    }


def _prepare(dsn: str, environment: dict[str, str], port: int) -> None:
    _command(environment, "migrate")
    for tenant in TENANTS:
        _command(environment, "endpoints", "create", "--tenant", tenant, "--url", f"http://127.0.0.1:{port}/{tenant}")
    with psycopg.connect(dsn) as connection:
        connection.execute("create table ledger_key (tenant text, key text, number integer, primary key (tenant, key))")
        connection.execute("create table ledger_row (event_id uuid primary key, tenant text, key text, number integer)")


def _command(environment: dict[str, str], *words: str) -> None:
    subprocess.run([sys.executable, "-m", "rowcast", *words], env=environment, cwd=ROOT, check=True, timeout=60, stdout=subprocess.DEVNULL)


def _gateway_url(log: Path) -> str:
    """Read the port from the gateway's own line."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        for line in log.read_text().splitlines():
            if line.startswith("{") and (fact := json.loads(line)).get("event") == "server.listening":
                return f"ws://127.0.0.1:{fact['port']}/realtime/v1"
        time.sleep(0.1)
    raise AssertionError("the gateway did not start:\n" + log.read_text()[-3000:])


@contextmanager
def _producing(dsn: str, folder: Path) -> Iterator[None]:
    words = ["-m", "tests.reliability.ledger_producer", dsn, str(folder), "8", "6", "0.02"]
    process = subprocess.Popen([sys.executable, *words], cwd=ROOT)
    try:
        yield
    finally:
        (folder / "stop").touch()
        process.wait(timeout=60)


def _drain(dsn: str, faults: Faults) -> int:
    """Wait until nothing is owed any more; give how much still is when patience ends."""
    deadline, left = time.monotonic() + DRAIN_S, -1
    while time.monotonic() < deadline:
        faults.revive()
        with psycopg.connect(dsn) as connection:
            row = connection.execute(
                "select (select count(*) from rowcast.outbox where status in ('pending', 'failed'))"
                " + (select count(*) from rowcast.delivery where status in ('waiting', 'running'))"
            ).fetchone()
        assert row is not None
        left = int(row[0])
        if left == 0:
            return 0
        time.sleep(0.5)
    return left


def _report(dsn: str, folder: Path, arrivals: Arrivals, faults: Faults, stuck: int) -> dict[str, Any]:
    written = _written(dsn, folder)
    with psycopg.connect(dsn) as connection:
        attempted = connection.execute(
            "select distinct d.sink, d.event_id::text from rowcast.delivery d join rowcast.attempt a on a.delivery_id = d.id"
        ).fetchall()
        dead = connection.execute("select sink, event_id::text from rowcast.delivery where status = 'dead'").fetchall()
    report = compare(
        written,
        [*arrivals.items(), *_jobs(folder)],
        durable_sinks=frozenset({"webhooks", "jobs"}),
        ordered_sinks=frozenset({"realtime"}),
        attempts=frozenset((sink, event) for sink, event in attempted),
        dead=frozenset((sink, event) for sink, event in dead),
    )
    if stuck:
        report.add("STUCK", f"{stuck} still owed {DRAIN_S} s after the last fault")
        report.counts["STUCK"] = stuck
    return _shown(report, faults, len(dead), sum(item.sink == "realtime" for item in arrivals.items()))


def _shown(report: Report, faults: Faults, dead: int, told: int) -> dict[str, Any]:
    return {
        **asdict(report), "kills": faults.kills, "database_stops": faults.database_stops, "freezes": faults.freezes,
        "dead": dead, "realtime_arrived": told,
    }  # fmt: skip


def _written(dsn: str, folder: Path) -> list[Written]:
    """Read the producers' files; an unknown end is settled by the table."""
    with psycopg.connect(dsn) as connection:
        there = {str(row[0]) for row in connection.execute("select event_id from ledger_row")}
    lines = [json.loads(line) for file in folder.glob("written-*.jsonl") for line in file.read_text().splitlines()]
    return [
        Written(
            line["tenant"], line["key"], line["seq"], line["event_id"],
            line["fate"] if line["fate"] != "unknown" else "committed" if line["event_id"] in there else "aborted",
        )
        for line in lines
    ]  # fmt: skip


def _jobs(folder: Path) -> list[Arrived]:
    file = folder / "jobs.jsonl"
    return [Arrived(**json.loads(line)) for line in file.read_text().splitlines()] if file.exists() else []


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--feed", choices=("wal", "claim"), required=True)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--source", type=Path)
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args()
    print(json.dumps(asyncio.run(ledger_run(chosen.feed, chosen.seconds, chosen.source, chosen.seed)), indent=2))


if __name__ == "__main__":
    main()
