"""An application's own test gets a migrated database, a clock and a webhook catcher by naming them."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import rowcast.testing

_LIGHT = "import sys, rowcast.testing.pytest_plugin; print(sorted({'asyncpg', 'psycopg', 'litestar', 'msgspec'} & set(sys.modules)))"
_TEST = """
import re

import pytest
from rowcast.store.sql import parse_query


@pytest.mark.parametrize("number", range(2))
async def test_each_test_has_a_database_of_its_own(rowcast_database, rowcast_clock, rowcast_webhook_catcher, number):
    await rowcast_database.fetch(parse_query("emit", "select rowcast.emit('acme', 'orders.made', '{}')"))
    rows = await rowcast_database.fetch(parse_query("all", "select event_type from rowcast.outbox"))
    assert [row["event_type"] for row in rows] == ["orders.made"]
    assert rowcast_clock.tick(1) == rowcast_clock.now()
    assert re.match(r"http://127.0.0.1:[0-9]+/hook", rowcast_webhook_catcher.url)
"""


def _run(folder: Path, *words: str) -> str:
    (folder / "test_application.py").write_text(_TEST)
    ended = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-o", "asyncio_mode=auto", *words],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
        env={name: value for name, value in os.environ.items() if not name.startswith("PYTEST")},
    )
    return ended.stdout


def test_the_fixtures_come_with_the_package(tmp_path: Path) -> None:
    assert "2 passed" in _run(tmp_path)


def test_two_processes_share_one_server(tmp_path: Path) -> None:
    assert "2 passed" in _run(tmp_path, "-n", "2", f"--basetemp={tmp_path / 'run'}")

    assert len(list((tmp_path / "run").glob("rowcast-cluster-*.json"))) == 1


def test_the_plug_in_loads_none_of_the_heavy_packages() -> None:
    ended = subprocess.run([sys.executable, "-c", _LIGHT], capture_output=True, text=True, timeout=60, check=True)

    assert ended.stdout.strip() == "[]"


def test_every_public_name_is_there_and_no_other() -> None:
    assert all(getattr(rowcast.testing, name).__name__ == name for name in rowcast.testing.__all__)
    with pytest.raises(AttributeError):
        rowcast.testing.no_such_name  # noqa: B018
