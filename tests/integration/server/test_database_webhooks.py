"""Database webhooks from the row to the receiver: its target may be down or hang, and the transaction never knows."""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import pytest
from standardwebhooks import Webhook

from rowcast.testing.webhook_catcher import WebhookCatcher
from rowcast.webhooks.transform import parse_template, rendered
from tests.integration.outbox.events import session
from tests.integration.server.conftest import Command
from tests.integration.server.running import Running, running

TABLE = "create table orders (id bigint primary key, org_id text not null, status text, note text)"
COLUMNS = ("watch", "orders", "--columns", "id,org_id,status", "--authorization-header", "Bearer a secret")


@asynccontextmanager
async def delivering(dsn: str, catcher: WebhookCatcher) -> AsyncIterator[Running]:
    """Run a server that may reach the catcher and tries again at once."""
    place = urlsplit(catcher.url).netloc
    async with running(
        dsn,
        roles=("relay", "delivery"),
        webhooks__allow_private=(place,),
        webhooks__retry_waits_s=(0.1,) * 20,
        server__shutdown_grace_s=0.2,
    ) as server:
        yield server


async def watched(command: Command, catcher: WebhookCatcher, monkeypatch: pytest.MonkeyPatch) -> str:
    """Watch the orders for the catcher, and give the secret of its endpoint."""
    monkeypatch.setenv("ROWCAST_WEBHOOKS__ALLOW_PRIVATE", urlsplit(catcher.url).netloc)
    made = await asyncio.to_thread(command, *COLUMNS, "--webhook", catcher.url, "--apply", "--json")
    secret: str = made.value["endpoint"]["secret"]
    return secret


async def states(driver: asyncpg.Connection) -> dict[str, int]:
    rows = await driver.fetch("select status, count(*) from rowcast.delivery group by 1")
    return {row["status"]: row["count"] for row in rows}


async def test_each_change_is_posted_signed_and_with_the_authorization_header(
    dsn: str, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with WebhookCatcher() as catcher, session(dsn) as driver:
        await driver.execute(TABLE)
        secret = await watched(command, catcher, monkeypatch)
        async with delivering(dsn, catcher):
            await driver.execute("insert into orders values (1, 'acme', 'new', 'n')")
            await driver.execute("update orders set status = 'paid'")
            await driver.execute("update orders set note = 'not listed'")
            await driver.execute("delete from orders")
            await catcher.wait(3, timeout_s=30)

    sent = {body["type"]: body["data"] for body in (json.loads(each.body) for each in catcher.requests)}
    assert sent.keys() == {"orders.inserted", "orders.updated", "orders.deleted"}
    assert sent["orders.updated"] == {
        "schema": "public", "table": "orders", "operation": "UPDATE",
        "record": {"id": 1, "org_id": "acme", "status": "paid"},
        "old_record": {"id": 1, "org_id": "acme", "status": "new"},
    }  # fmt: skip
    assert {each.headers["authorization"] for each in catcher.requests} == {"Bearer a secret"}
    for each in catcher.requests:
        Webhook(secret).verify(each.body, dict(each.headers))


def test_the_template_on_the_page_gives_the_form_of_supabase() -> None:
    row = {"id": 1, "status": "paid", "total": 9.5}
    page = Path(__file__).parents[3] / "docs" / "how-to" / "database-webhooks.md"
    (text,) = re.findall(r'```json title="as-supabase.json"\n(.+?)```', page.read_text("utf-8"), re.DOTALL)
    change = {"schema": "public", "table": "orders", "operation": "INSERT", "record": row, "old_record": None}

    body = json.loads(rendered(parse_template(text), {"type": "orders.inserted", "data": change}))

    assert body == {"type": "INSERT", "table": "orders", "schema": "public", "record": row, "old_record": None}


async def test_a_target_that_hangs_holds_up_no_transaction(
    dsn: str, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with WebhookCatcher(delay_s=600.0) as catcher, session(dsn) as driver:
        await driver.execute(TABLE)
        await watched(command, catcher, monkeypatch)
        async with delivering(dsn, catcher):
            await driver.execute("insert into orders values (1, 'acme', 'new', 'n')")
            await catcher.wait(1, timeout_s=30)

            # The first post hangs; the application goes on, and its changes are committed.
            async with asyncio.timeout(30):
                for number in range(2, 50):
                    await driver.execute("insert into orders values ($1, 'acme', 'new', 'n')", number)

            assert await driver.fetchval("select count(*) from rowcast.event") == 49
            assert "delivered" not in await states(driver)


async def test_a_target_that_is_down_fails_no_transaction_and_is_tried_again(
    dsn: str, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with WebhookCatcher() as catcher, session(dsn) as driver:
        await driver.execute(TABLE)
        await watched(command, catcher, monkeypatch)
        # The event is committed with the row, in a table that survives a crash of the server.
        await driver.execute("insert into orders values (1, 'acme', 'new', 'n')")
        logged = "select bool_and(c.relpersistence = 'p') from pg_partition_tree('rowcast.event') t join pg_class c on c.oid = t.relid"
        assert await driver.fetchval(f"select ({logged}) and (select count(*) from rowcast.event) = 1")

    async with delivering(dsn, catcher), session(dsn) as driver, asyncio.timeout(30):
        while await driver.fetchval("select count(*) from rowcast.attempt where reason = 'refused'") < 2:
            await asyncio.sleep(0.05)
        await driver.execute("update orders set status = 'paid'")

        assert await driver.fetchval("select status from orders") == "paid"
        assert "delivered" not in await states(driver)


async def test_a_receiver_that_refuses_at_first_gets_the_change_under_one_id(
    dsn: str, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with WebhookCatcher(answers=[500, 503]) as catcher, session(dsn) as driver:
        await driver.execute(TABLE)
        await watched(command, catcher, monkeypatch)
        await driver.execute("insert into orders values (1, 'acme', 'new', 'n')")

        async with delivering(dsn, catcher), asyncio.timeout(30):
            while await states(driver) != {"delivered": 1}:
                await asyncio.sleep(0.05)

        assert len({each.headers["webhook-id"] for each in catcher.requests}) == 1
        outcomes = await driver.fetch("select outcome, code from rowcast.attempt order by attempt")
        assert [tuple(row) for row in outcomes] == [("retry", "500"), ("retry", "503"), ("delivered", "204")]
