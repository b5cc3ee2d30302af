"""`rowcast serve --workers`: real processes behind one port."""

import asyncio
import json
import os
import signal
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import ClientConnection
from websockets.asyncio.client import connect as connect_socket
from websockets.exceptions import InvalidStatus

from rowcast.realtime.authorize import sign_token
from rowcast.server.settings import load_settings
from rowcast.server.workers import read_settings, settings_document, with_roles
from tests.integration.server.processes import JWT_SECRET, Process, started

WORKERS = 2


@pytest.fixture
def server(dsn: str, tmp_path: Path) -> Iterator[Process]:
    """A server with two workers that both listen."""
    words = ("serve", "--database", dsn, "--port", "0", "--workers", str(WORKERS))
    with started(*words, folder=tmp_path, ROWCAST_LOG__FORMAT="json", ROWCAST_RELAY__FEED="claim") as process:
        for _ in range(WORKERS):
            process.until("worker.ready")
        yield process


def port_of(process: Process) -> int:
    return int(next(line["port"] for line in process.log if line["event"] == "server.listening"))


def children(pid: int) -> list[int]:
    return [int(text) for text in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


async def until(is_true: Any, seconds: float = 30) -> None:
    async with asyncio.timeout(seconds):
        while not is_true():
            await asyncio.sleep(0.02)


@asynccontextmanager
async def joined(port: int, topic: str = "room") -> AsyncIterator[ClientConnection]:
    """A stock-shaped client on a public topic, joined."""
    token = sign_token({"role": "authenticated", "tenant_id": "acme", "exp": int(time.time()) + 86_400}, JWT_SECRET)
    async with connect_socket(f"ws://127.0.0.1:{port}/realtime/v1/websocket?apikey={token}&vsn=1.0.0") as socket:
        join = {
            "topic": f"realtime:{topic}",
            "event": "phx_join",
            "ref": "1",
            "join_ref": "1",
            "payload": {"config": {}},
        }
        await socket.send(json.dumps(join))
        reply = json.loads(await socket.recv())
        assert reply["payload"]["status"] == "ok", reply
        yield socket


async def broadcast(socket: ClientConnection, text: str, topic: str = "room") -> None:
    payload = {"type": "broadcast", "event": "said", "payload": {"text": text}}
    frame = {"topic": f"realtime:{topic}", "event": "broadcast", "ref": "2", "join_ref": "1", "payload": payload}
    await socket.send(json.dumps(frame))


async def hear(socket: ClientConnection) -> str:
    async with asyncio.timeout(20):
        while True:
            frame = json.loads(await socket.recv())
            if frame["event"] == "broadcast":
                return str(frame["payload"]["payload"]["text"])


def worker_of(socket: ClientConnection, pids: list[int]) -> int:
    """Give the worker that holds the other end of a connection."""
    # Seen from there: its own port, then ours. Ours alone may also stand for a connection of somebody else.
    ends = [f":{address[1]:04X}" for address in (socket.remote_address, socket.local_address)]
    lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    inode = next(words[9] for words in lines if [words[1][-5:], words[2][-5:]] == ends)
    for pid in pids:
        for link in Path(f"/proc/{pid}/fd").iterdir():
            try:
                if os.readlink(link) == f"socket:[{inode}]":
                    return pid
            except OSError:
                continue
    raise AssertionError("nobody holds the connection")


@asynccontextmanager
async def one_on_each(process: Process, topic: str = "room") -> AsyncIterator[dict[int, ClientConnection]]:
    """Clients until each worker has one."""
    pids = children(process.pid)
    async with asyncio.timeout(60), _Clients() as clients:
        found: dict[int, ClientConnection] = {}
        while len(found) < WORKERS:
            socket = await clients.open(joined(port_of(process), topic))
            found.setdefault(worker_of(socket, pids), socket)
        yield found


class _Clients:
    def __init__(self) -> None:
        self._open: list[Any] = []

    async def __aenter__(self) -> "_Clients":
        return self

    async def open(self, context: Any) -> ClientConnection:
        socket = await context.__aenter__()
        self._open.append(context)
        return socket

    async def __aexit__(self, *error: object) -> None:
        for context in self._open:
            await context.__aexit__(None, None, None)


async def test_workers_share_the_limit_of_a_tenant(dsn: str, tmp_path: Path) -> None:
    words = ("serve", "--database", dsn, "--port", "0", "--workers", str(WORKERS))
    settings = {"ROWCAST_LOG__FORMAT": "json", "ROWCAST_RELAY__FEED": "claim", "ROWCAST_LIMITS__USERS": "4"}
    with started(*words, folder=tmp_path, **settings) as process:
        for _ in range(WORKERS):
            process.until("worker.ready")
        async with asyncio.timeout(60), _Clients() as clients:

            async def is_refused() -> bool:
                try:
                    await clients.open(joined(port_of(process)))
                except InvalidStatus as error:
                    assert error.response.status_code == 429
                    return True
                return False

            # Which worker a connection comes to is the system's choice: so many that each gets more than its share.
            async with asyncio.TaskGroup() as group:
                asked = [group.create_task(is_refused()) for _ in range(20)]

    assert [one.result() for one in asked].count(False) == 4


async def test_a_broadcast_on_one_worker_reaches_the_clients_of_the_other_in_order(server: Process) -> None:
    async with one_on_each(server) as sockets:
        here, there = sockets.values()
        for number in range(50):
            await broadcast(here, str(number))

        assert [await hear(there) for _ in range(50)] == [str(number) for number in range(50)]


async def test_who_has_just_joined_hears_what_is_said_next_on_the_other_worker(server: Process) -> None:
    async with one_on_each(server, "elsewhere") as sockets:
        pids = list(sockets)
        for number in range(20):
            topic = f"fresh-{number}"
            async with joined(port_of(server), topic) as first, joined(port_of(server), topic) as second:
                await broadcast(first, "hello", topic)

                assert await hear(second) == "hello"
        assert len(pids) == WORKERS


async def test_a_worker_that_is_killed_takes_only_its_sockets_and_is_started_again(server: Process) -> None:
    async with one_on_each(server) as sockets:
        (dead, _), (alive, lucky) = sockets.items()
        os.kill(dead, signal.SIGKILL)
        await until(lambda: dead not in children(server.pid))
        await until(lambda: len(children(server.pid)) == WORKERS)
        server.until("worker.ready")

        async with joined(port_of(server)) as newcomer:
            await broadcast(newcomer, "still here")
            assert await hear(lucky) == "still here"
        assert alive in children(server.pid)


async def test_readiness_and_metrics_are_those_of_all_processes(server: Process) -> None:
    async with (
        one_on_each(server) as sockets,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{port_of(server)}") as http,
    ):
        async with asyncio.timeout(30):
            while (reply := await http.get("/readyz")).status_code != 200:
                await asyncio.sleep(0.05)
        names = {component["name"] for component in reply.json()["components"]}
        assert {"workers", "relay", "delivery", "bus", "database"} <= names

        async with asyncio.timeout(30):
            while _opened((await http.get("/metrics")).text) < len(sockets):
                await asyncio.sleep(0.05)


def _opened(text: str) -> float:
    return sum(
        float(line.split()[-1]) for line in text.splitlines() if 'rowcast_told_total{name="socket.opened"' in line
    )


def test_a_worker_that_stands_still_is_ended_and_started_again(server: Process) -> None:
    frozen, other = children(server.pid)
    os.kill(frozen, signal.SIGSTOP)

    hung = server.until("worker.hung")
    ended = server.until("worker.ended")

    assert (ended["worker"], ended["code"]) == (hung["worker"], -signal.SIGKILL)
    assert server.until("worker.ready")["worker"] == hung["worker"]
    assert frozen not in children(server.pid)
    assert other in children(server.pid)


async def test_a_signal_ends_the_server_and_all_workers_and_clients_are_told(server: Process) -> None:
    pids = children(server.pid)
    async with one_on_each(server) as sockets:
        server.signal(signal.SIGTERM)
        for socket in sockets.values():
            async with asyncio.timeout(20):
                await socket.wait_closed()
            assert socket.close_code == 1012

    code, _, _ = server.end()
    assert code == 0
    assert not any(is_alive(pid) for pid in pids)


async def test_workers_end_when_their_server_is_killed(server: Process) -> None:
    pids = children(server.pid)
    server.signal(signal.SIGKILL)

    await until(lambda: not any(is_alive(pid) for pid in pids))


def test_settings_come_through_whole_secrets_included() -> None:
    flags = {"database.url": "postgresql://u:p@h/d", "auth.jwt_secret": "s" * 40, "server.roles": ("relay",)}
    settings = load_settings(flags, environment={}).settings

    assert read_settings(settings_document(settings)) == settings
    assert read_settings(settings_document(with_roles(settings, ("gateway",)))).server.roles == ("gateway",)
