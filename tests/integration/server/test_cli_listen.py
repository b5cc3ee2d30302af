"""`rowcast listen`: a tenant's events reach a URL on this machine, as lines and as posts."""

import asyncio
import json
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from standardwebhooks import Webhook

from rowcast.server.dev_folder import development_keys, prepare_folder
from rowcast.server.instance import write_instance
from rowcast.testing.webhook_catcher import WebhookCatcher
from tests.integration.outbox.events import emit, session
from tests.integration.server.conftest import Command
from tests.integration.server.processes import environment
from tests.integration.server.test_cli_look import instance

CUT = """select pg_terminate_backend(pid) from pg_stat_activity
         where datname = current_database() and application_name = 'rowcast command'"""


@asynccontextmanager
async def listening(folder: Path, *words: str) -> AsyncIterator[Process]:
    """Run the command for the time of a block."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "rowcast", "listen", *words, cwd=folder, env=environment(), stdout=PIPE, stderr=PIPE
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def line(process: Process) -> Any:
    assert process.stdout is not None
    async with asyncio.timeout(60):
        return json.loads(await process.stdout.readline())


async def test_events_are_forwarded_until_ctrl_c_also_after_the_connection_was_cut(dsn: str, tmp_path: Path) -> None:
    words = ("--tenant", "acme", "--event-types", "orders.placed,orders.sent", "--database", dsn, "--json")
    async with (
        WebhookCatcher() as catcher,
        session(dsn) as driver,
        listening(tmp_path, catcher.url, *words) as process,
    ):
        begun = await line(process)
        first = await emit(driver)
        await emit(driver, event_type="orders.lost")
        told = [await line(process)]
        await driver.execute(CUT)
        second = await emit(driver, event_type="orders.sent")
        told.append(await line(process))
        process.send_signal(signal.SIGINT)
        _, err = await process.communicate()

    sent = [Webhook(begun["secret"]).verify(each.body, dict(each.headers)) for each in catcher.requests]
    assert [each["type"] for each in sent] == ["orders.placed", "orders.sent"]
    assert [(each["eventType"], each["code"]) for each in told] == [("orders.placed", "204"), ("orders.sent", "204")]
    assert told[0]["messageId"] == catcher.requests[0].headers["webhook-id"]
    assert first != second
    assert (process.returncode, b"Traceback" in err) == (130, False), err


async def test_an_endpoint_is_listened_in_for_with_its_own_secret_and_types(
    dsn: str, tmp_path: Path, command: Command
) -> None:
    url = "https://hooks.example.com/in"
    made = await asyncio.to_thread(
        command, "endpoints", "create", "--tenant", "acme", "--url", url, "--event-type", "orders.sent", "--json"
    )
    words = ("--tenant", "acme", "--endpoint", made.value["id"], "--count", "1", "--database", dsn)
    async with (
        WebhookCatcher() as catcher,
        session(dsn) as driver,
        listening(tmp_path, catcher.url, *words) as process,
    ):
        assert process.stdout is not None
        await process.stdout.readline()
        verifies_with = await process.stdout.readline()
        await emit(driver)
        await emit(driver, event_type="orders.sent")
        out, err = await process.communicate()

    (only,) = catcher.requests
    assert Webhook(made.value["secret"]).verify(only.body, dict(only.headers))["type"] == "orders.sent"
    assert made.value["secret"] in verifies_with.decode()
    assert only.headers["webhook-id"] in out.decode()
    assert (process.returncode, err) == (0, b"")


async def test_beside_a_development_server_the_tenant_and_the_secret_are_its_own(dsn: str, tmp_path: Path) -> None:
    folder = prepare_folder(tmp_path / ".rowcast")
    write_instance(folder, instance(dsn, tmp_path))
    async with (
        WebhookCatcher() as catcher,
        session(dsn) as driver,
        listening(tmp_path, catcher.url, "--count", "1", "--json") as process,
    ):
        begun = await line(process)
        await emit(driver, tenant=begun["tenantId"])
        assert (await line(process))["code"] == "204"

    assert begun["secret"] == development_keys(folder).webhook_secret


@pytest.mark.parametrize(
    ("words", "code", "problem"),
    [
        (["http://127.0.0.1:9000/"], 1, "input.tenant_missing"),
        (["http://93.184.216.34/", "--tenant", "acme"], 1, "egress.blocked"),
        (["ftp://127.0.0.1/", "--tenant", "acme"], 1, "input.url"),
        (["http://127.0.0.1:9000/", "--tenant", "acme", "--endpoint", "ep_none"], 4, "input.not_found"),
        (["http://127.0.0.1:9000/", "--tenant", "acme", "--secret", "short"], 1, "input.secret"),
        (["http://127.0.0.1:9000/", "--tenant", "acme", "--event-type", "*.x"], 1, "input.event_pattern"),
    ],
)
def test_what_cannot_be_listened_to_is_a_sentence(command: Command, words: list[str], code: int, problem: str) -> None:
    done = command("listen", *words, "--json")

    assert (done.code, done.value["error"]["code"]) == (code, problem)
