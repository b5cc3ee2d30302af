"""The WAL feed beyond the contract: leadership, fencing, lost slots, and what the server must be told to keep.

What every feed promises is in tests/contract/test_feed.py.
"""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from rowcast.capture.wal_feed import WalFeed
from rowcast.core.errors import ConfigError, StoreUnavailableError
from rowcast.server.embedded import EmbeddedPostgres
from rowcast.store.migrate import migrate_database
from rowcast.testing.cluster import Cluster
from tests.integration.capture.feeding import Heard, collect, emit, opened, run, settle, slots, until
from tests.record import published

_PENDING = """
select count(*) from rowcast.event e where not exists (select 1 from rowcast.event_state s where s.event_id = e.id)
"""
_GAPS = "select reason, healed_at is not null, healed_events from rowcast.feed_gap order by id"
_LEADER = Path(__file__).with_name("leader.py")


def drop_slot(dsn: str) -> None:
    run(dsn, "select pg_drop_replication_slot(slot_name) from pg_replication_slots where database = current_database()")


@pytest.fixture
def leader(dsn: str) -> Iterator[subprocess.Popen[str]]:
    """Another process that leads and takes batches without settling them."""
    process = subprocess.Popen([sys.executable, str(_LEADER), dsn, "2.0"], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "leading\n"
    yield process
    process.kill()
    process.wait(10)
    process.stdout.close()


async def test_the_slot_carries_the_databases_number_and_is_made_once(any_dsn: str) -> None:
    dsn = any_dsn
    async with opened(dsn):
        made = slots(dsn)
    async with opened(dsn):
        assert slots(dsn) == made

    (oid,) = run(dsn, "select oid::text from pg_database where datname = current_database()")[0]
    assert made == [(f"rowcast_{oid}", True)]
    assert run(dsn, _GAPS) == []


async def test_many_processes_that_start_at_once_make_one_slot_and_one_of_them_leads(dsn: str) -> None:
    feeds = [WalFeed(dsn=dsn, lease_s=5.0) for _ in range(4)]
    async with asyncio.timeout(30), asyncio.TaskGroup() as group:
        opening = [group.create_task(feed.open()) for feed in feeds]
        await until(lambda: any(feed.is_leading for feed in feeds))
        await asyncio.sleep(0.5)
        leading = [feed.is_leading for feed in feeds]
        for task in opening:
            task.cancel()
    for feed in feeds:
        await feed.close()

    assert leading.count(True) == 1
    assert len(slots(dsn)) == 1
    assert run(dsn, _GAPS) == []


async def test_a_backlog_from_before_the_first_start_is_read_from_the_table_first(any_dsn: str) -> None:
    dsn = any_dsn
    emit(dsn, 250)
    async with opened(dsn) as feed:
        emit(dsn, 50)
        with Heard() as heard:
            events = await collect(feed, 300)
            await until_idle(feed)

    assert [event.seq for event in events] == list(range(1, 301))
    (healed,) = heard.named("feed.healed")
    assert healed["events"] >= 250
    assert run(dsn, _PENDING) == [(0,)]


async def test_a_feed_killed_while_it_heals_the_first_backlog_goes_on_where_it_was(dsn: str) -> None:
    emit(dsn, 300)
    async with opened(dsn) as feed:
        await collect(feed, 100)
    async with opened(dsn) as feed:
        events = await collect(feed, 200)

    assert len(events) == 200
    assert run(dsn, _PENDING) == [(0,)]


async def test_events_that_fell_into_the_gap_of_a_dropped_slot_are_healed_and_the_gap_is_told(dsn: str) -> None:
    async with opened(dsn) as feed:
        emit(dsn, 5)
        await collect(feed, 5)
    await until(lambda: slots(dsn)[0][1] is False)
    drop_slot(dsn)
    emit(dsn, 120)
    with Heard() as heard:
        async with opened(dsn) as feed:
            emit(dsn, 3)
            events = await collect(feed, 123)
            emit(dsn, 1)
            events += await collect(feed, 1)

    assert [event.seq for event in events] == list(range(6, 130))
    assert heard.named("feed.gap_noticed") == [{"reason": "slot_missing"}]
    ((reason, is_healed, healed),) = run(dsn, _GAPS)
    assert (reason, is_healed) == ("slot_missing", True)
    assert healed >= 120


async def test_a_gap_that_was_noticed_but_not_healed_is_healed_by_the_next_leader(dsn: str) -> None:
    async with opened(dsn) as feed:
        emit(dsn, 1)
        await collect(feed, 1)
    await until(lambda: slots(dsn)[0][1] is False)
    drop_slot(dsn)
    emit(dsn, 10)
    async with opened(dsn):
        pass
    assert run(dsn, _GAPS) == [("slot_missing", False, 0)]

    async with opened(dsn) as feed:
        assert len(await collect(feed, 10)) == 10
        await until_idle(feed)
    assert run(dsn, _GAPS) == [("slot_missing", True, 10)]


async def until_idle(feed: WalFeed) -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.7):
            await feed.next_batch()


