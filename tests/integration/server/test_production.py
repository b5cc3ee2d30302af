"""`rowcast serve` refuses what cannot work, each with its exit code and one sentence."""

import asyncio
import signal
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from rowcast.core.clock import SystemClock
from rowcast.core.errors import ConfigError
from rowcast.observe.health import Health
from rowcast.server.dev_folder import DEVELOPMENT_JWT_SECRET
from rowcast.server.embedded import EmbeddedPostgres
from rowcast.server.production import required_tokens, required_url
from rowcast.server.settings import load_settings
from rowcast.store.migrate import migrate_database
from rowcast.testing.cluster import Cluster
from tests.integration.server.conftest import Command
from tests.integration.server.processes import JWT_SECRET, started


@pytest.fixture(autouse=True)
def secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROWCAST_AUTH__JWT_SECRET", JWT_SECRET)


def refused(command: Command, code: str, *words: str, exit_code: int = 3, **more: Any) -> str:
    done = command("serve", *words, **more)
    assert (done.code, done.out) == (exit_code, ""), done
    assert f"({code})" in done.err, done.err
    assert "Traceback" not in done.err
    return done.err


def test_without_a_database_it_says_how_to_name_one(command: Command) -> None:
    assert "ROWCAST_DATABASE__URL" in refused(command, "config.no_database", on=None)


def test_the_shim_of_development_is_refused(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROWCAST_SERVER__SHIM", "true")

    done = command("serve")

    assert done.code != 0
    assert "server.shim is for development" in done.err


@pytest.mark.parametrize("secret_text", [None, "short", DEVELOPMENT_JWT_SECRET])
def test_a_missing_a_short_and_the_public_secret_are_refused(
    command: Command, monkeypatch: pytest.MonkeyPatch, secret_text: str | None
) -> None:
    monkeypatch.delenv("ROWCAST_AUTH__JWT_SECRET")
    if secret_text is not None:
        monkeypatch.setenv("ROWCAST_AUTH__JWT_SECRET", secret_text)

    err = refused(command, "config.jwt_secret", "--port", "0")

    assert secret_text is None or secret_text == "short" or secret_text not in err


@pytest.fixture
def empty_dsn(rowcast_cluster: Cluster) -> Iterator[str]:
    dsn = rowcast_cluster.create("template1")
    yield dsn
    rowcast_cluster.drop(dsn)


def test_a_schema_that_is_behind_is_refused_with_the_command_to_run(command: Command, empty_dsn: str) -> None:
    assert "rowcast migrate" in refused(command, "config.schema_behind", "--port", "0", on=empty_dsn)


def test_a_schema_of_a_newer_release_is_refused(command: Command, sql: Callable[..., Any]) -> None:
    sql("insert into rowcast.migration (name, checksum) values ('9999_tomorrow', 'x')")

    assert "newer rowcast" in refused(command, "config.schema", "--port", "0")


def test_a_taken_port_is_refused_with_its_number(command: Command) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])

        assert port in refused(command, "config.port_in_use", "--port", port)


def test_an_unknown_setting_and_a_wrong_value_are_refused_by_name(command: Command, tmp_path: Path) -> None:
    (tmp_path / "rowcast.toml").write_text("[server]\nprot = 1\n")
    assert "server.prot" in refused(command, "config.unknown_setting")

    (tmp_path / "rowcast.toml").write_text("[server]\nport = 70000\n")
    assert "server.port" in refused(command, "config.value")

    (tmp_path / "rowcast.toml").unlink()
    assert "server.roles" in refused(command, "config.value", "--roles", "gateway,cook")
    assert "server.roles" in refused(command, "config.value", "--roles", "")


