"""What every scenario shares: a server of its own, turns, medians, and a table with machine and versions.

Machines are shared and noisy, so a figure alone says nothing: each is printed as a ratio to a bare baseline or a
peer that ran beside it, turn by turn.
"""

import os
import platform
import shutil
import statistics
import subprocess
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from rowcast.server.embedded import EmbeddedPostgres
from rowcast.store.migrate import migrate
from rowcast.store.pool import connect

Measure = Callable[[], Awaitable[float]]


@dataclass(frozen=True)
class Row:
    """One line of a table: what was measured, against what, and what it must reach.

    `ours` and `theirs` hold one value for each turn, and `floor` is the least median ratio that passes. Without
    `theirs`, `floor` and `ceiling` bound the median of `ours`. `missing` says why a peer is not there.
    """

    what: str
    ours: Sequence[float]
    unit: str
    against: str = "–"
    theirs: Sequence[float] = ()
    floor: float | None = None
    ceiling: float | None = None
    missing: str = ""

    @property
    def ratios(self) -> tuple[float, ...]:
        """Give the ratio of each turn."""
        return tuple(a / b for a, b in zip(self.ours, self.theirs, strict=True)) if self.theirs else ()

    @property
    def verdict(self) -> str:
        """Say whether the row reaches what it must."""
        if self.missing:
            return f"**NOT COMPARED: {self.missing}**"
        measured = statistics.median(self.ratios or self.ours)
        if self.floor is not None and measured < self.floor:
            return "**below**"
        if self.ceiling is not None and statistics.median(self.ours) > self.ceiling:
            return "**above**"
        return "" if self.floor is None and self.ceiling is None else "ok"

    def __str__(self) -> str:
        """Give the line of a Markdown table."""
        cells = (self.what, _measured(self.ours, self.unit), self.against, _measured(self.theirs, self.unit))
        return f"| {' | '.join(cells)} | {self._ratio()} | {self._bound()} | {self.verdict} |"

    def _ratio(self) -> str:
        return _spread(self.ratios, digits=2) if self.ratios else "–"

    def _bound(self) -> str:
        unit = "" if self.ratios else f" {self.unit}"
        floor = [] if self.floor is None else [f"≥ {self.floor:,g}{unit}"]
        ceiling = [] if self.ceiling is None else [f"≤ {self.ceiling:,g} {self.unit}"]
        return " and ".join(floor + ceiling) or "–"


@dataclass(frozen=True)
class Effort:
    """How long to measure: `QUICK` is for a look, `FULL` for a figure that is quoted."""

    turns: int
    seconds: float
    scale: float


FULL = Effort(turns=9, seconds=2.0, scale=1.0)
QUICK = Effort(turns=3, seconds=1.0, scale=0.2)


async def take_turns(measures: Mapping[str, Measure], turns: int) -> dict[str, list[float]]:
    """Run every measure once a turn, so that what the machine does meanwhile hits all of them.

    Every other turn goes backwards, so that nobody always runs after the same neighbour.
    """
    taken: dict[str, list[float]] = {name: [] for name in measures}
    for number in range(turns):
        order = list(measures.items())
        for name, measure in order if number % 2 == 0 else reversed(order):
            taken[name].append(await measure())
    return taken


@asynccontextmanager
async def server(settings: Mapping[str, str] | None = None) -> AsyncIterator[EmbeddedPostgres]:
    """Start a PostgreSQL of its own with default durability, migrated and with today's partitions, for a block."""
    folder = Path(tempfile.mkdtemp(prefix="rowcast-bench-"))
    try:
        async with EmbeddedPostgres(folder, settings=settings or {}) as postgres:
            await _prepare(postgres.dsn)
            yield postgres
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@asynccontextmanager
async def database(postgres: EmbeddedPostgres, name: str) -> AsyncIterator[str]:
    """Make a database of its own on a running server, migrated, for a block; gives its URL."""
    admin = await connect(postgres.dsn, timeout_s=120)
    await admin.run_script(f"create database {name} template template0")
    dsn = f"{postgres.dsn.rpartition('/')[0]}/{name}"
    try:
        await _prepare(dsn)
        yield dsn
    finally:
        await admin.run_script(
            f"select pg_drop_replication_slot(slot_name) from pg_replication_slots where database = '{name}'"
        )
        await admin.run_script(f"drop database {name} with (force)")
        await admin.close()


async def _prepare(dsn: str) -> None:
    connection = await connect(dsn)
    await migrate(connection)
    await connection.run_script(
        "select rowcast.make_partition((now() at time zone 'utc')::date + n) from generate_series(0, 1) n"
    )
    await connection.close()


def table(title: str, rows: Sequence[Row], note: str = "") -> str:
    """Give rows as a Markdown table."""
    head = "| what | rowcast | against | there | ratio | must be | |\n|---|---|---|---|---|---|---|"
    lines = "\n".join(str(row) for row in rows)
    return f"### {title}\n\n{head}\n{lines}\n" + (f"\n{note}\n" if note else "")


def machine() -> str:
    """Describe where the figures come from."""
    model = next((text for name, text in _facts("/proc/cpuinfo") if name == "model name"), platform.machine())
    memory = next((int(text.split()[0]) // 1024**2 for name, text in _facts("/proc/meminfo") if name == "MemTotal"), 0)
    load = "/".join(f"{value:.1f}" for value in os.getloadavg())
    return f"{os.cpu_count()} cores ({model}), {memory} GiB, {platform.system()} {platform.release()}, load {load}"


def versions(server_version: str) -> str:
    """Name what was measured together."""
    packages = ("asyncpg", "psycopg", "uvloop", "msgspec", "pgqueuer", "websockets")
    found = ", ".join(f"{name} {_version(name)}" for name in packages)
    return f"rowcast {git_revision()}, PostgreSQL {server_version}, Python {platform.python_version()}, {found}"


def git_revision() -> str:
    """Give the commit that was measured, `-dirty` when the tree has changes."""
    command = ["git", "describe", "--always", "--dirty"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    return done.stdout.strip() or "unknown"


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "missing"


def _facts(path: str) -> list[tuple[str, str]]:
    file = Path(path)
    lines = file.read_text().splitlines() if file.exists() else []
    return [(name.strip(), text.strip()) for name, _, text in (line.partition(":") for line in lines)]


def _measured(values: Sequence[float], unit: str) -> str:
    return f"{_number(statistics.median(values))} {unit}" if values else "–"


def _spread(values: Sequence[float], *, digits: int) -> str:
    median, low, high = statistics.median(values), min(values), max(values)
    return f"**{median:.{digits}f}** ({low:.{digits}f}–{high:.{digits}f})"


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
