"""The embedded PostgreSQL: keeps its data, belongs to one process at a time, and never outlives it."""

import asyncio
import os
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from urllib.parse import unquote

import pytest

from rowcast.core.errors import ConfigError
from rowcast.core.telemetry import listening
from rowcast.server.embedded import EmbeddedPostgres, find_free_port
from rowcast.server.embedded_guard import hold_pipe
from rowcast.store.pool import connect

# Starts a server on a folder, says its pid, and waits.
_CHILD = """
import asyncio, sys
from pathlib import Path
from rowcast.server.embedded import EmbeddedPostgres
async def main():
    async with EmbeddedPostgres(Path(sys.argv[1])) as server:
        print(server.pid, flush=True)
        await asyncio.sleep(60)
asyncio.run(main())
"""
# The same as an ordinary user, where we are root: everything is imported before the privileges go.
_ORDINARY = """
import asyncio, concurrent.futures.thread, encodings.ascii, encodings.idna, os, sys
from pathlib import Path
from rowcast.server.embedded import EmbeddedPostgres
from rowcast.store.pool import connect
async def main():
    async with EmbeddedPostgres(Path(sys.argv[1])) as server:
        connection = await connect(server.dsn)
        print(await connection.driver.fetchval("select 1"), os.stat(sys.argv[1] + "/data").st_uid == os.getuid())
        await connection.close()
if os.geteuid() == 0:
    os.setgroups([]); os.setgid(65534); os.setuid(65534)
asyncio.run(main())
"""


async def _ask(dsn: str, text: str) -> object:
    connection = await connect(dsn)
    try:
        return await connection.driver.fetchval(text)
    finally:
        await connection.close()


