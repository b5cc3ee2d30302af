"""`rowcast doctor`: every finding with its fix, and an exit code for what must not stay."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.integration.server.conftest import Command


def test_a_good_database_passes_in_text_and_in_json(command: Command) -> None:
    text, value = command("doctor"), command("doctor", "--json")

    assert (text.code, value.code) == (0, 0)
    assert "PostgreSQL version" in text.out
    assert {finding["check"] for finding in value.value["data"]} >= {"schema", "clock", "watches", "open files"}


def test_what_fails_is_told_by_the_exit_code(command: Command, sql: Callable[..., Any]) -> None:
    sql("delete from rowcast.migration where name = (select max(name) from rowcast.migration)")

    done = command("doctor")

    assert done.code == 1
    assert "rowcast migrate" in done.out


def test_declared_watches_are_looked_at(command: Command, tmp_path: Path) -> None:
    (tmp_path / "rowcast.toml").write_text(
        '[[watch]]\ntable = "orders"\ntopic = "orders:{org_id}"\ncolumns = ["id", "org_id"]\n'
    )

    findings = {finding["check"]: finding for finding in command("doctor", "--json").value["data"]}

    assert findings["watches"]["found"] == "orders: table_gone"
