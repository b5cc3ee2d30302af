"""What is committed for users without Node is what the sources build to."""

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BUILT = ROOT / "src" / "rowcast" / "observe" / "dashboard" / "static"
SOURCES = ("build.mjs", "package.json", "package-lock.json", "src")


def npm(folder: Path, *words: str) -> None:
    """Run npm in a folder; skip where packages cannot be had."""
    done = subprocess.run(["npm", *words], cwd=folder, timeout=110, check=False, capture_output=True, text=True)
    if done.returncode and words[0] == "ci":
        pytest.skip(f"npm cannot install here, so the built pages are NOT compared:\n{done.stderr[-500:]}")
    assert done.returncode == 0, done.stderr


def test_the_committed_pages_are_what_the_sources_build_to(tmp_path: Path) -> None:
    if shutil.which("npm") is None:
        pytest.skip("npm is missing, so the built pages are NOT compared: apt-get install nodejs npm")
    dashboard = tmp_path / "dashboard"
    dashboard.mkdir()
    for name in SOURCES:
        copy = shutil.copytree if (ROOT / "dashboard" / name).is_dir() else shutil.copy
        copy(ROOT / "dashboard" / name, dashboard / name)
    npm(dashboard, "ci", "--silent", "--no-audit", "--no-fund")

    npm(dashboard, "run", "build")

    built = tmp_path / "src" / "rowcast" / "observe" / "dashboard" / "static"
    want = {file.name: file.read_bytes() for file in built.iterdir()}
    have = {file.name: file.read_bytes() for file in BUILT.iterdir()}
    assert have == want, "run `npm ci && npm run build` in dashboard/ and commit the result"
