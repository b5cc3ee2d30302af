"""Every tutorial works as it stands: its files are written, its commands typed, its output compared."""

import socket
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from .page import blocks_of
from .walk import Reader

PAGE = Path(__file__).parents[2] / "docs" / "tutorials" / "first-event.md"


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[Reader]:
    """Somebody with an empty folder and a free port."""
    folder = tmp_path / "helpdesk"
    folder.mkdir()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    someone = Reader(folder, port=port)
    yield someone
    someone.leave()


@pytest.mark.timeout(300)
def test_the_first_event_tutorial_works_as_it_stands(reader: Reader) -> None:
    for block in blocks_of(PAGE):
        reader.follow(block)


def test_what_the_tutorial_installs_is_what_it_imports() -> None:
    set_up = next(block for block in blocks_of(PAGE) if "set-up" in block.marks)
    packages = set_up.text.rpartition("pip install ")[2].split()

    assert packages == ["rowcast", "standardwebhooks", "realtime"]
    assert all(find_spec(package) for package in packages)
