"""An aiohttp loop without a database: `aiohttp_posts.py URL AT_ONCE BYTES [CA_FILE]` posts one body again and again.

Prints `ready`, then for each line `COUNT` the seconds and the processor seconds that so many posts took.
"""

import asyncio
import json
import ssl
import sys
import time

import aiohttp
import uvloop

_HEADERS = {
    "content-type": "application/json",
    **{f"{family}-id": "msg_2yZ0000000000000000000000a" for family in ("webhook", "svix")},
    **{f"{family}-timestamp": "1700000000" for family in ("webhook", "svix")},
    **{f"{family}-signature": "v1,K5oZfzN95Z9UVu1EsfQmfVNQhnkZ2pj9o9NDN/H/pI4=" for family in ("webhook", "svix")},
}


async def main(url: str, at_once: str, size_bytes: str, ca_file: str = "") -> None:
    """Post whenever a line asks for it."""
    body = json.dumps({"data": "x" * int(size_bytes)}).encode()
    tls = ssl.create_default_context(cafile=ca_file) if ca_file else True
    connector = aiohttp.TCPConnector(limit=int(at_once), ssl=tls)
    async with aiohttp.ClientSession(connector=connector, auto_decompress=False) as session:
        print("ready", flush=True)
        while line := await asyncio.to_thread(sys.stdin.readline):
            begun_at, begun_cpu = time.perf_counter(), time.process_time()
            left = iter(range(int(line)))
            async with asyncio.TaskGroup() as group:
                for _ in range(int(at_once)):
                    group.create_task(_posts(session, url, body, left))
            print(f"{time.perf_counter() - begun_at:.6f} {time.process_time() - begun_cpu:.6f}", flush=True)


async def _posts(session: aiohttp.ClientSession, url: str, body: bytes, left: object) -> None:
    for _ in left:  # type: ignore[attr-defined]
        async with session.post(url, data=body, headers=_HEADERS) as answer:
            await answer.read()
            answer.raise_for_status()


if __name__ == "__main__":
    uvloop.run(main(*sys.argv[1:]))
