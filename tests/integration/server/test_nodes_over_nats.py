"""Two `rowcast serve` processes that tell each other through a real nats-server."""

import asyncio
import signal
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.exceptions import ConnectionClosed

from tests.contract.nats_server import NatsServer, nats_server
from tests.integration.server.processes import Process, started
from tests.integration.server.test_workers import broadcast, hear, joined, port_of


@pytest.fixture
def nats() -> Iterator[NatsServer]:
    with nats_server() as server:
        yield server


@pytest.fixture
def nodes(dsn: str, nats: NatsServer, tmp_path: Path) -> Iterator[tuple[Process, Process]]:
    """Two nodes that listen, each with all its roles."""
    words = ("serve", "--database", dsn, "--port", "0")
    more = {"ROWCAST_LOG__FORMAT": "json", "ROWCAST_RELAY__FEED": "claim", "ROWCAST_BUS__URL": nats.url}
    with ExitStack() as stack:
        found = [stack.enter_context(started(*words, folder=tmp_path, **more)) for _ in range(2)]
        for process in found:
            process.until("server.listening")
        yield found[0], found[1]


async def bus_of(process: Process) -> Any:
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port_of(process)}") as http:
        components = (await http.get("/readyz")).json()["components"]
    return next(component for component in components if component["name"] == "bus")


async def until_bus(process: Process, status: str) -> Any:
    async with asyncio.timeout(30):
        while (found := await bus_of(process))["status"] != status:
            await asyncio.sleep(0.05)
    return found


async def test_a_broadcast_on_one_node_reaches_the_clients_of_the_other_in_order(
    nodes: tuple[Process, Process],
) -> None:
    async with joined(port_of(nodes[0])) as here, joined(port_of(nodes[1])) as there:
        for number in range(50):
            await broadcast(here, str(number))

        assert [await hear(there) for _ in range(50)] == [str(number) for number in range(50)]


async def test_a_node_that_is_killed_takes_only_its_own_sockets(nodes: tuple[Process, Process]) -> None:
    dead, alive = nodes
    async with (
        joined(port_of(dead)) as lost,
        joined(port_of(alive)) as here,
        joined(port_of(alive)) as there,
    ):
        dead.signal(signal.SIGKILL)
        with pytest.raises(ConnectionClosed):
            await hear(lost)

        await broadcast(here, "still here")
        assert await hear(there) == "still here"
        assert (await bus_of(alive))["status"] == "ok"


async def test_without_nats_each_node_goes_on_alone_says_so_and_heals_by_itself(
    nodes: tuple[Process, Process], nats: NatsServer
) -> None:
    one, other = nodes
    async with (
        joined(port_of(one)) as here,
        joined(port_of(one)) as neighbour,
        joined(port_of(other)) as there,
    ):
        nats.kill()
        for node in nodes:
            assert "other nodes" in (await until_bus(node, "degraded"))["reason"]
        await broadcast(here, "alone")
        assert await hear(neighbour) == "alone"

        nats.start()
        for node in nodes:
            await until_bus(node, "ok")
        await broadcast(here, "together")
        assert await hear(neighbour) == "together"
        assert await hear(there) == "together"
