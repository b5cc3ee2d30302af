"""What is kept for a time only is removed when that is over, and nothing younger."""

import asyncio
from functools import partial

import pytest

from rowcast.core.errors import StoreError
from rowcast.core.telemetry import listening
from rowcast.store.pool import Database
from rowcast.webhooks.sweep import Sweep
from tests.integration.webhooks.incoming_world import World


async def test_old_ids_are_forgotten_and_young_ones_are_kept(database: Database) -> None:
    world = World(database)
    source, _ = await world.source("stripe")
    await world.rows(
        "insert into rowcast.incoming_delivery (source_id, delivery_id, tenant_id, event_id, received_at) "
        f"select '{source.id}', n::text, 'acme', rowcast.uuid7(), clock_timestamp() - make_interval(hours => n) "
        "from generate_series(1, 2500) n"
    )
    sweep = Sweep({"incoming": partial(world.table.forget, days=1)}, noise=lambda: 0.5)

    gone = await sweep.run_once("incoming")

    assert gone == 2500 - 23
    assert {int(said) for _, said, _ in await world.taken()} == set(range(1, 24))
    assert await sweep.run_once("incoming") == 0


async def test_a_step_that_fails_is_told_keeps_no_other_from_being_done_and_comes_again_later() -> None:
    others, told = asyncio.Event(), asyncio.Event()

    async def broken(*, most: int) -> int:
        raise StoreError("The database went away.")

    async def other(*, most: int) -> int:
        others.set()
        return 0

    sweep = Sweep({"broken": broken, "other": other}, noise=lambda: 0.5)
    with listening(lambda name, _: told.set() if name == "sweep.failed" else None):
        task = asyncio.get_running_loop().create_task(sweep.run())
        async with asyncio.timeout(20):
            await told.wait()
            await others.wait()
        assert not task.done()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
