"""What every scenario shares: a server of its own, runs that alternate, medians, and a table with machine and versions.

Machines are shared and noisy, so a figure alone says nothing: each is printed as a ratio to a bare baseline or a peer that
ran beside it, turn by turn.
"""

import os
import platform
import shutil
import statistics
import subprocess
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path

from rowcast.server.embedded import EmbeddedPostgres
from rowcast.store.migrate import migrate
from rowcast.store.pool import connect

Measure = Callable[[], Awaitable[float]]


@dataclass(frozen=True)
class Row:
    """One line of a table: what was measured, against what, and what it must reach.

    `ratios` holds one value for each turn; `floor` is the least ratio that passes, or `ceiling` the greatest value of `ours`.
    """

    what: str
    ours: float
    unit: str
    against: str = "–"
    theirs: float | None = None
    ratios: tuple[float, ...] = ()
    floor: float | None = None
    ceiling: float | None = None

    @property
    def ratio(self) -> float | None:
        """Give the median ratio of the turns."""
        return statistics.median(self.ratios) if self.ratios else None

    @property
    def verdict(self) -> str:
        """Say whether the row reaches what it must."""
        if self.floor is not None:
            measured = self.ratio if self.ratios else self.ours
            return "ok" if measured is not None and measured >= self.floor else "below"
        if self.ceiling is not None:
            return "ok" if self.ours <= self.ceiling else "above"
        return ""


@dataclass(frozen=True)
class Effort:
    """How long to measure: `quick` is for a look, the other for a figure that is quoted."""

    turns: int
    seconds: float
    scale: float


FULL = Effort(turns=5, seconds=4.0, scale=1.0)
QUICK = Effort(turns=3, seconds=1.5, scale=0.2)


@dataclass
class Turns:
    """The values of several measures taken in turn: A B C, A B C, ..."""

    values: dict[str, list[float]] = field(default_factory=dict)

    def median(self, name: str) -> float:
        """Give the median of one measure."""
        return statistics.median(self.values[name])

    def ratios(self, name: str, base: str) -> tuple[float, ...]:
        """Give the ratio of two measures, turn by turn."""
        return tuple(a / b for a, b in zip(self.values[name], self.values[base], strict=True))


async def take_turns(measures: Mapping[str, Measure], turns: int) -> Turns:
    """Run every measure once a turn, so that what the machine does meanwhile hits all of them."""
    taken = Turns({name: [] for name in measures})
    for _ in range(turns):
        for name, measure in measures.items():
            taken.values[name].append(await measure())
    return taken


@asynccontextmanager
async def server(settings: Mapping[str, str] | None = None) -> AsyncIterator[EmbeddedPostgres]:
    """Start a PostgreSQL of its own with default durability, migrated, for the time of a block."""
    folder = Path(tempfile.mkdtemp(prefix="rowcast-bench-"))
    try:
        async with EmbeddedPostgres(folder, settings=settings or {}) as postgres:
            connection = await connect(postgres.dsn)
            await migrate(connection)
            await connection.driver.close()
            yield postgres
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def machine() -> str:
    """Describe where the figures come from."""
    model = next((line.partition(":")[2].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")), platform.machine())
    memory = next((int(line.split()[1]) // 1024**2 for line in _lines("/proc/meminfo") if line.startswith("MemTotal")), 0)
    packages = ", ".join(f"{name} {version(name)}" for name in ("asyncpg", "psycopg", "uvloop", "msgspec"))
    return f"{os.cpu_count()} cores ({model}), {memory} GiB, {platform.system()} {platform.release()}, Python {platform.python_version()}, {packages}"


def git_revision() -> str:
    """Give the commit that was measured, `-dirty` when the tree has changes."""
    done = subprocess.run(["git", "describe", "--always", "--dirty"], capture_output=True, text=True, timeout=10, check=False)
    return done.stdout.strip() or "unknown"


def _lines(path: str) -> list[str]:
    file = Path(path)
    return file.read_text().splitlines() if file.exists() else []


def table(title: str, rows: list[Row]) -> str:
    """Give rows as a Markdown table."""
    lines = [f"### {title}", "", "| what | rowcast | against | there | ratio (min–max) | must be | |", "|---|---|---|---|---|---|---|"]
    for row in rows:
        there = "–" if row.theirs is None else f"{row.theirs:,.4g} {row.unit}"
        spread = f"**{row.ratio:.2f}** ({min(row.ratios):.2f}–{max(row.ratios):.2f})" if row.ratio is not None else "–"
        must = f"≥ {row.floor:g}" if row.floor is not None else f"≤ {row.ceiling:g} {row.unit}" if row.ceiling is not None else "–"
        lines.append(f"| {row.what} | {row.ours:,.4g} {row.unit} | {row.against} | {there} | {spread} | {must} | {row.verdict} |")
    return "\n".join(lines)
