from types import SimpleNamespace

import pytest

from rowcast.testing import cluster

GIB = 2**30


@pytest.mark.parametrize(("free_bytes", "ground"), [(64 * GIB, "/dev/shm"), (GIB, "/tmp")])
def test_the_data_of_tests_lie_in_memory_where_there_is_room(
    free_bytes: int, ground: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=free_bytes))
    monkeypatch.setattr("os.access", lambda *_: True)
    monkeypatch.setattr("pathlib.Path.is_dir", lambda _: True)

    assert cluster._ground() == ground


def test_a_machine_without_memory_to_write_to_uses_its_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pathlib.Path.is_dir", lambda _: False)

    assert cluster._ground() == "/tmp"
