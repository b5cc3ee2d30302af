"""Health follows the database down and up again, and the gauges follow what is there."""

import asyncio
from pathlib import Path

from rowcast.observe.health import Health
from rowcast.observe.metrics import Metrics
from rowcast.observe.status import StatusReader
from rowcast.observe.watch import Watch
from rowcast.server.embedded import EmbeddedPostgres
from rowcast.store.migrate import migrate_database
from rowcast.store.pool import Database, open_database
from rowcast.store.sql import parse_query
from rowcast.testing.fake_clock import FakeClock

_EMIT = parse_query("emit", "select rowcast.emit('acme', 'orders.made', '{}') from generate_series(1, :count)")


async def test_health_is_red_while_the_database_is_away_and_green_when_it_is_back(
    server_folder: Path, clock: FakeClock
) -> None:
    async with EmbeddedPostgres(server_folder) as server:
        await migrate_database(server.dsn)
        async with open_database(server.dsn) as database:
            health = Health(clock=clock)
            watch = Watch(reader=StatusReader(database=database), health=health, metrics=Metrics())
            assert not health.readiness().is_ready

            assert await watch.look()
            await watch.read()
            assert health.readiness().is_ready

            await server.stop("immediate")
            assert not await watch.look()
            assert "cannot be reached" in health.readiness().components[0].reason

            await server.start()
            assert await watch.look()
            assert health.readiness().is_ready


async def test_a_watch_that_stands_still_is_not_believed(database: Database, clock: FakeClock) -> None:
    health = Health(clock=clock)
    watch = Watch(reader=StatusReader(database=database), health=health, metrics=Metrics())
    await watch.look()

    clock.tick(7.0)

    assert not health.readiness().is_ready


async def test_a_running_watch_fills_the_gauges(database: Database, clock: FakeClock) -> None:
    await database.fetch(_EMIT, count=3)
    metrics = Metrics()
    watch = Watch(
        reader=StatusReader(database=database),
        health=Health(clock=clock),
        metrics=metrics,
        ping_every_s=0.01,
        read_every_s=0.01,
    )
    async with asyncio.TaskGroup() as group:
        running = group.create_task(watch.run())
        async with asyncio.timeout(20):
            while b'rowcast_events{status="pending"} 3.0' not in metrics.exposition():
                await asyncio.sleep(0.01)
        running.cancel()
