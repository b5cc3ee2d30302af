"""No server outlives those who need it."""

import os
from pathlib import Path

from rowcast.server.embedded import EmbeddedPostgres
from rowcast.server.embedded_guard import hold_pipe
from tests.integration.server.embedded_probe import ask, guards_of, is_running, kill, start_child, until, until_gone


async def test_nothing_runs_after_the_block(server_folder: Path) -> None:
    async with EmbeddedPostgres(server_folder) as server:
        pid = server.pid
        assert pid is not None

    assert not is_running(pid)
    assert guards_of(pid) == []


async def test_the_guard_stops_the_server_of_a_process_that_was_killed(server_folder: Path) -> None:
    child, pid = start_child(server_folder)
    (guard,) = guards_of(pid)

    kill(child)

    await until_gone(pid)
    await until_gone(guard)
    assert "received fast shutdown request" in (server_folder / "postgres.log").read_text()


async def test_a_temporary_folder_goes_with_its_server(server_folder: Path) -> None:
    folder = server_folder / "temporary"
    async with EmbeddedPostgres(folder, is_temporary=True):
        assert folder.exists()

    assert not folder.exists()


async def test_a_server_that_was_handed_over_ends_with_its_last_holder(server_folder: Path) -> None:
    folder = server_folder / "shared"
    async with EmbeddedPostgres(folder, is_temporary=True) as server:
        pid, dsn = server.pid, server.dsn
        assert pid is not None
        pipe = hold_pipe(folder)
        assert pipe is not None
        server.hand_over()
    assert await ask(dsn, "select 1") == 1

    os.close(pipe)

    await until_gone(pid)
    await until(lambda: not folder.exists())
    assert hold_pipe(folder) is None
