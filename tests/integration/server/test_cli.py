"""The command line as a whole: flags anywhere, no traceback for what a person does, silence for `| head`."""

import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import typer.main

from rowcast.server.cli import application
from rowcast.server.output import ExitCode
from tests.integration.server.conftest import Command
from tests.integration.server.processes import environment, started

VERBS = (
    "dev",
    "serve",
    "status",
    "events",
    "deliveries",
    "dead-letters",
    "psql",
    "emit",
    "replay",
    "migrate",
    "watch",
    "doctor",
    "listen",
    "resend",
    "recover",
)


def test_the_version_is_printed(command: Command) -> None:
    assert command("version", on=None).out.strip() == command("version", "--json", on=None).value["version"]


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_explains_itself_and_takes_the_global_flags(command: Command, verb: str) -> None:
    done = command(verb, "--help", on=None)

    assert done.code == 0
    assert all(flag in done.out for flag in ("--database", "--config", "--data"))


def test_the_list_of_verbs_is_whole(command: Command) -> None:
    named = {registered.name or "version" for registered in application.registered_commands}

    assert named == {*VERBS, "version"}


def test_global_flags_may_stand_before_the_verb_and_after_it(command: Command, dsn: str) -> None:
    assert command("--database", dsn, "events", on=None).code == 0
    assert command("events", "--database", dsn, on=None).code == 0
    assert command("--database", "postgresql://nobody@127.0.0.1:1/x", "events").code == 0


def test_no_words_print_the_help(command: Command) -> None:
    done = command(on=None)

    assert "Usage: rowcast" in done.out + done.err


@pytest.mark.parametrize("verb", ["events", "status", "serve"])
def test_ctrl_c_ends_a_command_that_waits_without_a_traceback(tmp_path: Path, verb: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"postgresql://nobody@127.0.0.1:{silent.getsockname()[1]}/x"
        with started(verb, "--database", url, folder=tmp_path) as process:
            connection, _ = silent.accept()
            process.signal(signal.SIGINT)
            code, _, err = process.end()
            connection.close()

    assert code == 130
    assert "Traceback" not in err


def test_ctrl_c_while_it_loads_shows_no_traceback(tmp_path: Path) -> None:
    with started("events", folder=tmp_path) as process:
        time.sleep(0.15)
        process.signal(signal.SIGINT)
        code, _, err = process.end()

    assert code in (130, -2, 3)
    assert "rowcast" not in err or "Traceback" not in err


def test_a_reader_that_goes_away_is_no_news(tmp_path: Path) -> None:
    line = f"{sys.executable} -m rowcast config show --json | head -n 1"

    done = subprocess.run(
        ["sh", "-c", line], cwd=tmp_path, env=environment(), capture_output=True, text=True, timeout=60, check=True
    )

    assert done.stdout == "{\n"
    assert done.stderr == ""


def test_a_fault_of_ours_has_its_own_exit_code(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fault(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("rowcast.server.cli_keys.list_keys", fault)
    done = command("keys", "list")

    assert done.code == 70
    assert "This is a fault in rowcast" in done.err


PAGE = Path(__file__).parents[3] / "docs" / "reference" / "cli.md"


def test_the_page_of_exit_codes_says_what_the_code_says() -> None:
    rows = re.findall(r"^\| (\d+) \| `([A-Z_]+)` \|", PAGE.read_text("utf-8"), re.MULTILINE)

    assert [(int(number), name) for number, name in rows] == [(code.value, code.name) for code in ExitCode]


def test_the_page_of_verbs_lists_every_verb_with_its_own_flags() -> None:
    rows = dict(
        re.findall(r"^\| `([a-z -]+?)(?: \[?[A-Z].*?)?` \| [^|]+ \| ([^|]*) \|", PAGE.read_text("utf-8"), re.MULTILINE)
    )
    verbs = {registered.name or "version" for registered in application.registered_commands} | {
        f"{group.name or group.typer_instance.info.name} {each.name}"
        for group in application.registered_groups
        for each in group.typer_instance.registered_commands
    }

    assert rows.keys() == verbs
    for verb, flags in rows.items():
        main = main_names(verb)
        named = {main.get(flag, flag) for flag in re.findall(r"--[a-z-]+", flags)}
        assert named == set(main.values()) - {"--database", "--config", "--data", "--help"}, verb


def main_names(verb: str) -> dict[str, str]:
    """Give each name of each flag of a verb, and the first name of that flag."""
    found: Any = typer.main.get_command(application)
    for word in verb.split():
        found = found.commands[word]
    flags = [each for each in found.params if each.param_type_name == "option"]
    return {name: each.opts[0] for each in flags for name in (*each.opts, *each.secondary_opts)}
