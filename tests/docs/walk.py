"""A reader who does what a page says, in a folder of their own: writes the files, types the commands, looks at what comes."""

import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from .page import Block, has_line

PATIENCE_S = 60.0
RUN_SQL = (
    "import os, sys, psycopg; psycopg.connect(os.environ['DATABASE_URL'], autocommit=True).execute(sys.stdin.read())"
)


class Terminal:
    """A program that was started and left running, with what it has printed in a file."""

    def __init__(self, script: str, *, folder: Path, environment: dict[str, str], output: Path) -> None:
        self._output = output
        with output.open("wb") as file:
            self._process = subprocess.Popen(
                ["bash", "-ec", script], cwd=folder, env=environment, stdout=file, stderr=file, start_new_session=True
            )

    def wait_for(self, line: str) -> None:
        """Go on when the line is there; fail with all that is there instead."""
        until(lambda: has_line(line, self.printed()), lambda: f"{line!r} never came; there was:\n{self.printed()}")

    def printed(self) -> str:
        """Give all that was printed so far."""
        return self._output.read_text("utf-8")

    def stop(self) -> None:
        """Press Ctrl-C: everything in the terminal gets SIGINT."""
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGINT)
            self._process.wait(timeout=30)


class Reader:
    """Follows blocks one after the other. What a command exports, the next one has."""

    def __init__(self, folder: Path, *, port: int) -> None:
        self._folder = folder
        self._port = str(port)
        self._terminals: dict[str, Terminal] = {}
        self._last: Block | None = None
        self._printed = ""
        activate = folder / ".venv" / "bin" / "activate"
        activate.parent.mkdir(parents=True)
        activate.write_text(f'export PATH="{Path(sys.executable).parent}:$PATH"\n')
        self._exports = folder.parent / f"{folder.name}.exports"
        self._exports.write_text(f". '{activate}'\n")

    def follow(self, block: Block) -> None:
        """Do what one block asks for."""
        if "stop" in block.marks:
            self._terminals.pop(block.marks["stop"]).stop()
        if "set-up" in block.marks:
            return
        if block.title:
            self._write(block.title, block.text)
        elif "replace" in block.marks:
            self._replace(block)
        elif block.language == "text":
            self._compare(block)
        elif block.language == "sql":
            self._printed = self._run(f'python -c "{RUN_SQL}" <<< "{block.text}"', block)
        elif "terminal" in block.marks:
            self._start(block)
        elif "repeat" not in block.marks:
            self._printed = self._run(block.text, block)
        self._last = block

    def export(self, name: str, value: str) -> None:
        """Make a variable known to everything that follows, in the place of a block that is not run."""
        with self._exports.open("a", encoding="utf-8") as file:
            file.write(f"export {name}={shlex.quote(value)}\n")

    def leave(self) -> None:
        """Stop what was left running."""
        for terminal in self._terminals.values():
            terminal.stop()

    def _write(self, name: str, text: str) -> None:
        (self._folder / name).write_text(text.replace("9000", self._port), "utf-8")

    def _replace(self, block: Block) -> None:
        file = self._folder / block.marks["replace"]
        beginning = block.text.split("=")[0]
        lines = file.read_text("utf-8").splitlines(keepends=True)
        places = [place for place, line in enumerate(lines) if line.startswith(beginning)]
        assert len(places) == 1, f"line {block.line}: {beginning!r} is not one line of {file.name}"
        lines[places[0]] = block.text
        file.write_text("".join(lines), "utf-8")

    def _script(self, text: str) -> str:
        typed = text.replace("9000", self._port).replace("rowcast dev", "rowcast dev --port 0 --no-open")
        typed = typed.replace("--port 7400", "--port 0")
        return f". '{self._exports}'\n{typed}\n"

    def _run(self, text: str, block: Block) -> str:
        done = subprocess.run(
            ["bash", "-ec", self._script(text) + f"export -p > '{self._exports}'"],
            cwd=self._folder, env=_environment(), capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        printed = done.stdout + done.stderr
        assert (done.returncode != 0) == ("fails" in block.marks), f"line {block.line}:\n{block.text}\n{printed}"
        return printed

    def _start(self, block: Block) -> None:
        name = block.marks["terminal"]
        output = self._folder.parent / f"{self._folder.name}.{name}"
        script = self._script(block.text)
        terminal = Terminal(script, folder=self._folder, environment=_environment(), output=output)
        self._terminals[name] = terminal
        terminal.wait_for(block.marks["until"])

    def _compare(self, block: Block) -> None:
        lines = [line for line in block.text.splitlines() if line.strip()]
        if "in" in block.marks:
            for line in lines:
                self._terminals[block.marks["in"]].wait_for(line)
            return
        assert self._last is not None
        if "repeat" in self._last.marks:
            until(lambda: self._shows(lines), lambda: f"line {block.line}: not shown by\n{self._printed}")
        missing = [line for line in lines if not has_line(line, self._printed)]
        assert missing == [], f"line {block.line}: {missing} is not in\n{self._printed}"

    def _shows(self, lines: list[str]) -> bool:
        assert self._last is not None
        self._printed = self._run(self._last.text, self._last)
        return all(has_line(line, self._printed) for line in lines)


def until(is_so: Callable[[], bool], complaint: Callable[[], str]) -> None:
    """Look again and again; fail with a complaint when the patience ends."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        if is_so():
            return
        time.sleep(0.1)
    pytest.fail(complaint())


def _environment() -> dict[str, str]:
    """Give an environment without anything of this machine that changes what the product does."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("ROWCAST_", "PYTEST_", "COV_"))}
    return {**kept, "NO_COLOR": "1", "PYTHONUNBUFFERED": "1"}
