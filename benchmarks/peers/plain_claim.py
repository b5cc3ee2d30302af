"""An outbox as people write it by hand: NOTIFY wakes a loop that claims rows and marks them. It does nothing else."""

import asyncio
import sys

import asyncpg
import uvloop

_CLAIM = """
with due as (
    select id from plain_outbox where published_at is null order by id limit 500 for update skip locked
)
update plain_outbox o set published_at = now() from due where o.id = due.id returning o.id, o.payload
"""


async def main(dsn: str) -> None:
    """Claim until ended."""
    connection = await asyncpg.connect(dsn)
    listener = await asyncpg.connect(dsn)
    is_woken = asyncio.Event()
    await listener.add_listener("plain_outbox", lambda *_: is_woken.set())
    claim = await connection.prepare(_CLAIM)
    print("ready", flush=True)
    while True:
        is_woken.clear()
        if await claim.fetch():
            continue
        try:
            async with asyncio.timeout(0.25):
                await is_woken.wait()
        except TimeoutError:
            continue


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1]))
