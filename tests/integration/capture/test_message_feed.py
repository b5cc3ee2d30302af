"""Messages of the database to sockets: told when they are committed, in order, at least once; by the log or from the table."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress

import psycopg
import pytest

from rowcast.capture.message_feed import MessageFeed
from rowcast.core.errors import StoreUnavailableError
from rowcast.core.stored_message import StoredMessage
from rowcast.testing.cluster import Cluster
from tests.integration.capture.feeding import Heard, emit, opened, run, settle, until

SEND = "select realtime.send(jsonb_build_object('n', n), 'counted', 'room:1') from generate_series(%s::integer, %s::integer) n"


class Listener:
    """Takes what it is told; the first `failures` times it fails."""

    def __init__(self, failures: int = 0) -> None:
        self.messages: list[StoredMessage] = []
        self.failures = failures

    async def hear(self, messages: Sequence[StoredMessage]) -> None:
        if self.failures:
            self.failures -= 1
            raise StoreUnavailableError("not now")
        self.messages += messages

    @property
    def payloads(self) -> list[str]:
        return [message.payload.decode(errors="replace").split(",")[0].split("}")[0] for message in self.messages]

    async def has(self, count: int) -> list[str]:
        await until(lambda: len(self.messages) >= count)
        return self.payloads


def counted(first: int, last: int) -> list[str]:
    return [f'{{"n": {n}' for n in range(first, last + 1)]


@asynccontextmanager
async def from_table(dsn: str, listener: Listener) -> AsyncIterator[None]:
    """Read the table as a process without the log does."""
    feed = MessageFeed(dsn=dsn, hear=listener.hear, is_streamed=False)
    with Heard() as heard:
        task = asyncio.create_task(feed.run())
        await until(lambda: bool(heard.named("messages.followed")))
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


@asynccontextmanager
async def from_log(dsn: str, listener: Listener) -> AsyncIterator[None]:
    """Read the log as the relay does, events and all."""
    async with opened(dsn, hear=listener.hear) as feed, asyncio.TaskGroup() as group:

        async def relay() -> None:
            while True:
                await settle(feed, await feed.next_batch())

        task = group.create_task(relay(), name="test:relay")
        try:
            yield
        finally:
            task.cancel()


Road = Callable[[str, Listener], AbstractAsyncContextManager[None]]


@pytest.fixture(params=[from_table, from_log])
def road(request: pytest.FixtureRequest) -> Road:
    """Each of the two ways."""
    found: Road = request.param
    return found


async def test_messages_of_one_transaction_come_in_the_order_in_which_they_were_sent(any_dsn: str, road: Road) -> None:
    listener = Listener()
    async with road(any_dsn, listener):
        run(any_dsn, SEND, [1, 2500])

        assert await listener.has(2500) == counted(1, 2500)

    ids = [message.id for message in listener.messages]
    assert ids == sorted(set(ids))


async def test_nothing_is_told_before_it_is_committed_and_nothing_of_what_is_rolled_back(dsn: str, road: Road) -> None:
    listener = Listener()
    async with road(dsn, listener):
        with psycopg.connect(dsn) as open_one, psycopg.connect(dsn) as lost:
            open_one.execute(SEND, [1, 1])
            lost.execute(SEND, [2, 2])
            run(dsn, SEND, [3, 3])
            assert await listener.has(1) == counted(3, 3)
            lost.rollback()
            open_one.commit()

            assert await listener.has(2) == counted(3, 3) + counted(1, 1)


async def test_the_namespace_the_tenant_and_bytes_come_along(dsn: str, road: Road) -> None:
    listener = Listener()
    async with road(dsn, listener):
        run(dsn, "select realtime.send('{}', 'e', 'lobby', false)")
        run(dsn, r"select realtime.send_binary('\x00ff', 'e', 'room:1')")
        run(dsn, "select set_config('rowcast.tenant_id', 'acme', false), realtime.send('{}', 'e', 'orders')")
        run(
            dsn,
            "insert into realtime.messages (topic, extension, event, payload) values ('own', 'broadcast', 'e', '7')",
        )
        await listener.has(4)

    assert [(m.topic, m.is_private, m.is_binary, m.tenant_id) for m in listener.messages] == [
        ("lobby", False, False, None),
        ("room:1", True, True, None),
        ("orders", True, False, "acme"),
        ("own", False, False, None),
    ]
    assert listener.messages[1].payload == b"\x00\xff"


async def test_probes_of_policies_are_never_told(dsn: str, road: Road) -> None:
    listener = Listener()
    run(dsn, "create policy all_open on realtime.messages using (true)")
    async with road(dsn, listener):
        for is_write in (True, False):
            run(
                dsn,
                "select rowcast.channel_rights('service_role', '{}', '{}', 'room:1', '{broadcast}', %s)",
                [is_write],
            )
        run(dsn, SEND, [1, 1])

        assert await listener.has(1) == counted(1, 1)


async def test_what_was_sent_while_nobody_read_comes_later(dsn: str, road: Road) -> None:
    listener = Listener()
    async with road(dsn, Listener()):
        pass
    run(dsn, SEND, [1, 3])

    async with road(dsn, listener):
        assert await listener.has(3) == counted(1, 3)


async def test_what_was_told_does_not_come_again_after_a_restart_from_the_table(dsn: str) -> None:
    first, second = Listener(), Listener()
    async with from_table(dsn, first):
        run(dsn, SEND, [1, 3])
        await first.has(3)
        await until(
            lambda: (
                run(
                    dsn,
                    "select pg_visible_in_snapshot(max(transaction_id), (select seen from rowcast.message_cursor)) from realtime.messages",
                )
                == [(True,)]
            )
        )
    async with from_table(dsn, second):
        run(dsn, SEND, [4, 4])

        assert await second.has(1) == counted(4, 4)


async def test_what_could_not_be_told_comes_again_from_the_table(dsn: str) -> None:
    listener = Listener(failures=1)
    async with from_table(dsn, listener):
        run(dsn, SEND, [1, 3])

        assert await listener.has(3) == counted(1, 3)


async def test_what_could_not_be_told_comes_again_with_the_log(dsn: str) -> None:
    listener = Listener(failures=1)
    async with opened(dsn, hear=listener.hear) as feed:
        run(dsn, SEND, [1, 3])
        with pytest.raises(StoreUnavailableError):
            await feed.next_batch()

    async with from_log(dsn, listener):
        assert await listener.has(3) == counted(1, 3)


async def test_messages_and_events_come_with_one_log(dsn: str) -> None:
    listener = Listener()
    async with opened(dsn, hear=listener.hear) as feed:
        run(dsn, SEND, [1, 2])
        emit(dsn, 3)
        batch = await feed.next_batch()

        assert (listener.payloads, len(batch.events)) == (counted(1, 2), 3)


async def test_two_processes_do_not_both_read_the_table(dsn: str) -> None:
    first, second = Listener(), Listener()
    async with from_table(dsn, first):
        task = asyncio.create_task(MessageFeed(dsn=dsn, hear=second.hear, is_streamed=False).run())
        run(dsn, SEND, [1, 3])
        await first.has(3)
        task.cancel()

    assert second.messages == []


async def test_the_table_is_not_read_where_the_log_tells_the_messages(dsn: str) -> None:
    listener, streamed = Listener(), Listener()
    async with from_log(dsn, streamed):
        task = asyncio.create_task(MessageFeed(dsn=dsn, hear=listener.hear, is_streamed=True).run())
        run(dsn, SEND, [1, 3])
        await streamed.has(3)
        task.cancel()

    assert listener.messages == []


async def test_a_table_without_our_columns_is_left_to_the_log(rowcast_cluster: Cluster, dsn: str) -> None:
    run(dsn, "drop index realtime.messages_by_transaction")
    run(dsn, "alter table realtime.messages drop column transaction_id, drop column tenant_id, drop column seq cascade")
    listener = Listener()
    async with from_log(dsn, listener):
        run(dsn, SEND, [1, 2])

        assert await listener.has(2) == counted(1, 2)


async def test_a_slot_that_was_there_before_the_messages_tells_them_from_now_on(any_dsn: str) -> None:
    listener = Listener()
    async with opened(any_dsn):
        emit(any_dsn, 1)
    run(any_dsn, SEND, [1, 1])

    async with from_log(any_dsn, listener):
        run(any_dsn, SEND, [2, 3])

        assert await listener.has(2) == counted(2, 3)


async def test_a_transaction_larger_than_memory_should_hold_comes_in_pieces(dsn: str) -> None:
    sizes: list[int] = []

    async def hear(messages: Sequence[StoredMessage]) -> None:
        sizes.append(len(messages))

    async with opened(dsn, hear=hear, batch_size=100) as feed:
        run(dsn, SEND, [1, 5000])
        emit(dsn, 1)
        await settle(feed, await feed.next_batch())

    assert (sum(sizes), max(sizes) <= 100) == (5000, True)
