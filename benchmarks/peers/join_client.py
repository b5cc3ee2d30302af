"""Sockets that join again and again: `join_client.py PORT SOCKETS TOKEN [TOKEN ...]`, a token for each claim set.

Prints `ready` when all are connected; then for each line `IS_PRIVATE SECONDS` the joins a second. A socket joins anew,
in place of its channel, when the last join was answered.
"""

import asyncio
import sys

import uvloop
from speeches import socket_head, socket_push

_PATIENCE_S = 60.0


class Joiner(asyncio.Protocol):
    """One socket."""

    def __init__(self, port: int, token: str) -> None:
        self._head = socket_head(port, token)
        self._token = token
        self._heard = b""
        self._join = b""
        self.joins = 0
        self.fault = b""
        self.is_open: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert hasattr(transport, "write")
        self.transport = transport
        transport.write(self._head)

    def data_received(self, data: bytes) -> None:
        self._heard += data
        if not self.is_open.done():
            if b"\r\n\r\n" in self._heard:
                self._heard = b""
                self.is_open.set_result(None)
            return
        if b'"phx_reply"' not in self._heard:
            return
        if b'"status":"ok"' not in self._heard:
            self.fault = self._heard
            return
        self._heard = b""
        self.joins += 1
        if self._join:
            self.transport.write(self._join)

    def begin(self, *, is_private: bool) -> None:
        """Join, and go on joining."""
        config = {"broadcast": {"self": False}, "presence": {"enabled": False}, "private": is_private}
        payload = {"config": config, "access_token": self._token}
        self._join = socket_push("realtime:room", "phx_join", payload, ref="join")
        self.transport.write(self._join)

    def rest(self) -> None:
        """Join no more."""
        self._join = b""

    def connection_lost(self, exc: Exception | None) -> None:
        self.fault = self.fault or b"the server has closed the connection"


async def measure(joiners: list[Joiner], *, is_private: bool, seconds: float) -> float:
    """Give the joins a second."""
    for joiner in joiners:
        joiner.begin(is_private=is_private)
    # The first answers are not counted: a claim set is asked about for the first time.
    await asyncio.sleep(seconds / 4)
    loop = asyncio.get_running_loop()
    before, begun_at = sum(joiner.joins for joiner in joiners), loop.time()
    await asyncio.sleep(seconds)
    rate = (sum(joiner.joins for joiner in joiners) - before) / (loop.time() - begun_at)
    for joiner in joiners:
        joiner.rest()
    await asyncio.sleep(0.5)
    fault = next((joiner.fault for joiner in joiners if joiner.fault), None)
    if fault is not None:
        raise RuntimeError(fault.decode(errors="replace"))
    return rate


async def main(port: int, count: int, tokens: list[str]) -> None:
    """Connect, and measure whenever a line asks for it."""
    joiners = []
    async with asyncio.timeout(_PATIENCE_S):
        for number in range(count):
            token = tokens[number % len(tokens)]
            _, joiner = await asyncio.get_running_loop().create_connection(
                lambda token=token: Joiner(port, token), "127.0.0.1", port
            )
            await joiner.is_open
            joiners.append(joiner)
    print("ready", flush=True)
    while line := (await asyncio.to_thread(sys.stdin.readline)).split():
        print(f"{await measure(joiners, is_private=line[0] == '1', seconds=float(line[1])):.1f}", flush=True)


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:]))
