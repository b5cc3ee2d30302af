"""A data folder belongs to one process at a time and says what is wrong with it."""

import os
import stat
from pathlib import Path
from urllib.parse import unquote

import pytest

from rowcast.core.errors import ConfigError
from rowcast.server.embedded import EmbeddedPostgres
from rowcast.store.pool import connect
from tests.integration.server.embedded_probe import ask, code_of_start, is_running, kill, start_child, until


async def test_both_ways_in_need_the_password_which_only_we_may_read(server_folder: Path) -> None:
    async with EmbeddedPostgres(server_folder) as server:
        password = (server_folder / "password").read_text().strip()
        for dsn in (server.dsn, server.socket_dsn):
            assert await ask(dsn, "select current_user") == "postgres"
            with pytest.raises(ConfigError):
                await connect(dsn.replace(password, "wrong"))

    assert stat.S_IMODE((server_folder / "password").stat().st_mode) == 0o600
    assert stat.S_IMODE((server_folder / "data").stat().st_mode) == 0o700
    assert stat.S_IMODE((server_folder / "postgres.log").stat().st_mode) == 0o600


async def test_a_deep_folder_still_gets_a_socket(server_folder: Path) -> None:
    deep = server_folder / "/".join(["deep" * 10] * 4)
    async with EmbeddedPostgres(deep) as server:
        socket_folder = Path(unquote(server.socket_dsn.split("host=")[1].split("&")[0]))
        assert await ask(server.socket_dsn, "select 1") == 1
        assert len(os.fsencode(socket_folder / f".s.PGSQL.{server.port}")) <= 100

    await until(lambda: not socket_folder.exists())


async def test_a_second_user_of_a_folder_is_refused_and_told_who_the_first_is(server_folder: Path) -> None:
    async with EmbeddedPostgres(server_folder) as server:
        with pytest.raises(ConfigError, match=f"in use by process {os.getpid()}") as caught:
            async with EmbeddedPostgres(server_folder):
                raise AssertionError("started")

        assert await ask(server.dsn, "select 1") == 1
    assert caught.value.code == "config.data_locked"


async def test_another_process_on_the_folder_is_refused_until_it_is_killed(server_folder: Path) -> None:
    child, pid = start_child(server_folder)
    with pytest.raises(ConfigError, match=f"in use by process {child.pid}"):
        async with EmbeddedPostgres(server_folder):
            raise AssertionError("started")

    kill(child)

    async with EmbeddedPostgres(server_folder) as server:
        assert server.pid != pid
    assert not is_running(pid)


async def test_a_cluster_that_was_half_made_is_made_anew(server_folder: Path) -> None:
    (server_folder / "data.new").mkdir()
    (server_folder / "data.new" / "PG_VERSION").write_text("18\n")

    async with EmbeddedPostgres(server_folder) as server:
        assert await ask(server.dsn, "select 1") == 1
    assert not (server_folder / "data.new").exists()


async def test_a_lost_password_and_data_of_another_version_are_named(server_folder: Path) -> None:
    async with EmbeddedPostgres(server_folder):
        pass
    (server_folder / "data" / "PG_VERSION").write_text("12\n")
    assert await code_of_start(server_folder) == "config.data_version"

    (server_folder / "password").unlink()
    assert await code_of_start(server_folder) == "config.data_password"


async def test_a_folder_that_cannot_be_made_is_named(server_folder: Path) -> None:
    (server_folder / "file").write_text("no folder")

    assert await code_of_start(server_folder / "file" / "deeper") == "config.data_folder"


def _rights(pid: int | None) -> int:
    (line,) = [line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("CapEff:")]
    return int(line.split()[1], 16)


async def test_a_folder_that_only_its_owner_may_enter_serves_and_lends_no_right_but_that_to_enter(
    server_folder: Path,
) -> None:
    closed = server_folder / "closed"
    closed.mkdir(mode=0o700)

    async with EmbeddedPostgres(closed / "deeper") as server:
        assert await ask(server.dsn, "select 1") == 1
        # 1 << 2: CAP_DAC_READ_SEARCH.
        assert _rights(server.pid) & ~(1 << 2) == 0


async def test_a_server_that_can_reach_its_folder_has_no_special_right(server_folder: Path) -> None:
    async with EmbeddedPostgres(server_folder / "open") as server:
        assert _rights(server.pid) == 0
