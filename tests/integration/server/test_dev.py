"""`rowcast dev`: on an external database, beside the user's own pack, emptied after a yes, gone after Ctrl-C."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import httpx
import psycopg

from rowcast.server.embedded_orphan import find_orphan
from tests.integration.server.processes import environment

OWN_PACK = """
from rowcast import Event, Pack
class Noted(Event, type="own_dev.noted"):
    note: str
pack = Pack(name="own_dev", events=(Noted,))
"""


class Development:
    """A running `rowcast dev`."""

    def __init__(self, folder: Path, words: tuple[str, ...], variables: dict[str, str]) -> None:
        self.folder = folder
        self.variables = environment(NO_COLOR="1", **variables)
        self.process = subprocess.Popen(
            [sys.executable, "-m", "rowcast", "dev", "--no-open", "--no-traffic", *words], cwd=folder, env=self.variables,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
        )  # fmt: skip
        self.page = ""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.page += line
            if "Ctrl-C" in line:
                return
        raise AssertionError(self.page)

    def rowcast(self, *words: str) -> Any:
        done = subprocess.run(
            [sys.executable, "-m", "rowcast", *words, "--json"], cwd=self.folder, env=self.variables,
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        return json.loads(done.stdout)

    def stop(self) -> tuple[int, str]:
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGINT)
        out, _ = self.process.communicate(timeout=40)
        return self.process.returncode, out


@contextmanager
def development(folder: Path, *words: str, **variables: str) -> Iterator[Development]:
    running = Development(folder, words, variables)
    try:
        yield running
    finally:
        running.stop()


def ready(api_url: str) -> int:
    with urlopen(f"{api_url}/readyz", timeout=10) as reply:
        return int(reply.status)


def test_an_external_database_old_or_new_carries_everything(any_dsn: str, tmp_path: Path) -> None:
    with development(tmp_path, "--port", "0", "--database", any_dsn) as dev:
        instance = dev.rowcast("status")["instance"]
        made = dev.rowcast("emit", "shop.order_confirmed", '{"order_id": "7", "total": "1"}', "--tenant", "acme")
        published = dev.rowcast("replay", "--all")
        status = ready(instance["api_url"])
        code, out = dev.stop()

    assert instance["database_url"] == any_dsn
    assert made.keys() == {"id"}
    assert published == {"replayed": 0}
    assert status == 200
    assert (code, "Traceback" in out) == (0, False)
    assert not (tmp_path / ".rowcast" / "postgres").exists()
    with psycopg.connect(any_dsn) as connection:
        assert connection.execute("select count(*) > 0 from orders").fetchone() == (True,)


def test_the_users_own_pack_and_watches_stand_beside_the_sample(dsn: str, tmp_path: Path) -> None:
    (tmp_path / "own_dev.py").write_text(OWN_PACK)
    (tmp_path / "rowcast.toml").write_text(
        'packs = ["own_dev"]\n'
        '[[watch]]\ntable = "parcels"\ntopic = "parcels:{org_id}"\ncolumns = ["id", "org_id"]\n'
        '[[watch]]\ntable = "not_yet"\ntopic = "not_yet:{org_id}"\ncolumns = ["id", "org_id"]\n'
    )
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("create table parcels (id bigint primary key, org_id text not null)")
        with development(tmp_path, "--port", "0", "--database", dsn) as dev:
            own = dev.rowcast("emit", "own_dev.noted", '{"note": "x"}', "--tenant", "acme")
            sample = dev.rowcast("emit", "shop.order_confirmed", '{"order_id": "7", "total": "1"}', "--tenant", "acme")
            connection.execute("insert into parcels values (1, 'acme')")
            types = {event["eventType"] for event in dev.rowcast("events", "--limit", "100")["data"]}

    assert (own.keys(), sample.keys()) == ({"id"}, {"id"})
    assert {"own_dev.noted", "shop.order_confirmed", "parcels.inserted"} <= types
    assert "The table not_yet is declared as watched and is not there yet." in dev.page


def test_without_the_sample_there_is_no_table_and_no_event_type_of_ours(dsn: str, tmp_path: Path) -> None:
    with development(tmp_path, "--port", "0", "--database", dsn, "--no-sample") as dev:
        page, here = dev.page, dev.rowcast("status")["instance"]
        headers = {"authorization": f"Bearer {here['api_key']}"}
        kinds = httpx.get(f"{here['api_url']}/api/v1/event-type", headers=headers, timeout=20).json()["data"]

    assert "rowcast watch TABLE" in page
    assert kinds == []
    with psycopg.connect(dsn) as connection:
        assert connection.execute("select to_regclass('public.orders')").fetchone() == (None,)


def test_nobody_makes_accounts_where_nobody_asked_for_the_shim(dsn: str, tmp_path: Path) -> None:
    with development(tmp_path, "--port", "0", "--database", dsn, "--no-sample") as dev:
        body = {"email": "ada@example.com", "password": "secret1"}
        api_url = dev.rowcast("status")["instance"]["api_url"]

        assert httpx.post(f"{api_url}/auth/v1/signup", json=body, timeout=10).status_code == 404


def test_its_own_database_keeps_its_data_until_it_is_reset(server_folder: Path) -> None:
    data = server_folder / ".rowcast"
    with development(server_folder, "--port", "0") as dev:
        key = dev.rowcast("status")["instance"]["api_key"]
        dev.rowcast("emit", "shop.order_confirmed", '{"order_id": "7", "total": "1"}', "--tenant", "acme")
        refused = subprocess.run(
            [sys.executable, "-m", "rowcast", "dev", "--reset", "--yes"], cwd=server_folder, env=dev.variables,
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        code, out = dev.stop()
    with development(server_folder, "--port", "0") as dev:
        again = dev.rowcast("status")["instance"]["api_key"]
        kept = dev.rowcast("events", "--type", "shop.order_confirmed")["data"]
    with development(server_folder, "--port", "0", "--reset", "--yes") as dev:
        fresh = dev.rowcast("status")["instance"]["api_key"]
        events = dev.rowcast("events", "--type", "shop.order_confirmed")["data"]

    assert (refused.returncode, "config.data_locked" in refused.stderr) == (3, True)
    assert (code, "Stopped. The data stay in" in out) == (0, True)
    assert find_orphan(data / "postgres" / "data") is None
    assert (again, len(kept)) == (key, 1)
    assert fresh != key
    assert events == []


def test_a_reset_asks_and_a_no_changes_nothing(tmp_path: Path) -> None:
    (tmp_path / ".rowcast" / "postgres").mkdir(parents=True)

    done = subprocess.run(
        [sys.executable, "-m", "rowcast", "dev", "--reset"], cwd=tmp_path, env=environment(), input="n\n",
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip

    assert done.returncode == 130
    assert "Remove the development database and keys in .rowcast?" in done.stdout
    assert "Nothing was done." in done.stderr
    assert (tmp_path / ".rowcast" / "postgres").is_dir()


async def test_a_taken_port_gives_the_next_one_and_says_so(dsn: str, tmp_path: Path) -> None:
    taken = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
    port = taken.sockets[0].getsockname()[1]
    async with taken:
        dev = await asyncio.to_thread(Development, tmp_path, ("--port", str(port), "--database", dsn), {})
        await asyncio.to_thread(dev.stop)

    assert (
        f"Port {port} is taken; this server listens on {port + 1}." in dev.page or f"Port {port} is taken" in dev.page
    )
