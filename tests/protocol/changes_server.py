"""A socket server that tells changed rows of a database, for the stock clients."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from rowcast.bus.memory import MemoryBus
from rowcast.core.clock import SystemClock
from rowcast.realtime.asking import Outside
from rowcast.server.row_changes import ChangesPlan, row_changes
from rowcast.store.pool import Database
from tests.protocol.socket_server import SocketServer, serving


@asynccontextmanager
async def serving_changes(dsn: str, database: Database, **values: Any) -> AsyncIterator[SocketServer]:
    """Serve sockets with the changes of a database for a block."""
    bus = MemoryBus()
    await bus.open()
    plan = ChangesPlan(**{"asked": "auto", "deletes": "told", "lease_s": 5.0, "node": "a", **values})
    places = {"dsn": dsn, "database": database, "policies": database}
    async with (
        row_changes(plan, bus=bus, clock=SystemClock(), **places) as changes,  # type: ignore[arg-type]
        serving(bus=bus, outside=Outside(changes=changes)) as server,
    ):
        yield server
    await bus.close()
