"""What the server's tests share: a running API, and the command line in the test's own process."""

import io
import json
import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest
import pytest_asyncio

from rowcast.server.cli import run_command_line
from tests.integration.server.running import Running, running


@pytest_asyncio.fixture
async def api(dsn: str) -> AsyncIterator[Running]:
    """A gateway without relay and deliveries: what is emitted stays pending."""
    async with running(dsn) as server:
        yield server


@dataclass(frozen=True)
class Done:
    """How a command ended and what it printed."""

    code: int
    out: str
    err: str

    @property
    def value(self) -> Any:
        """Give what was printed as JSON."""
        return json.loads(self.out)


Command = Callable[..., Done]


@pytest.fixture
def command(dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """`command("events", "--json")` runs a verb on this test's database, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    for name in ("ROWCAST_CONFIG", "ROWCAST_DATABASE__URL"):
        monkeypatch.delenv(name, raising=False)

    def run(*words: str, on: str | None = dsn, stdin: str = "") -> Done:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin.encode())))
        capsys.readouterr()
        code = run_command_line([*words, *(["--database", on] if on else [])])
        printed = capsys.readouterr()
        return Done(int(code), printed.out, printed.err)

    return run


@pytest.fixture
def sql(dsn: str) -> Callable[..., list[tuple[Any, ...]]]:
    """`sql("select ...")` runs a statement on this test's database and gives its rows."""

    def run(statement: str, values: Any = None) -> list[tuple[Any, ...]]:
        with psycopg.connect(dsn, autocommit=True) as connection:
            cursor = connection.execute(statement, values)
            return cursor.fetchall() if cursor.description else []

    return run
