"""Builds that are broken on purpose: a copy of the source with a few words changed, for a run that must notice."""

import asyncio
import json
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from tests.reliability.ledger_nodes import ROOT
from tests.reliability.ledger_run import Run, ledger_run

_MOST_RUNS = 3


@dataclass(frozen=True)
class Change:
    """One text in one file under src/rowcast, and what stands there instead."""

    file: str
    old: str
    new: str


@contextmanager
def sabotaged(*changes: Change) -> Iterator[Path]:
    """Give a source folder with `changes` in it. Each old text must be there exactly once, so that a refactor is noticed."""
    folder = Path(tempfile.mkdtemp(prefix="rowcast-sabotage-"))
    try:
        shutil.copytree(ROOT / "src" / "rowcast", folder / "rowcast", ignore=shutil.ignore_patterns("__pycache__"))
        for change in changes:
            _apply(change, folder / "rowcast" / change.file)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _apply(change: Change, file: Path) -> None:
    text = file.read_text()
    found = text.count(change.old)
    assert found == 1, f"{change.file} has this text {found} times, not once; follow the refactor here:\n{change.old}"
    file.write_text(text.replace(change.old, change.new))


def assert_noticed(anomaly: str, run: Run, *changes: Change) -> None:
    """Run a sabotaged build until the ledger shows what is wrong with it; whether a fault strikes in time is chance."""
    with sabotaged(*changes) as source:
        for seed in range(run.seed, run.seed + _MOST_RUNS):
            report = asyncio.run(ledger_run(replace(run, source=source, seed=seed)))
            print(json.dumps(report, indent=2))
            if report["counts"].get(anomaly, 0) > 0:
                return
    raise AssertionError(f"nobody noticed in {_MOST_RUNS} runs: {json.dumps(report, indent=2)}")
