"""A process that leads, takes one batch, waits, and then says what came of settling it."""

import asyncio
import sys

from rowcast.capture.wal_feed import WalFeed
from rowcast.core.errors import StoreError
from rowcast.outbox.publisher import NewState, record_of


async def main(dsn: str, wait_s: float) -> None:
    feed = WalFeed(dsn=dsn, lease_s=2.0, batch_size=100)
    await feed.open()
    print("leading", flush=True)
    async with asyncio.TaskGroup() as group:
        beat = group.create_task(feed.keep_alive())
        batch = await feed.next_batch()
        print("batch", flush=True)
        await asyncio.sleep(wait_s)
        try:
            await feed.settle(batch, record_of([NewState(event, "published") for event in batch.events]))
            print("settled", flush=True)
        except StoreError as error:
            print(error.code, flush=True)
        beat.cancel()


asyncio.run(main(sys.argv[1], float(sys.argv[2])))
