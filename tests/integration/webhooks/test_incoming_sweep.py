"""What no sender repeats any more is forgotten, and nothing younger."""

import asyncio

import pytest

from rowcast.core.errors import StoreError
from rowcast.core.telemetry import listening
from rowcast.store.pool import Database
from rowcast.webhooks.incoming_sweep import IncomingSweep
from tests.integration.webhooks.incoming_world import World


async def test_old_ids_are_forgotten_and_young_ones_are_kept(database: Database) -> None:
    world = World(database)
    source, _ = await world.source("stripe")
    await world.rows(
        "insert into rowcast.incoming_delivery (source_id, delivery_id, tenant_id, event_id, received_at) "
        f"select '{source.id}', n::text, 'acme', rowcast.uuid7(), clock_timestamp() - make_interval(hours => n) "
        "from generate_series(1, 2500) n"
    )
    sweep = IncomingSweep(table=world.table, days=1, noise=lambda: 0.5)

    gone = await sweep.run_once()

    assert gone == 2500 - 23
    assert {int(said) for _, said, _ in await world.taken()} == set(range(1, 24))
    assert await sweep.run_once() == 0


async def test_a_sweep_that_fails_is_told_and_goes_on_later(database: Database) -> None:
    world, told = World(database), asyncio.Event()

    class Broken:
        async def forget(self, **_: object) -> int:
            raise StoreError("The database went away.")

    sweep = IncomingSweep(table=Broken(), days=1, noise=lambda: 0.5)  # type: ignore[arg-type]
    with listening(lambda name, _: told.set() if name == "incoming.sweep_failed" else None):
        task = asyncio.get_running_loop().create_task(sweep.run())
        async with asyncio.timeout(20):
            await told.wait()
        assert not task.done()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert await world.taken() == []
