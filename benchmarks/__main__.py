"""Run scenarios and print their tables: `python -m benchmarks [--quick] [--save] [--check] [scenario ...]`."""

import argparse
import asyncio
import gc
import sys
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path

import uvloop

from benchmarks.harness import FULL, QUICK, Effort, Row, machine, server, table, versions

SPINE = ("commit_path", "pipeline", "drain", "latency", "fresh_tenant", "idle_memory")
REALTIME = ("fan_out", "joins", "changes", "changes_cost", "changes_latency")
WEBHOOKS = ("webhooks", "webhooks_latency")
SCENARIOS = (*SPINE, *REALTIME, *WEBHOOKS)
RESULTS = Path(__file__).parent / "results" / "latest.md"


def main() -> int:
    """Run what was asked for; with `--check` the exit code says whether every floor was reached."""
    asked = _arguments()
    gc.disable()  # a collection in the middle of a turn would be measured as somebody's
    pages = [_head(QUICK if asked.quick else FULL)]
    print(pages[0], flush=True)
    failed: list[Row] = []
    for name in asked.scenarios or (SPINE if asked.quick else SCENARIOS):
        rows, page = _run(name, QUICK if asked.quick else FULL)
        failed += [row for row in rows if row.verdict.startswith("**")]
        pages.append(page)
        print(page, flush=True)
        gc.collect()
    if asked.save:
        RESULTS.write_text("\n".join(pages))
    return 1 if asked.check and failed else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("scenarios", nargs="*", metavar="scenario", help=", ".join(SCENARIOS))
    parser.add_argument(
        "--quick",
        action="store_true",
        help="shorter turns, smaller backlogs, and the spine alone unless scenarios are named: a look, not a figure",
    )
    parser.add_argument("--save", action="store_true", help=f"also write {RESULTS.name} in benchmarks/results")
    parser.add_argument("--check", action="store_true", help="exit with 1 where a floor was not reached")
    asked = parser.parse_args()
    unknown = sorted(set(asked.scenarios) - set(SCENARIOS))
    if unknown:
        parser.error(f"unknown scenario {', '.join(unknown)}; choose from {', '.join(SCENARIOS)}")
    return asked


def _run(name: str, effort: Effort) -> tuple[list[Row], str]:
    scenario = import_module(f"benchmarks.scenarios.{name}")
    print(f"... {name}", file=sys.stderr, flush=True)
    rows: list[Row] = uvloop.run(scenario.run(effort))
    return rows, table(scenario.TITLE, rows, getattr(scenario, "NOTE", ""))


def _head(effort: Effort) -> str:
    when = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    return (
        f"Measured {when} on {machine()}. {versions(uvloop.run(_server_version()))}. Default durability. "
        f"{effort.turns} turns of {effort.seconds:g} s each; medians; ratios are taken turn by turn (least–most).\n"
    )


async def _server_version() -> str:
    async with server() as postgres, asyncio.timeout(60):
        from rowcast.store.pool import connect

        connection = await connect(postgres.dsn)
        version = str(await connection.driver.fetchval("show server_version"))
        await connection.close()
        return version


if __name__ == "__main__":
    sys.exit(main())
