"""A relay in a process of its own, for tests that kill it: `python -m tests.integration.outbox.relay_process DSN [FEED]`.

It appends the id of every event that it tells to the file named by ROWCAST_TEST_TOLD_FILE, and prints what interrupts it.
"""

import asyncio
import os
import sys
from collections.abc import Sequence

from rowcast.core.failpoint import FAILPOINTS_VARIABLE, failpoint_from
from rowcast.core.telemetry import listening
from rowcast.outbox.feed import Routed
from rowcast.outbox.options import RelayOptions
from rowcast.outbox.relay import Relay
from rowcast.store.pool import open_database
from tests.contract.feeds import make_feed
from tests.integration.outbox.events import Recorder


class Writer(Recorder):
    """Tells a file."""

    async def tell(self, routed: Sequence[Routed]) -> None:
        file = os.open(os.environ["ROWCAST_TEST_TOLD_FILE"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        os.write(
            file, "".join(f"{each.event.id} {each.event.aggregate_id} {each.event.seq}\n" for each in routed).encode()
        )
        os.close(file)


async def main(dsn: str, feed: str = "claim") -> None:
    async with open_database(dsn) as database:
        relay = Relay(
            feed=make_feed(feed, dsn, lease_s=1.0, batch_size=20),
            handler=Writer(),
            database=database,
            options=RelayOptions(failpoint=failpoint_from(os.environ.get(FAILPOINTS_VARIABLE))),
        )
        with listening(
            lambda name, facts: print(name, dict(facts), flush=True) if name == "relay.interrupted" else None
        ):
            await relay.run()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
