"""Every example runs as it stands, against `rowcast dev`, and is short."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest

from rowcast.core.event import DECLARED
from tests.acceptance.conftest import Development, rowcast

EXAMPLES = Path(__file__).parents[2] / "examples"
LINES = 60


def environment(server: Development) -> dict[str, str]:
    """Give what `eval "$(rowcast status --env)"` makes known."""
    printed = rowcast("--data", str(server.folder), "status", "--env").stdout
    pairs = (line.removeprefix("export ").split("=", 1) for line in printed.splitlines())
    return {**os.environ, **{name: value.strip("'") for name, value in pairs}, "PYTHONUNBUFFERED": "1"}


def run(server: Development, name: str, *words: str) -> str:
    """Run one example to its end and give what it printed."""
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / name), *words], env=environment(server), capture_output=True, text=True,
        timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


@contextmanager
def running(server: Development, name: str, *words: str, **more: str) -> Iterator[Iterator[str]]:
    """Start one example and give the lines that it prints."""
    command = [sys.executable, str(EXAMPLES / name), *words]
    with subprocess.Popen(
        command, env={**environment(server), **more}, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        assert process.stdout is not None
        try:
            yield iter(process.stdout.readline, "")
        finally:
            process.send_signal(signal.SIGTERM)


def test_the_first_example_emits_and_the_second_hears_it(quiet_server: Development) -> None:
    with running(quiet_server, "02_listen.py", "tenant:acme:shop") as lines:
        assert next(lines).startswith("SUBSCRIBED")
        printed = run(quiet_server, "01_emit.py", "1")
        heard = next(lines)

    assert printed.startswith("confirmed, event ")
    assert heard.startswith("shop.order_confirmed {'order_id': '1'")


def test_the_second_example_hears_changed_rows(quiet_server: Development) -> None:
    with running(quiet_server, "02_listen.py") as lines:
        assert next(lines).startswith("SUBSCRIBED")
        with psycopg.connect(quiet_server.instance["database_url"]) as connection:
            connection.execute("update orders set status = 'heard' where id = 1")
        heard = next(lines)

    assert heard.startswith("UPDATE {'id': 1, ")


def test_the_third_example_verifies_a_webhook_and_refuses_a_forged_one() -> None:
    from http.client import HTTPConnection

    from standardwebhooks import Webhook

    secret = "whsec_" + "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    body = json.dumps({"type": "orders.updated", "data": {"id": 1}})
    signed = dict(
        zip(("webhook-id", "webhook-timestamp", "webhook-signature"), sign(Webhook(secret), body), strict=True)
    )
    with running_receiver(secret) as (port, lines):
        statuses = []
        for headers in (signed, signed, {**signed, "webhook-id": "msg_forged"}):
            connection = HTTPConnection("127.0.0.1", port, timeout=10)
            connection.request("POST", "/", body, headers)
            statuses.append(connection.getresponse().status)
            connection.close()
        assert statuses == [204, 204, 400]
        assert next(lines).startswith("verified: orders.updated {'id': 1}")
        assert next(lines).startswith("refused:")


def sign(webhook: Any, body: str) -> tuple[str, str, str]:
    """Give id, time and signature of a message, as a sender makes them."""
    from datetime import UTC, datetime

    now = datetime.now(UTC)
    return "msg_1", str(int(now.timestamp())), webhook.sign("msg_1", now, body)


@contextmanager
def running_receiver(secret: str) -> Iterator[tuple[int, Iterator[str]]]:
    """Start the third example on a free port."""
    command = [sys.executable, str(EXAMPLES / "03_receive_webhook.py"), "0"]
    with subprocess.Popen(
        command,
        env={**os.environ, "WEBHOOK_SECRET": secret},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        assert process.stdout is not None
        lines = iter(process.stdout.readline, "")
        yield int(next(lines).rsplit(" ", 1)[1]), lines
        process.send_signal(signal.SIGTERM)


def test_the_pack_loads_and_its_own_tests_pass(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-o", "asyncio_mode=auto", "--rootdir", str(EXAMPLES),
         "-c", os.devnull, "--basetemp", str(tmp_path / "examples"), str(EXAMPLES / "05_test_a_pack.py")],
        cwd=EXAMPLES, capture_output=True, text=True, timeout=110, check=False,
    )  # fmt: skip

    assert done.returncode == 0, done.stdout + done.stderr
    assert "4 passed" in done.stdout


def test_the_sql_example_emits(quiet_server: Development) -> None:
    with psycopg.connect(quiet_server.instance["database_url"], autocommit=True) as connection:
        connection.execute((EXAMPLES / "06_emit.sql").read_bytes())

    quiet_server.wait_for(
        lambda received: [item for item in received["webhooks"]["rows"] if '"27.00"' in json.dumps(item["body"])]
    )


def test_the_readme_lists_every_example_and_each_is_short() -> None:
    readme = (EXAMPLES / "README.md").read_text("utf-8")
    files = [file for file in EXAMPLES.iterdir() if file.suffix in (".py", ".sql", ".mjs", ".html")]

    assert [file.name for file in files if f"`{file.name}`" not in readme] == []
    assert [file.name for file in files if len(file.read_text("utf-8").splitlines()) >= LINES] == []


async def test_the_first_screen_of_the_readme_works(quiet_server: Development, monkeypatch: pytest.MonkeyPatch) -> None:
    import asyncpg

    from .page import blocks_of

    for part in ("_by_name", "_by_class", "_upcasters"):
        monkeypatch.setattr(DECLARED, part, {})
    sample = next(block for block in blocks_of(EXAMPLES.parent / "README.md") if block.language == "python")
    names: dict[str, Any] = {"__name__": "readme"}
    exec(compile(sample.text, "README.md", "exec"), names)

    connection = await asyncpg.connect(quiet_server.instance["database_url"])
    await names["confirm"](connection, "3")
    await connection.close()

    quiet_server.wait_for(
        lambda received: [item for item in received["jobs"]["rows"] if (item["result"] or {}).get("receipt_for") == "3"]
    )
