import os
import stat
from pathlib import Path

import msgspec
import pytest

from rowcast.core.errors import NotFoundError
from rowcast.server.instance import Instance, read_instance, remove_instance, shell_lines, write_instance

HERE = Instance(
    pid=os.getpid(), api_url="http://a", websocket_url="ws://a", live_url="http://a/live", catcher_url="http://a/c",
    database_url="postgresql://a", anon_key="anon", service_key="service", user_token="user", api_key="rk", tenant_id="acme",
    data_folder="/d",
)  # fmt: skip


def test_what_was_written_is_read_back(tmp_path: Path) -> None:
    write_instance(tmp_path, HERE)

    assert read_instance(tmp_path) == HERE


def test_the_file_is_its_owners_alone(tmp_path: Path) -> None:
    write_instance(tmp_path, HERE)

    assert stat.S_IMODE((tmp_path / "instance.json").stat().st_mode) == 0o600


def test_nothing_runs_where_no_file_is(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError) as refused:
        read_instance(tmp_path)

    assert refused.value.code == "input.no_instance"


def test_the_file_of_a_dead_process_counts_for_nothing(tmp_path: Path) -> None:
    write_instance(tmp_path, msgspec.structs.replace(HERE, pid=2**22 + 1))

    with pytest.raises(NotFoundError):
        read_instance(tmp_path)


def test_a_half_written_file_counts_for_nothing(tmp_path: Path) -> None:
    (tmp_path / "instance.json").write_text('{"pid": 1')

    with pytest.raises(NotFoundError):
        read_instance(tmp_path)


def test_removing_twice_is_no_error(tmp_path: Path) -> None:
    write_instance(tmp_path, HERE)

    remove_instance(tmp_path)
    remove_instance(tmp_path)

    assert list(tmp_path.iterdir()) == []


def test_shell_lines_are_quoted() -> None:
    lines = shell_lines(msgspec.structs.replace(HERE, database_url="postgresql://a'b"))

    assert "export ROWCAST_API_KEY=rk" in lines
    assert "export DATABASE_URL='postgresql://a'\"'\"'b'" in lines
