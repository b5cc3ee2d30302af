"""`rowcast dev` as a person starts it, once for all acceptance tests of a worker."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest

ROOT = Path(__file__).parents[2]
JS = ROOT / "tests" / "js"
START_S = 60.0


@dataclass
class Development:
    """A running `rowcast dev` and what `rowcast status --json` says of it."""

    process: subprocess.Popen[str]
    folder: Path
    printed: str
    instance: dict[str, Any] = field(default_factory=dict)

    def received(self) -> dict[str, Any]:
        """Give what the catcher and the jobs have received."""
        with urlopen(self.instance["api_url"] + "/dev/received", timeout=10) as reply:
            value: dict[str, Any] = json.load(reply)
            return value

    def wait_for(self, found: Any, *, seconds: float = 20.0) -> Any:
        """Give the first true answer of `found(received)`; fail with what was there instead."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            received = self.received()
            if answer := found(received):
                return answer
            time.sleep(0.1)
        pytest.fail(f"did not arrive within {seconds} s; there was {json.dumps(received)[:2000]}")


def rowcast(*words: str, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run one command to its end."""
    return subprocess.run(
        [sys.executable, "-m", "rowcast", *words], capture_output=True, text=True, timeout=60, check=False, **options
    )


def start_development(folder: Path, *flags: str, is_by_make: bool = False) -> Development:
    """Start `rowcast dev`, or `make dev`, and read its page up to the last line."""
    words = ["--port", "0", "--data", str(folder), "--no-open", *flags]
    command = (
        ["make", "dev", f"ARGS={' '.join(words)}"] if is_by_make else [sys.executable, "-m", "rowcast", "dev", *words]
    )
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1", "NO_COLOR": "1"},
    )
    assert process.stdout is not None
    deadline, lines = time.monotonic() + START_S, []
    while time.monotonic() < deadline and (line := process.stdout.readline()):
        lines.append(line)
        if "Ctrl-C" in line:
            return Development(process, folder, "".join(lines), _instance(folder))
    process.kill()
    process.communicate(timeout=10)
    pytest.fail("rowcast dev did not start:\n" + "".join(lines))


def _instance(folder: Path) -> dict[str, Any]:
    answer = rowcast("--data", str(folder), "status", "--json")
    assert answer.returncode == 0, answer.stderr
    instance: dict[str, Any] = json.loads(answer.stdout)["instance"]
    return instance


def stop_development(development: Development) -> int:
    """Press Ctrl-C: the whole foreground process group gets SIGINT, as from a terminal."""
    os.killpg(development.process.pid, signal.SIGINT)
    development.process.communicate(timeout=30)
    return development.process.returncode


@pytest.fixture(scope="session")
def development(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Development]:
    """A running `rowcast dev` without its sample traffic."""
    running = start_development(tmp_path_factory.mktemp("dev"), "--no-traffic")
    yield running
    if running.process.poll() is None:
        stop_development(running)


@pytest.fixture(scope="session")
def node_modules() -> Path:
    """The stock JavaScript client; without Node the test says how to get it."""
    if shutil.which("npm") is None:
        pytest.skip("Node.js is missing: apt-get install nodejs npm")
    if not (JS / "node_modules" / "@supabase" / "realtime-js").is_dir():
        pytest.skip("the stock JavaScript client is missing: npm ci --prefix tests/js")
    return JS