def _is_running(pid: int) -> bool:
    """A process that has ended but that nobody waits for is not running."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


async def _until(is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not is_so():  # noqa: ASYNC110 - another process does it
            await asyncio.sleep(0.02)


async def _until_gone(pid: int) -> None:
    await _until(lambda: not _is_running(pid))


def _start_child(folder: Path) -> tuple[subprocess.Popen[str], int]:
    child = subprocess.Popen(
        [sys.executable, "-c", _CHILD, str(folder)], stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    assert child.stdout is not None
    return child, int(child.stdout.readline())


def _kill(child: subprocess.Popen[str]) -> None:
    child.kill()
    child.wait()
    assert child.stdout is not None
    child.stdout.close()


def _guards_of(pid: int) -> list[int]:
    lines = {
        int(path.parent.name): path.read_bytes().split(b"\0")
        for path in Path("/proc").glob("[0-9]*/cmdline")
        if path.exists()
    }
    return [guard for guard, words in lines.items() if b"rowcast-guard" in words and str(pid).encode() in words]


async def test_data_are_kept_between_starts(server_folder: Path) -> None:
    async with EmbeddedPostgres(server_folder) as server:
        await _ask(server.dsn, "create table kept as select 42 as n")

    async with EmbeddedPostgres(server_folder) as server:
        assert await _ask(server.dsn, "select n from kept") == 42


async def test_nothing_runs_after_the_block(server_folder: Path) -> None:
    async with EmbeddedPostgres(server_folder) as server:
        pid = server.pid
        assert pid is not None

    assert not _is_running(pid)
    assert _guards_of(pid) == []


async def test_the_server_is_ready_for_replication_and_bounded(server_folder: Path) -> None:
    wanted = {"wal_level": "logical", "max_slot_wal_keep_size": "2GB", "max_connections": "200", "fsync": "on"}
    async with EmbeddedPostgres(server_folder) as server:
        got = {name: await _ask(server.dsn, f"select current_setting('{name}')") for name in wanted}
        senders = await _ask(server.dsn, "select current_setting('max_wal_senders')::int")
        slots = await _ask(server.dsn, "select current_setting('max_replication_slots')::int")

    assert got == wanted
    assert isinstance(senders, int)
    assert isinstance(slots, int)
    assert min(senders, slots) >= 10


async def test_both_ways_in_need_the_password_which_only_we_may_read(server_folder: Path) -> None:
    async with EmbeddedPostgres(server_folder) as server:
        password = (server_folder / "password").read_text().strip()
        for dsn in (server.dsn, server.socket_dsn):
            assert await _ask(dsn, "select current_user") == "postgres"
            with pytest.raises(ConfigError):
                await connect(dsn.replace(password, "wrong"))

    assert stat.S_IMODE((server_folder / "password").stat().st_mode) == 0o600
    assert stat.S_IMODE((server_folder / "data").stat().st_mode) == 0o700


async def test_a_taken_port_gives_way_to_the_next_free_one_and_says_so(server_folder: Path) -> None:
    told: list[tuple[str, Mapping[str, object]]] = []
    with socket.create_server(("127.0.0.1", 0)) as taken, listening(lambda name, facts: told.append((name, facts))):
        asked = taken.getsockname()[1]
        async with EmbeddedPostgres(server_folder, port=asked) as server:
            assert server.port > asked
            assert await _ask(server.dsn, "select 1") == 1

    assert ("embedded.port_taken", {"asked": asked, "port": server.port}) in told


async def test_the_port_that_was_asked_for_is_used_and_kept_over_a_restart(server_folder: Path) -> None:
    asked = find_free_port(0)
    async with EmbeddedPostgres(server_folder, port=asked) as server:
        dsn = server.dsn
        await server.stop()
        await server.start()

        assert (server.port, await _ask(dsn, "select 1")) == (asked, 1)


async def test_a_deep_folder_still_gets_a_socket(server_folder: Path) -> None:
    deep = server_folder / "/".join(["deep" * 10] * 4)
    async with EmbeddedPostgres(deep) as server:
        socket_folder = Path(unquote(server.socket_dsn.split("host=")[1].split("&")[0]))
        assert await _ask(server.socket_dsn, "select 1") == 1
        assert len(os.fsencode(socket_folder / f".s.PGSQL.{server.port}")) <= 100

    await _until(lambda: not socket_folder.exists())


async def test_a_second_user_of_a_folder_is_refused_and_told_who_the_first_is(server_folder: Path) -> None:
    async with EmbeddedPostgres(server_folder) as server:
        with pytest.raises(ConfigError, match=f"in use by process {os.getpid()}") as caught:
            async with EmbeddedPostgres(server_folder):
                raise AssertionError("started")

        assert await _ask(server.dsn, "select 1") == 1
    assert caught.value.code == "config.data_locked"


async def test_another_process_on_the_folder_is_refused_until_it_is_killed(server_folder: Path) -> None:
    child, pid = _start_child(server_folder)
    with pytest.raises(ConfigError, match=f"in use by process {child.pid}"):
        async with EmbeddedPostgres(server_folder):
            raise AssertionError("started")

    _kill(child)

    async with EmbeddedPostgres(server_folder) as server:
        assert server.pid != pid
    assert not _is_running(pid)


async def test_the_guard_stops_the_server_of_a_process_that_was_killed(server_folder: Path) -> None:
    child, pid = _start_child(server_folder)
    (guard,) = _guards_of(pid)

    _kill(child)

    await _until_gone(pid)
    await _until_gone(guard)


async def test_a_server_that_nobody_guards_is_stopped_by_the_next_start(server_folder: Path) -> None:
    child, pid = _start_child(server_folder)
    for guard in _guards_of(pid):
        os.kill(guard, signal.SIGKILL)
    _kill(child)
    assert _is_running(pid)

    async with EmbeddedPostgres(server_folder) as server:
        assert await _ask(server.dsn, "select 1") == 1
        assert not _is_running(pid)


async def test_an_interrupt_to_the_terminals_whole_group_stops_everything(server_folder: Path) -> None:
    child, pid = _start_child(server_folder)
    assert os.getsid(pid) != os.getsid(child.pid)

    os.killpg(child.pid, signal.SIGINT)

    child.communicate(timeout=20)
    assert not _is_running(pid)
    assert not (server_folder / "data" / "postmaster.pid").exists()


async def test_a_pid_file_that_names_somebody_else_is_healed(server_folder: Path) -> None:
    async with EmbeddedPostgres(server_folder):
        pid_file = server_folder / "data" / "postmaster.pid"
        text = pid_file.read_text()
    pid_file.write_text("\n".join([str(os.getpid()), *text.splitlines()[1:]]))

    async with EmbeddedPostgres(server_folder) as server:
        assert await _ask(server.dsn, "select 1") == 1


async def test_a_killed_server_starts_again_with_what_was_committed(server_folder: Path) -> None:
    async with EmbeddedPostgres(server_folder) as server:
        await _ask(server.dsn, "create table kept as select 42 as n")
        assert server.pid is not None
        os.kill(server.pid, signal.SIGKILL)
        await _until_gone(server.pid or 0)
        assert server.pid is None

        await server.start()

        assert await _ask(server.dsn, "select n from kept") == 42


async def test_an_immediate_stop_loses_nothing_that_was_committed(server_folder: Path) -> None:
    async with EmbeddedPostgres(server_folder) as server:
        await _ask(server.dsn, "create table kept as select 42 as n")
        await server.stop("immediate")
        assert server.pid is None

        await server.start()

        assert await _ask(server.dsn, "select n from kept") == 42


async def test_a_cluster_that_was_half_made_is_made_anew(server_folder: Path) -> None:
    (server_folder / "data.new").mkdir()
    (server_folder / "data.new" / "PG_VERSION").write_text("18\n")

    async with EmbeddedPostgres(server_folder) as server:
        assert await _ask(server.dsn, "select 1") == 1
    assert not (server_folder / "data.new").exists()


async def _code_of_start(folder: Path) -> str:
    with pytest.raises(ConfigError) as caught:
        async with EmbeddedPostgres(folder):
            raise AssertionError("started")
    return caught.value.code


async def test_a_lost_password_and_data_of_another_version_are_named(server_folder: Path) -> None:
    async with EmbeddedPostgres(server_folder):
        pass
    (server_folder / "data" / "PG_VERSION").write_text("12\n")
    assert await _code_of_start(server_folder) == "config.data_version"

    (server_folder / "password").unlink()
    assert await _code_of_start(server_folder) == "config.data_password"


async def test_a_server_that_cannot_start_says_why_from_its_log(server_folder: Path) -> None:
    with pytest.raises(ConfigError, match="no_such_setting") as caught:
        async with EmbeddedPostgres(server_folder, settings={"no_such_setting": "1"}):
            raise AssertionError("started")

    assert caught.value.code == "config.embedded"


async def test_a_folder_that_the_server_cannot_reach_is_named_at_once(server_folder: Path) -> None:
    closed = server_folder / "closed"
    closed.mkdir(mode=0o700 if os.geteuid() == 0 else 0o500)

    assert await _code_of_start(closed / "deeper") == "config.data_folder"


async def test_a_folder_without_programs_is_refused(server_folder: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        EmbeddedPostgres(server_folder, bin_folder=server_folder)

    assert caught.value.code == "config.embedded"


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
    assert await _ask(dsn, "select 1") == 1

    os.close(pipe)

    await _until_gone(pid)
    await _until(lambda: not folder.exists())
    assert hold_pipe(folder) is None


def test_an_ordinary_user_needs_no_other_account(server_folder: Path) -> None:
    folder = server_folder / "ordinary"
    folder.mkdir()
    if os.geteuid() == 0:
        os.chown(folder, 65534, 65534)

    ended = subprocess.run(
        [sys.executable, "-c", _ORDINARY, str(folder)],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "HOME": str(folder)},
    )

    assert ended.stdout.strip() == "1 True", ended.stderr
