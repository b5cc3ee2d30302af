"""The documentation builds strictly, asks no other host for anything, and shows the public names."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built pages."""
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def test_no_page_loads_anything_from_another_host(site: Path) -> None:
    loading = re.compile(
        r"<(?:script|img|iframe)[^>]*\ssrc=[\"']?(?:https?:)?//|<link[^>]*stylesheet[^>]*href=[\"']?(?:https?:)?//"
    )

    pages = [page for page in site.rglob("*.html") if loading.search(page.read_text("utf-8"))]

    assert pages == []


def test_every_page_that_was_written_is_reached_from_the_navigation(site: Path) -> None:
    written = {page.relative_to(ROOT / "docs").with_suffix("").as_posix() for page in (ROOT / "docs").rglob("*.md")}
    home = (site / "index.html").read_text("utf-8")

    missing = [name for name in written - {"index"} if f'href="{name.removesuffix("/index")}/"' not in home]

    assert missing == []


def test_the_page_of_public_names_shows_what_each_gives(site: Path) -> None:
    page = (site / "reference" / "api" / "index.html").read_text("utf-8")
    names = re.findall(
        r"^::: rowcast\.(\w+)", (ROOT / "docs" / "reference" / "api.md").read_text("utf-8"), re.MULTILINE
    )

    assert [name for name in names if f'id="rowcast.{name}"' not in page] == []
