"""Messages, attempts, resend and recover by the command line, over what a server really delivered."""

import asyncio
import json
from asyncio.subprocess import DEVNULL
from collections.abc import AsyncIterator, Awaitable, Callable
from urllib.parse import urlsplit

import asyncpg
import pytest
import pytest_asyncio

from rowcast.testing.webhook_catcher import WebhookCatcher
from tests.integration.outbox.events import session
from tests.integration.server.conftest import Command, Done
from tests.integration.server.running import running

AsyncCommand = Callable[..., Awaitable[Done]]


@pytest_asyncio.fixture
async def catcher() -> AsyncIterator[WebhookCatcher]:
    async with WebhookCatcher() as opened:
        yield opened


@pytest.fixture
def verb(command: Command, catcher: WebhookCatcher, monkeypatch: pytest.MonkeyPatch) -> AsyncCommand:
    """`await verb("messages", "list")` runs a verb about acme that may name the catcher; it prints JSON."""
    monkeypatch.setenv("ROWCAST_WEBHOOKS__ALLOW_PRIVATE", urlsplit(catcher.url).netloc)

    async def run(*words: str, form: str = "--json") -> Done:
        return await asyncio.to_thread(command, *words, "--tenant", "acme", *([form] if form else []))

    return run


async def settled(driver: asyncpg.Connection, **counts: int) -> None:
    """Wait until deliveries stand like this."""
    async with asyncio.timeout(30):
        while True:
            rows = await driver.fetch("select status, count(*) from rowcast.delivery group by 1")
            if {row["status"]: row["count"] for row in rows} == counts:
                return
            await asyncio.sleep(0.05)


async def shell(text: str) -> None:
    process = await asyncio.create_subprocess_shell(text, stdout=DEVNULL, stderr=DEVNULL)
    async with asyncio.timeout(30):
        assert await process.wait() == 0


async def made(verb: AsyncCommand, catcher: WebhookCatcher) -> str:
    done = await verb("endpoints", "create", "--url", catcher.url, "--uid", "main", "--header", "X-Key: hidden")
    id_: str = done.value["id"]
    return id_


async def test_a_message_is_sent_looked_at_resent_and_expunged(
    dsn: str, verb: AsyncCommand, catcher: WebhookCatcher
) -> None:
    allowed = urlsplit(catcher.url).netloc
    endpoint = await made(verb, catcher)
    async with (
        running(dsn, roles=("relay", "delivery"), webhooks__allow_private=(allowed,), server__shutdown_grace_s=0.2),
        session(dsn) as driver,
    ):
        sent = (await verb("messages", "send", "orders.paid", '{"id": "o\'1"}', "--id", "mine", "--tag", "vip")).value
        await settled(driver, delivered=1)

        shown = (await verb("messages", "show", "mine")).value
        listed = (await verb("messages", "list", "--tag", "vip", "--event-type", "orders.paid")).value
        tried = (await verb("attempts", "list", "--endpoint", "main", "--message", "mine", "--status", "success")).value
        attempt = (await verb("attempts", "show", tried["data"][0]["id"])).value
        curl = (await verb("attempts", "show", tried["data"][0]["id"], "--curl", form="")).out

        assert (shown["id"], shown["payload"]) == (sent["id"], {"id": "o'1"})
        assert shown["endpoints"] == [{"endpointId": endpoint, "status": "success", "nextAttempt": None}]
        assert ([each["id"] for each in listed["data"]], listed["cursor"]) == ([sent["id"]], None)
        assert (attempt["status"], attempt["code"], attempt["trigger"]) == ("success", "204", "scheduled")
        assert attempt["requestHeaders"]["X-Key"] == "***"
        assert attempt["url"] == catcher.url

        assert (await verb("resend", "mine", "main")).value == {"resent": True}
        await settled(driver, delivered=2)
        await shell(curl.replace("<X-Key>", "by hand"))
        assert [json.loads(each.body) for each in await catcher.wait(3)] == [{"id": "o'1"}] * 3
        assert len({each.headers["webhook-id"] for each in catcher.requests}) == 1
        assert catcher.requests[2].headers["x-key"] == "by hand"

        assert (await verb("messages", "expunge", "mine")).value == {"expunged": 1}
        assert (await verb("messages", "show", "mine")).value["isExpunged"]
        assert (await verb("resend", "mine", "main")).value["error"]["code"] == "input.conflict"
        assert (await verb("attempts", "show", tried["data"][0]["id"], "--curl")).code == 4


async def test_what_an_endpoint_missed_is_recovered_by_the_command_itself(
    dsn: str, verb: AsyncCommand, catcher: WebhookCatcher
) -> None:
    since = "2020-01-01T00:00:00Z"
    async with session(dsn) as driver:
        await verb("messages", "send", "orders.paid", "{}")
        async with running(dsn, roles=("relay",), server__shutdown_grace_s=0.2), asyncio.timeout(30):
            while not await driver.fetchval("select count(*) from rowcast.event_state"):
                await asyncio.sleep(0.05)
        endpoint = await made(verb, catcher)

        missing = (await verb("recover", "main", "--since", since, "--missing")).value
        await settled(driver, waiting=1)
        await driver.execute("update rowcast.delivery set status = 'cancelled', settled_at = now()")
        recovered = (await verb("recover", endpoint, "--since", since)).value
        again = (await verb("recover", endpoint, "--since", since)).value
        begun = (await verb("recover", endpoint, "--since", since, "--no-wait")).value

        assert [(each["status"], each["replayed"]) for each in (missing, recovered, again)] == [
            ("finished", 1), ("finished", 1), ("finished", 0),
        ]  # fmt: skip
        assert begun["status"] == "running"
        await settled(driver, cancelled=1, waiting=1)


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["attempts", "list"], 2),
        (["attempts", "list", "--endpoint", "none"], 4),
        (["attempts", "list", "--message", "none"], 4),
        (["attempts", "list", "--message", "none", "--cursor", "x"], 2),
        (["attempts", "show", "none"], 4),
        (["attempts", "show", "atmpt_000000000000000000000000001"], 4),
        (["resend", "none", "main"], 4),
        (["recover", "none", "--since", "2026-01-01"], 4),
        (["recover", "none", "--since", "yesterday"], 2),
    ],
)
async def test_what_is_not_there_is_a_sentence(verb: AsyncCommand, words: list[str], code: int) -> None:
    done = await verb(*words)

    assert (done.code, "Traceback" in done.err) == (code, False), done
    assert "error" in done.value
