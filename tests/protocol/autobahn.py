"""Autobahn|Testsuite, which runs on CPython 2.7 only: found, installed once beside the tests, and run as a client."""

import asyncio
import fcntl
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest

_WANTED = "autobahntestsuite==0.8.2"
_FOLDER = Path(tempfile.gettempdir()) / "rowcast-autobahn"
_INSTALL_S = 300
_RUN = "import sys; from autobahntestsuite.wstest import run; sys.argv = ['wstest'] + sys.argv[1:]; run()"
_HOW = (
    "NOT TESTED: Autobahn|Testsuite needs CPython 2.7. Install one (apt-get install python2.7, or pyenv install 2.7.18), "
    f"name it as ROWCAST_TEST_PYTHON27 where it is not on the PATH, and let it install {_WANTED}."
)


def require_autobahn() -> Path:
    """Give the Python 2.7 that has the suite; skip, and say what to do, where it cannot be had."""
    python = next(filter(_is_python27, _candidates()), None)
    if python is None:
        pytest.skip(_HOW)
    with _FOLDER.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not _has_suite(python):
            _install(python)
    return python


def _candidates() -> Iterable[Path]:
    named = os.environ.get("ROWCAST_TEST_PYTHON27")
    found = [named] if named else [shutil.which("python2.7")]
    yield from (Path(each) for each in found if each)
    root = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    yield from sorted(root.glob("versions/2.7*/bin/python2.7"))


def _is_python27(python: Path) -> bool:
    # What is on the PATH may be a stand-in that starts nothing.
    try:
        return subprocess.run([python, "-c", ""], capture_output=True, timeout=30, check=False).returncode == 0
    except OSError:
        return False


def _environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "PYENV_VERSION"))}
    return {**kept, "PYTHONPATH": str(_FOLDER), "PYTHONWARNINGS": "ignore"}


def _has_suite(python: Path) -> bool:
    command = [python, "-c", "from autobahntestsuite import wstest"]
    return subprocess.run(command, env=_environment(), capture_output=True, timeout=60, check=False).returncode == 0


def _install(python: Path) -> None:
    shutil.rmtree(_FOLDER, ignore_errors=True)
    command = [python, "-m", "pip", "install", "--quiet", "--target", str(_FOLDER), _WANTED]
    done = subprocess.run(command, capture_output=True, timeout=_INSTALL_S, check=False)
    if done.returncode == 0:
        # A namespace that is only one in a place that Python looks through for `.pth` files, which this is not.
        (_FOLDER / "zope" / "__init__.py").touch()
    if done.returncode != 0 or not _has_suite(python):
        pytest.skip(f"{_HOW} pip said: {done.stderr.decode(errors='replace')[-300:]}")


async def run_autobahn(
    python: Path, url: str, *, cases: Iterable[str], excluded: Iterable[str], folder: Path, timeout_s: float
) -> Mapping[str, Any]:
    """Run the suite against a server that echoes and give the verdict of each case."""
    specification = {
        "outdir": str(folder / "report"),
        "servers": [{"agent": "rowcast", "url": url, "options": {"version": 18}}],
        "cases": list(cases),
        "exclude-cases": list(excluded),
        "exclude-agent-cases": {},
    }
    file = folder / "cases.json"
    file.write_text(json.dumps(specification))
    process = await asyncio.create_subprocess_exec(
        python, "-c", _RUN, "-m", "fuzzingclient", "-s", str(file),
        cwd=folder, env=_environment(), stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        async with asyncio.timeout(timeout_s):
            _, said = await process.communicate()
    except TimeoutError:
        process.kill()
        await process.wait()
        raise
    assert process.returncode == 0, said.decode(errors="replace")[-2000:]
    verdicts: dict[str, Any] = json.loads((folder / "report" / "index.json").read_text())["rowcast"]
    return verdicts
