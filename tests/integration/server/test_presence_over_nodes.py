"""Presence of a topic is the same on every node and worker, also after they could not hear each other."""

import asyncio
import json
from typing import Any

from websockets.asyncio.client import ClientConnection

from tests.contract.nats_server import NatsServer
from tests.integration.server.processes import Process
from tests.integration.server.test_nodes_over_nats import nats, nodes, until_bus  # noqa: F401 - fixtures
from tests.integration.server.test_workers import joined, one_on_each, port_of, server  # noqa: F401 - fixtures


async def track(socket: ClientConnection, name: str) -> None:
    payload = {"type": "presence", "event": "track", "payload": {"name": name}}
    frame = {"topic": "realtime:room", "event": "presence", "ref": "9", "join_ref": "1", "payload": payload}
    await socket.send(json.dumps(frame))


class Seen:
    """Who is present, as a client puts it together from what it is told."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._present: dict[str, set[str]] = {}

    async def until(self, names: set[str], seconds: float = 15.0) -> None:
        async with asyncio.timeout(seconds):
            while {name for its in self._present.values() for name in its} != names:
                self._take(json.loads(await self._socket.recv()))

    def _take(self, frame: dict[str, Any]) -> None:
        payload = frame["payload"]
        if frame["event"] == "presence_state":
            self._present = {key: _names(its) for key, its in payload.items()}
        elif frame["event"] == "presence_diff":
            for key, its in payload["leaves"].items():
                self._present[key] = self._present.get(key, set()) - _names(its)
            for key, its in payload["joins"].items():
                self._present[key] = self._present.get(key, set()) | _names(its)


def _names(entry: dict[str, Any]) -> set[str]:
    return {meta["name"] for meta in entry["metas"]}


async def test_presence_of_two_workers_is_one(server: Process) -> None:  # noqa: F811
    async with one_on_each(server) as sockets:
        here, there = sockets.values()
        await track(here, "ann")
        await track(there, "bob")

        await Seen(here).until({"ann", "bob"})
        await Seen(there).until({"ann", "bob"})


async def test_presence_is_equal_again_within_15_s_after_nodes_could_not_hear_each_other(
    nodes: tuple[Process, Process],  # noqa: F811
    nats: NatsServer,  # noqa: F811
) -> None:
    one, other = nodes
    async with joined(port_of(one)) as here, joined(port_of(other)) as there:
        saw_here, saw_there = Seen(here), Seen(there)
        await track(here, "ann")
        await saw_there.until({"ann"})
        nats.kill()
        for node in nodes:
            await until_bus(node, "degraded")
        await track(there, "bob")
        await saw_there.until({"ann", "bob"}, seconds=30)

        nats.start()
        for node in nodes:
            await until_bus(node, "ok")

        await saw_here.until({"ann", "bob"})
        await saw_there.until({"ann", "bob"})