async def test_a_publication_that_was_dropped_is_made_again_with_a_new_slot(dsn: str) -> None:
    async with opened(dsn) as feed:
        emit(dsn, 1)
        await collect(feed, 1)
    await until(lambda: slots(dsn)[0][1] is False)
    run(dsn, "drop publication rowcast_events")
    emit(dsn, 7)

    async with opened(dsn) as feed:
        emit(dsn, 2, tenant="after")
        events = await collect(feed, 9)

    assert [event.tenant_id for event in events] == ["acme"] * 7 + ["after"] * 2
    assert [reason for reason, *_ in run(dsn, _GAPS)] == ["publication_missing"]


async def test_when_the_leader_is_killed_another_process_takes_over_and_loses_nothing(
    dsn: str, leader: subprocess.Popen[str]
) -> None:
    emit(dsn, 20)
    waiting = WalFeed(dsn=dsn, lease_s=5.0)
    async with asyncio.timeout(30), asyncio.TaskGroup() as group:
        opening = group.create_task(waiting.open())
        await asyncio.sleep(0.4)
        assert not waiting.is_leading
        os.kill(leader.pid, signal.SIGKILL)
        await opening
        events = await collect(waiting, 20)
        await waiting.close()

    assert len(events) == 20


async def test_a_leader_that_stands_still_loses_the_slot_and_settles_nothing_when_it_wakes(
    dsn: str, leader: subprocess.Popen[str]
) -> None:
    emit(dsn, 20)
    assert leader.stdout is not None
    assert leader.stdout.readline() == "batch\n"
    os.kill(leader.pid, signal.SIGSTOP)
    async with opened(dsn, lease_s=2.0) as feed:
        batch = await feed.next_batch()
        os.kill(leader.pid, signal.SIGCONT)
        said = await asyncio.to_thread(leader.stdout.readline)
        before = run(dsn, "select count(*) from rowcast.event_state")
        new = await settle(feed, batch)

    assert said in ("store.taken_over\n", "store.unavailable\n")
    assert before == [(0,)]
    assert new == len(batch.events)


async def test_the_fence_alone_stops_an_old_leader_whose_connections_are_all_alive(dsn: str) -> None:
    async with opened(dsn) as old:
        emit(dsn, 3)
        batch = await old.next_batch()
        # The server ends only the stream, as it does with a silent reader; the old leader's session for SQL lives on.
        run(
            dsn, "select pg_terminate_backend(active_pid) from pg_replication_slots where database = current_database()"
        )
        async with opened(dsn) as new:
            with pytest.raises(StoreUnavailableError) as refused:
                await settle(old, batch)

            assert refused.value.code == "store.taken_over"
            assert run(dsn, _PENDING) == [(3,)]
            assert len(await collect(new, 3)) == 3


async def test_a_batch_that_was_committed_but_not_acknowledged_comes_again_and_is_settled_once(dsn: str) -> None:
    async with opened(dsn) as feed:
        await until_idle(feed)
        emit(dsn, 10)
        batch = await feed.next_batch()
        await feed.settle(batch, published(batch.events))
    async with opened(dsn) as feed:
        again = await feed.next_batch()
        new = await settle(feed, again)

    assert [event.id for event in again.events] == [event.id for event in batch.events]
    assert new == 0


async def test_one_transaction_of_a_hundred_thousand_events_is_cut_in_order_with_bounded_memory(dsn: str) -> None:
    async with opened(dsn, batch_size=1000) as feed:
        await until_idle(feed)
        emit(dsn, 100_000, pad=500)
        before, most, seqs = resident_bytes(), 0, []
        async with asyncio.timeout(100):
            while len(seqs) < 100_000:
                batch = await feed.next_batch()
                assert len(batch.events) <= 1000
                seqs += [event.seq for event in batch.events]
                most = max(most, resident_bytes())
                await settle(feed, batch)

    assert seqs == sorted(set(seqs))
    assert most - before < 100 * 1024 * 1024


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


async def test_killed_in_the_middle_of_a_large_transaction_what_is_settled_is_not_told_as_new_again(dsn: str) -> None:
    async with opened(dsn, batch_size=100) as feed:
        await until_idle(feed)
        emit(dsn, 1000)
        assert len(await collect(feed, 300)) == 300
    new = 0
    async with opened(dsn, batch_size=100) as feed, asyncio.timeout(30):
        while run(dsn, _PENDING) != [(0,)]:
            new += await settle(feed, await feed.next_batch())

    assert new == 700


async def test_a_partition_made_and_a_column_added_in_mid_stream_lose_and_double_nothing(dsn: str) -> None:
    today = run(dsn, "select to_char(now() at time zone 'utc', 'YYYYMMDD')")[0][0]
    for table in ("event", "event_state"):
        run(dsn, f"alter table rowcast.{table} detach partition rowcast.{table}_{today}")
        run(dsn, f"drop table rowcast.{table}_{today}")
    async with opened(dsn) as feed:
        await until_idle(feed)
        emit(dsn, 5)
        run(dsn, "select rowcast.make_partition((now() at time zone 'utc')::date)")
        run(dsn, "alter table rowcast.event add column extra text default 'x'")
        emit(dsn, 5, tenant="after")
        new = 0
        async with asyncio.timeout(20):
            while new < 10:
                new += await settle(feed, await feed.next_batch())
        await until_idle(feed)

    assert run(dsn, _PENDING) == [(0,)]


