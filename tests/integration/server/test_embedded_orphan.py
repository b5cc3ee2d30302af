"""What the guard did not stop, the next start does; a stale pid file stops nobody."""

import os
import signal
from pathlib import Path

from rowcast.server.embedded import EmbeddedPostgres
from tests.integration.server.embedded_probe import ask, guards_of, is_running, kill, start_child


async def test_a_server_that_nobody_guards_is_stopped_by_the_next_start(server_folder: Path) -> None:
    child, pid = start_child(server_folder)
    for guard in guards_of(pid):
        os.kill(guard, signal.SIGKILL)
    kill(child)
    assert is_running(pid)

    async with EmbeddedPostgres(server_folder) as server:
        assert await ask(server.dsn, "select 1") == 1
        assert not is_running(pid)


async def test_a_pid_file_that_names_somebody_else_is_healed(server_folder: Path) -> None:
    async with EmbeddedPostgres(server_folder):
        pid_file = server_folder / "data" / "postmaster.pid"
        text = pid_file.read_text()
    pid_file.write_text("\n".join([str(os.getpid()), *text.splitlines()[1:]]))

    async with EmbeddedPostgres(server_folder) as server:
        assert await ask(server.dsn, "select 1") == 1
