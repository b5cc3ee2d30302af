"""The stock Python client hears the sample shop's orders change.

Usage: python 02_listen.py [TOPIC]
"""

import asyncio
import os
import sys

from realtime import AsyncRealtimeClient


def show(message: dict) -> None:
    """Print one message: a changed row, or an event that was emitted."""
    payload = message["payload"]
    print(message["event"], payload.get("record") or payload.get("payload"), flush=True)


async def main(topic: str) -> None:
    client = AsyncRealtimeClient(os.environ["ROWCAST_WEBSOCKET_URL"], os.environ["ROWCAST_ANON_KEY"])
    await client.connect()
    await client.set_auth(os.environ["ROWCAST_USER_TOKEN"])
    channel = client.channel(topic, {"config": {"private": True}})
    channel.on_broadcast("*", show)
    await channel.subscribe(lambda status, error: print(status.value, error or "", flush=True))
    await asyncio.Event().wait()


asyncio.run(main(sys.argv[1] if len(sys.argv) > 1 else "orders:acme"))
