"""One stream on a real server: its frames, its signs of life, and its end."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import pytest
import pytest_asyncio

from rowcast.capture.pgoutput import Begin, Commit, Decoder, Insert
from rowcast.capture.replication import ReplicationStream
from rowcast.capture.replication_session import create_slot, start_stream
from rowcast.capture.stream_frames import DATA_HEADER_BYTES, parse_lsn
from rowcast.core.clock import SystemClock
from rowcast.core.errors import StoreUnavailableError
from rowcast.store.pool import Database
from rowcast.store.sql import load_queries
from tests.integration.capture.feeding import emit, run, slots, until

LEASE_S = 1.0


@pytest.fixture
def slot(dsn: str) -> str:
    return "test_" + dsn.rpartition("_")[2]


@pytest_asyncio.fixture
async def start(dsn: str, database: Database, slot: str) -> AsyncIterator[Any]:
    """`await start()` streams the slot of this test's database."""
    async with AsyncExitStack() as stack:

        async def start_one() -> ReplicationStream:
            stream = await start_stream(dsn, slot, lease_s=LEASE_S, timeout_s=10.0, clock=SystemClock())
            stack.push_async_callback(stream.close)
            return stream

        await database.execute(load_queries("rowcast.capture")["create_publication"])
        await create_slot(dsn, slot, lease_s=LEASE_S, timeout_s=10.0)
        yield start_one


async def messages(stream: ReplicationStream, *, until_kind: type, decoder: Decoder | None = None) -> list[Any]:
    decoder, found = decoder or Decoder(), []
    async with asyncio.timeout(10):
        while not any(isinstance(each, until_kind) for each in found):
            found += [decoder.decode(frame, DATA_HEADER_BYTES) for frame in await stream.receive(1000)]
    return found


async def test_a_committed_row_comes_between_its_begin_and_its_commit(start: Any, dsn: str) -> None:
    stream = await start()
    emit(dsn, 2)
    kinds = [type(each).__name__ for each in await messages(stream, until_kind=Commit)]

    assert [kind for kind in kinds if kind != "Relation"] == ["Begin", "Insert", "Insert", "Commit"]


async def test_only_what_an_envelope_needs_leaves_the_database(start: Any, dsn: str) -> None:
    stream = await start()
    emit(dsn, 1)
    (insert,) = [each for each in await messages(stream, until_kind=Commit) if isinstance(each, Insert)]

    names = [column.name for column in insert.relation.columns]
    assert (insert.relation.schema, insert.relation.table) == ("rowcast", "event")
    assert "created_at" not in names
    assert "shard" not in names
    assert "payload" in names


async def test_no_more_is_taken_than_was_asked_for_and_nothing_is_lost(start: Any, dsn: str) -> None:
    stream = await start()
    emit(dsn, 500, pad=2000)
    decoder, inserts = Decoder(), 0
    async with asyncio.timeout(10):
        while inserts < 500:
            frames = await stream.receive(7)
            assert len(frames) <= 7
            inserts += sum(isinstance(decoder.decode(frame, DATA_HEADER_BYTES), Insert) for frame in frames)

    assert inserts == 500


async def test_waiting_that_is_cancelled_loses_nothing(start: Any, dsn: str) -> None:
    stream = await start()
    for wait_s in (0.0, 0.001, 0.01):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(wait_s):
                while True:
                    assert await stream.receive(10) == []
    emit(dsn, 1)

    assert type((await messages(stream, until_kind=Commit))[0]) is Begin


async def test_a_silent_reader_loses_the_slot_after_its_lease(start: Any, dsn: str) -> None:
    stream = await start()
    assert [active for _, active in slots(dsn)] == [True]

    await until(lambda: [active for _, active in slots(dsn)] == [False])

    with pytest.raises(StoreUnavailableError):
        async with asyncio.timeout(5):
            while True:
                await stream.receive(10)


async def test_a_reader_that_gives_signs_keeps_the_slot_although_it_reads_nothing(start: Any, dsn: str) -> None:
    stream = await start()
    emit(dsn, 3000, pad=3000)
    for _ in range(12):
        await asyncio.sleep(LEASE_S / 4)
        stream.give_sign()

    assert [active for _, active in slots(dsn)] == [True]
    assert len(await messages(stream, until_kind=Commit)) > 3000


async def test_the_slot_is_free_as_soon_as_the_stream_is_closed(start: Any, dsn: str) -> None:
    stream = await start()

    await stream.close()
    await stream.close()
    again = await _start_when_free(start)

    assert isinstance(again, ReplicationStream)


async def _start_when_free(start: Any) -> ReplicationStream:
    async with asyncio.timeout(5):
        while True:
            try:
                stream: ReplicationStream = await start()
            except StoreUnavailableError:
                await asyncio.sleep(0.01)
            else:
                return stream


async def test_a_second_reader_is_told_that_the_slot_is_busy(start: Any) -> None:
    await start()

    with pytest.raises(StoreUnavailableError) as refused:
        await start()

    assert refused.value.code == "store.slot_busy"


async def test_when_the_server_ends_the_stream_the_reader_hears_why(start: Any, dsn: str) -> None:
    stream = await start()
    run(dsn, "select pg_terminate_backend(active_pid) from pg_replication_slots where database = current_database()")

    with pytest.raises(StoreUnavailableError, match=r"terminat|closed"):
        async with asyncio.timeout(5):
            while True:
                await stream.receive(10)


async def test_what_is_settled_is_forgotten_by_the_server_and_the_rest_comes_again(
    start: Any, dsn: str, slot: str
) -> None:
    stream, decoder = await start(), Decoder()
    emit(dsn, 1, tenant="first")
    first = [each for each in await messages(stream, until_kind=Commit, decoder=decoder) if isinstance(each, Commit)]
    emit(dsn, 1, tenant="second")
    await messages(stream, until_kind=Commit, decoder=decoder)
    stream.settle(first[0].end_lsn)
    stream.give_sign()
    text = "select confirmed_flush_lsn::text from pg_replication_slots where slot_name = %s"
    await until(lambda: parse_lsn(run(dsn, text, [slot])[0][0]) == first[0].end_lsn)
    await stream.close()
    again = await _start_when_free(start)
    inserts = [each for each in await messages(again, until_kind=Commit) if isinstance(each, Insert)]

    assert [b"second" in each.new for each in inserts] == [True]
