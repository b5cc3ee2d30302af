"""Joins one topic with the stock Python client and prints what comes, one JSON line each; ends by itself.

usage: python listen.py URL APIKEY TOKEN TOPIC COUNT SECONDS
"""

import asyncio
import json
import sys
from typing import Any

from realtime import AsyncRealtimeClient


def show(value: Any) -> None:
    print(json.dumps(value, default=str), flush=True)


async def main(url: str, key: str, token: str, topic: str, count: int) -> None:
    done = asyncio.Event()
    seen: list[Any] = []

    def receive(message: Any) -> None:
        show({"message": message})
        seen.append(message)
        if len(seen) >= count:
            done.set()

    client = AsyncRealtimeClient(url, key)
    await client.connect()
    await client.set_auth(token)
    channel = client.channel(
        topic, {"config": {"private": True, "broadcast": {"ack": False, "self": False}, "presence": {"key": ""}}}
    )
    channel.on_broadcast("*", receive)
    await channel.subscribe(lambda status, error: show({"status": str(status), "error": str(error)}))
    await done.wait()
    await client.close()


if __name__ == "__main__":
    url, key, token, topic, count, seconds = sys.argv[1:]
    try:
        asyncio.run(asyncio.wait_for(main(url, key, token, topic, int(count)), float(seconds)))
    except TimeoutError:
        show({"timeout": True})
        sys.exit(3)
