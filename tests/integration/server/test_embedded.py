"""The embedded PostgreSQL: keeps its data and its port, and comes back after whatever ended it."""

import os
import signal
import socket
from collections.abc import Mapping
from pathlib import Path

import pytest

from rowcast.core.errors import ConfigError
from rowcast.core.telemetry import listening
from rowcast.server.embedded import EmbeddedPostgres, find_free_port
from tests.integration.server.embedded_probe import ask, is_running, start_child, until_gone


async def test_data_are_kept_between_starts(server_folder: Path) -> None:
    async with EmbeddedPostgres(server_folder) as server:
        await ask(server.dsn, "create table kept as select 42 as n")

    async with EmbeddedPostgres(server_folder) as server:
        assert await ask(server.dsn, "select n from kept") == 42


async def test_the_server_is_ready_for_replication_and_bounded(server_folder: Path) -> None:
    wanted = {"wal_level": "logical", "max_slot_wal_keep_size": "2GB", "max_connections": "200", "fsync": "on"}
    async with EmbeddedPostgres(server_folder) as server:
        got = {name: await ask(server.dsn, f"select current_setting('{name}')") for name in wanted}
        senders = await ask(server.dsn, "select current_setting('max_wal_senders')::int")
        slots = await ask(server.dsn, "select current_setting('max_replication_slots')::int")

    assert got == wanted
    assert isinstance(senders, int)
    assert isinstance(slots, int)
    assert min(senders, slots) >= 10


async def test_a_taken_port_gives_way_to_the_next_free_one_and_says_so(server_folder: Path) -> None:
    told: list[tuple[str, Mapping[str, object]]] = []
    with socket.create_server(("127.0.0.1", 0)) as taken, listening(lambda name, facts: told.append((name, facts))):
        asked = taken.getsockname()[1]
        async with EmbeddedPostgres(server_folder, port=asked) as server:
            assert server.port > asked
            assert await ask(server.dsn, "select 1") == 1

    assert ("embedded.port_taken", {"asked": asked, "port": server.port}) in told


async def test_the_port_that_was_asked_for_is_used_and_kept_over_a_restart(server_folder: Path) -> None:
    asked = find_free_port(0)
    async with EmbeddedPostgres(server_folder, port=asked) as server:
        dsn = server.dsn
        await server.stop()
        await server.start()

        assert (server.port, await ask(dsn, "select 1")) == (asked, 1)


async def test_an_interrupt_to_the_terminals_whole_group_stops_everything(server_folder: Path) -> None:
    child, pid = start_child(server_folder)
    assert os.getsid(pid) != os.getsid(child.pid)

    os.killpg(child.pid, signal.SIGINT)

    child.communicate(timeout=20)
    assert not is_running(pid)
    assert not (server_folder / "data" / "postmaster.pid").exists()


async def test_a_killed_server_starts_again_with_what_was_committed(server_folder: Path) -> None:
    async with EmbeddedPostgres(server_folder) as server:
        await ask(server.dsn, "create table kept as select 42 as n")
        assert server.pid is not None
        os.kill(server.pid, signal.SIGKILL)
        await until_gone(server.pid or 0)
        assert server.pid is None

        await server.start()

        assert await ask(server.dsn, "select n from kept") == 42


async def test_an_immediate_stop_loses_nothing_that_was_committed(server_folder: Path) -> None:
    async with EmbeddedPostgres(server_folder) as server:
        await ask(server.dsn, "create table kept as select 42 as n")
        await server.stop("immediate")
        assert server.pid is None

        await server.start()

        assert await ask(server.dsn, "select n from kept") == 42


async def test_a_server_that_cannot_start_says_why_from_its_log(server_folder: Path) -> None:
    with pytest.raises(ConfigError, match="no_such_setting") as caught:
        async with EmbeddedPostgres(server_folder, settings={"no_such_setting": "1"}):
            raise AssertionError("started")

    assert caught.value.code == "config.embedded"
