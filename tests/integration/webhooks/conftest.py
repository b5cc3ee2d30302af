"""The engine of outgoing webhooks over one receiver."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest_asyncio

from rowcast.core.clock import SystemClock
from rowcast.egress.client import open_client
from rowcast.egress.guard import Policy
from rowcast.egress.reply import EgressSettings
from rowcast.store.pool import Database, open_database
from tests.integration.egress.receivers import answer, receiving
from tests.integration.webhooks.engine import Engine, Receiver
from tests.integration.webhooks.ledger_rows import LedgerRows


@pytest_asyncio.fixture
async def rows(emptied_dsn: str) -> AsyncIterator[LedgerRows]:
    """The module's database, emptied, and short ways to fill it."""
    async with open_database(emptied_dsn) as database:
        made = LedgerRows(database)
        await made.fetch("truncate rowcast.message, rowcast.background_task, rowcast.endpoint cascade")
        yield made


@pytest_asyncio.fixture
async def engine(database: Database) -> AsyncIterator[Engine]:
    receiver = Receiver()
    receiver.answers["/ok"] = [answer()]
    receiver.answers["/broken"] = [answer("500 Oops", b"broken")]
    async with AsyncExitStack() as stack:
        port = await stack.enter_async_context(receiving(receiver))
        policy = Policy(allowed=frozenset({("127.0.0.1", port)}))
        settings = EgressSettings(timeout_s=2.0)
        client = await stack.enter_async_context(open_client(clock=SystemClock(), policy=policy, settings=settings))
        yield Engine(database, client, port, receiver)