def test_a_pack_that_cannot_be_loaded_is_refused_by_name(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROWCAST_PACKS", "no_such_pack_here")

    assert "no_such_pack_here" in refused(command, "config.pack", "--port", "0")


def test_an_event_type_with_a_missing_upcaster_is_refused_at_the_start(dsn: str, tmp_path: Path) -> None:
    (tmp_path / "gap_pack.py").write_text(
        "from rowcast import Event, Pack\n"
        "class First(Event, type='gap.made'):\n    a: str\n"
        "class Third(Event, type='gap.made', version=3):\n    c: str\n"
        "pack = Pack(name='gap', events=(First, Third))\n"
    )

    with started("serve", "--database", dsn, "--port", "0", folder=tmp_path, ROWCAST_PACKS="gap_pack") as process:
        code, _, err = process.end()

    assert (code, "usage.upcaster" in err, "Traceback" in err) == (3, True, False), err


def test_a_database_that_stays_away_is_waited_for_and_then_refused(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ROWCAST_DATABASE__START_TIMEOUT_S", "0.1")

    done = command("serve", "--port", "0", on="postgresql://nobody@127.0.0.1:1/none")

    assert done.code == 5
    assert "store.unavailable" in done.err


def test_a_wrong_password_is_not_waited_for(command: Command, dsn: str) -> None:
    wrong = dsn.replace("postgres:", "postgres:not-", 1)

    refused(command, "config.database", "--port", "0", on=wrong)


async def test_a_log_that_cannot_be_streamed_ends_the_process_with_what_to_set(server_folder: Path) -> None:
    settings = {"wal_level": "replica", "max_wal_senders": "0"}
    async with EmbeddedPostgres(server_folder / "pg", settings=settings) as postgres:
        await migrate_database(postgres.dsn)
        words = ("serve", "--database", postgres.dsn, "--port", "0", "--feed", "wal")
        with started(*words, folder=server_folder) as process:
            code, _, err = await asyncio.to_thread(process.end)

    assert code == 3, err
    assert "(config.wal_level)" in err
    assert "Traceback" not in err


def test_migrate_brings_the_schema_and_then_serves(empty_dsn: str, tmp_path: Path) -> None:
    with started("serve", "--database", empty_dsn, "--port", "0", "--migrate", folder=tmp_path) as process:
        process.until("server.listening")
        process.signal(signal.SIGTERM)
        code, out, err = process.end()

    assert (code, out) == (0, ""), err


def test_a_process_without_a_gateway_needs_no_secret_and_says_how_it_is_and_nothing_else(
    dsn: str, tmp_path: Path
) -> None:
    words = ("serve", "--database", dsn, "--roles", "relay,delivery", "--feed", "claim", "--port", "0")
    with started(*words, folder=tmp_path, ROWCAST_AUTH__JWT_SECRET="") as process:
        url = f"http://127.0.0.1:{process.until('server.listening')['port']}"
        ready = until_ready(url)
        alive, metrics = httpx.get(f"{url}/livez"), httpx.get(f"{url}/metrics")
        others = [httpx.get(url + path).status_code for path in ("/api/v1/events", "/socket/websocket", "/api/tenants")]
        process.signal(signal.SIGTERM)
        code, _, err = process.end()

    assert {component["name"] for component in ready["components"]} == {"database", "relay", "delivery", "bus"}
    assert (alive.status_code, metrics.status_code, "# TYPE rowcast_" in metrics.text) == (200, 200, True)
    assert others == [404, 404, 404]
    assert code == 0, err


def until_ready(url: str) -> dict[str, Any]:
    deadline = time.monotonic() + 30
    while True:
        reply = httpx.get(f"{url}/readyz")
        if reply.status_code == 200:
            body: dict[str, Any] = reply.json()
            return body
        assert time.monotonic() < deadline, reply.text
        time.sleep(0.1)


def test_what_is_required_is_given_back() -> None:
    settings = load_settings(
        {"database.url": "postgresql://h/d", "auth.jwt_secret": JWT_SECRET}, environment={}
    ).settings

    assert required_url(settings) == "postgresql://h/d"
    assert required_tokens(settings, health=Health(clock=SystemClock())) is not None
    with pytest.raises(ConfigError):
        required_url(load_settings(environment={}).settings)