async def test_an_idle_database_beside_a_busy_one_lets_the_server_forget_its_log(any_cluster: Cluster) -> None:
    dsn, busy = any_cluster.create(), any_cluster.create()
    run(busy, "create table noise (t text)")
    mine = "from pg_replication_slots where database = current_database()"
    async with opened(dsn, lease_s=1.0) as feed, asyncio.TaskGroup() as group:
        waiting = group.create_task(feed.next_batch())
        await asyncio.sleep(0.5)
        ((before,),) = run(dsn, f"select restart_lsn {mine}")
        for _ in range(3):
            # Beside the loop, which must give its signs of life meanwhile.
            await asyncio.to_thread(
                run, busy, "insert into noise select repeat('x', 1000) from generate_series(1, 20000)"
            )
            await asyncio.to_thread(run, busy, "checkpoint")
        ((written,),) = run(busy, "select pg_current_wal_lsn()")
        await poll(dsn, f"select confirmed_flush_lsn >= '{written}' {mine}")
        await poll(dsn, f"select restart_lsn > '{before}' {mine}")
        assert not waiting.done()
        waiting.cancel()
    any_cluster.drop(dsn)
    any_cluster.drop(busy)


async def poll(dsn: str, text: str) -> None:
    async with asyncio.timeout(20):
        while run(dsn, text) != [(True,)]:
            await asyncio.sleep(0.1)


async def test_how_far_it_is_behind_is_told(dsn: str) -> None:
    with Heard() as heard:
        async with opened(dsn) as feed:
            emit(dsn, 1)
            await collect(feed, 1)
    (first, *_) = heard.named("feed.measured")

    assert first["feed"] == "wal"
    assert first["lag_s"] == 0.0
    assert first["lag_bytes"] >= 0
    assert first["kept_bytes"] >= first["lag_bytes"]
    assert first["wal_status"] == "reserved"
    assert heard.named("feed.opened") == [{"feed": "wal"}]


async def test_a_name_that_another_database_uses_is_refused(dsn: str, make_dsn: Callable[[], str]) -> None:
    other = make_dsn()
    name = "test_" + dsn.rpartition("_")[2]
    run(other, "select pg_create_logical_replication_slot(%s, 'pgoutput')", [name])

    with pytest.raises(ConfigError) as refused:
        await WalFeed(dsn=dsn, slot=name).open()

    assert refused.value.code == "config.slot"


async def test_a_feed_that_is_not_open_says_so(dsn: str) -> None:
    with pytest.raises(StoreUnavailableError):
        await WalFeed(dsn=dsn).next_batch()


async def test_a_server_without_a_logical_log_is_refused_and_told_what_to_do(server_folder: Path) -> None:
    async with EmbeddedPostgres(server_folder, settings={"wal_level": "replica"}) as server:
        await migrate_database(server.dsn)
        with pytest.raises(ConfigError, match="wal_level = logical") as refused:
            await WalFeed(dsn=server.dsn).open()

    assert refused.value.code == "config.wal_level"


async def test_a_slot_that_the_server_gave_up_is_made_anew_and_nothing_is_lost(server_folder: Path) -> None:
    settings = {
        "max_slot_wal_keep_size": "1MB",
        "max_wal_size": "32MB",
        "min_wal_size": "32MB",
        "fsync": "off",
        "max_replication_slots": "1",
    }
    async with EmbeddedPostgres(server_folder, settings=settings) as server:
        dsn = server.dsn
        await migrate_database(dsn)
        async with opened(dsn) as feed:
            emit(dsn, 1)
            await collect(feed, 1)
        await until(lambda: slots(dsn)[0][1] is False)
        emit(dsn, 100)
        run(dsn, "create table noise (t text)")
        for _ in range(6):
            run(dsn, "insert into noise select repeat('x', 1000) from generate_series(1, 20000)")
            run(dsn, "select pg_switch_wal()")
            run(dsn, "checkpoint")
        assert run(dsn, "select wal_status from pg_replication_slots") == [("lost",)]

        async with opened(dsn) as feed:
            emit(dsn, 1)
            events = await collect(feed, 101)
            await until_idle(feed)

        assert [event.seq for event in events] == list(range(2, 103))
        ((reason, is_healed, _),) = run(dsn, _GAPS)
        assert (reason, is_healed) == ("slot_lost", True)

        run(dsn, "create database other")
        other = dsn.rpartition("/")[0] + "/other"
        await migrate_database(other)
        with pytest.raises(ConfigError) as refused:
            await WalFeed(dsn=other).open()
        assert refused.value.code == "config.replication_slots"
