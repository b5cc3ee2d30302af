"""The bus over LISTEN and NOTIFY when things go wrong."""

import asyncio
import random
from base64 import b64decode
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import msgspec
import pytest

from rowcast.bus.postgres import PostgresBus, PostgresBusSettings
from rowcast.core.errors import ConfigError, StoreUnavailableError
from rowcast.core.retry import RetryPolicy
from rowcast.core.telemetry import listening
from rowcast.store.listen import listen
from rowcast.store.pool import Database
from rowcast.store.sql import parse_query

QUICK = PostgresBusSettings(reconnect=RetryPolicy(base_s=0.02, cap_s=0.1), heartbeat_s=0.2, timeout_s=2.0)
CUT = parse_query(
    "cut",
    "select pg_terminate_backend(pid) from pg_stat_activity "
    "where datname = current_database() and application_name = 'rowcast listen rowcast_bus'",
)
COUNT = parse_query("count", "select count(*) as n from rowcast.bus_message")
AGE = parse_query("age", "update rowcast.bus_message set sent_at = sent_at - interval '2 minutes'")
SHOUT = parse_query("shout", "select pg_notify('rowcast_bus', :text)")


def make_bus(dsn: str, node: bytes, settings: PostgresBusSettings = QUICK) -> PostgresBus:
    return PostgresBus(dsn, node=node * 16, noise=random.random, settings=settings)


@asynccontextmanager
async def opened(bus: PostgresBus) -> AsyncIterator[PostgresBus]:
    await bus.open()
    try:
        yield bus
    finally:
        await bus.close()


async def until_connected(bus: PostgresBus, *, is_connected: bool = True) -> None:
    async with asyncio.timeout(10):
        while bus.is_connected is not is_connected:
            await asyncio.sleep(0.005)


class Connects:
    """Counts how often a bus has connected."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, name: str, _: Mapping[str, object]) -> None:
        self.count += name == "bus.connected"

    async def reach(self, count: int) -> None:
        async with asyncio.timeout(10):
            while self.count < count:
                await asyncio.sleep(0.005)


async def until_heard(heard: list[bytes], wanted: list[bytes]) -> None:
    async with asyncio.timeout(10):
        while heard != wanted:
            await asyncio.sleep(0.005)


async def test_a_node_whose_connections_were_cut_connects_again_and_is_told(dsn: str, database: Database) -> None:
    heard: list[bytes] = []
    connects = Connects()
    with listening(connects):
        async with opened(make_bus(dsn, b"h")) as here, opened(make_bus(dsn, b"t")) as there:
            there.subscribe("realtime", heard.append)
            await here.publish("realtime", [b"before"])
            await until_heard(heard, [b"before"])
            await database.fetch(CUT)
            await connects.reach(4)
            await here.publish("realtime", [b"after"])

            await until_heard(heard, [b"before", b"after"])


async def test_what_is_published_while_the_database_is_away_is_told_when_it_is_back(
    dsn: str, database: Database
) -> None:
    heard: list[bytes] = []
    slow = PostgresBusSettings(reconnect=RetryPolicy(base_s=0.5, cap_s=0.5, jitter=0.0))
    connects = Connects()
    with listening(connects):
        async with opened(make_bus(dsn, b"h", slow)) as here, opened(make_bus(dsn, b"t")) as there:
            there.subscribe("realtime", heard.append)
            await database.fetch(CUT)
            await connects.reach(3)
            await here.publish("realtime", [b"kept"])

            assert not here.is_connected
            await until_heard(heard, [b"kept"])


async def test_more_than_the_bound_is_refused_and_this_process_is_told_all_the_same(
    dsn: str, database: Database
) -> None:
    heard: list[bytes] = []
    settings = PostgresBusSettings(reconnect=RetryPolicy(base_s=60.0), queued_bytes=100)
    async with opened(make_bus(dsn, b"h", settings)) as here:
        here.subscribe("realtime", heard.append)
        await database.fetch(CUT)
        await until_connected(here, is_connected=False)
        await here.publish("realtime", [b"x" * 80])

        with pytest.raises(StoreUnavailableError):
            await here.publish("realtime", [b"y" * 80])
        assert heard == [b"x" * 80, b"y" * 80]


async def test_publishing_on_a_closed_bus_is_refused(dsn: str) -> None:
    async with opened(make_bus(dsn, b"h")) as bus:
        pass

    with pytest.raises(StoreUnavailableError):
        await bus.publish("realtime", [b"late"])


async def test_a_database_that_is_not_there_yet_does_not_keep_the_bus_from_opening() -> None:
    async with opened(make_bus("postgresql://nobody@127.0.0.1:1/none", b"h")) as bus:
        assert not bus.is_connected


async def test_a_database_that_refuses_us_is_an_error_at_once(dsn: str) -> None:
    with pytest.raises(ConfigError):
        await make_bus(dsn.rpartition("/")[0] + "/no_such_database", b"h").open()


async def test_a_notification_of_a_stranger_is_dropped(dsn: str, database: Database) -> None:
    heard: list[bytes] = []
    async with opened(make_bus(dsn, b"h")) as here, opened(make_bus(dsn, b"t")) as there:
        there.subscribe("realtime", heard.append)
        for text in ("", "junk", "AAAA", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "é"):
            await database.fetch(SHOUT, text=text)
        await here.publish("realtime", [b"ours"])

        await until_heard(heard, [b"ours"])


async def test_what_nodes_say_cannot_be_read_by_listening(dsn: str) -> None:
    overheard: list[str] = []
    async with opened(make_bus(dsn, b"h")) as here, opened(make_bus(dsn, b"t")):
        spy = await listen(dsn, "rowcast_bus", on_message=overheard.append, on_lost=lambda: None, timeout_s=5)
        await here.publish("realtime", [b"a secret of acme"])
        async with asyncio.timeout(10):
            while not overheard:
                await asyncio.sleep(0.005)
        await spy.close()

        assert b"secret" not in b64decode(overheard[0])


async def test_a_node_that_is_alone_troubles_the_database_with_nothing(dsn: str, database: Database) -> None:
    overheard: list[str] = []
    heard: list[bytes] = []
    spy = await listen(dsn, "rowcast_bus", on_message=overheard.append, on_lost=lambda: None, timeout_s=5)
    async with opened(make_bus(dsn, b"h")) as here:
        await here.publish("realtime", [b"to nobody", b"x" * 100_000])
        async with opened(make_bus(dsn, b"t")) as there:
            there.subscribe("realtime", heard.append)
            await here.publish("realtime", [b"to somebody"])
            await until_heard(heard, [b"to somebody"])
    stored = await database.fetch_one(COUNT)
    await spy.close()

    assert len(overheard) == 1
    assert stored is not None
    assert stored["n"] == 0


async def test_a_node_that_is_alone_asks_now_and_then_and_makes_nobody_wait(dsn: str) -> None:
    heard: list[bytes] = []
    settings = msgspec.structs.replace(QUICK, alone_s=3600.0)
    async with opened(make_bus(dsn, b"h", settings)) as here:
        here.subscribe("realtime", heard.append)
        await here.publish("realtime", [b"first"])
        async with asyncio.timeout(10):
            await here.publish("realtime", [b"second"])
            await here.publish("realtime", [b"third"])

        assert heard == [b"first", b"second", b"third"]


async def test_long_messages_are_cleaned_up_after_a_minute(dsn: str, database: Database) -> None:
    async with opened(make_bus(dsn, b"h")) as here, opened(make_bus(dsn, b"t")):
        await here.publish("realtime", [b"x" * 100_000])
        stored = await database.fetch_one(COUNT)
        await database.execute(AGE)
        async with asyncio.timeout(10):
            while (row := await database.fetch_one(COUNT)) is not None and row["n"]:
                await asyncio.sleep(0.02)

        assert stored is not None
        assert stored["n"] == 1


async def test_what_no_other_node_hears_leaves_no_trace_and_no_gap(dsn: str) -> None:
    heard: list[bytes] = []
    facts: list[str] = []
    noted: list[str] = []
    listener = await listen(dsn, "rowcast_bus", on_message=noted.append, on_lost=lambda: None, timeout_s=5.0)
    relay = PostgresBus(dsn, node=b"r" * 16, noise=random.random, settings=QUICK, hears=["delivery.due"])
    with listening(lambda name, _: facts.append(name)):
        async with opened(make_bus(dsn, b"h")) as here, opened(relay):
            relay.subscribe("delivery.due", heard.append)
            # `here` hears everything, but nobody else hears sockets' messages: `relay` asked for one subject only.
            for number in range(3):
                await here.publish("realtime", [b"not for relays"])
                await here.publish("delivery.due", [b"%d" % number])
            await until_heard(heard, [b"0", b"1", b"2"])
    await listener.close()

    assert len(noted) == 3
    assert "bus.gap" not in facts


async def test_a_node_that_hears_everything_is_told_every_subject(dsn: str) -> None:
    heard: list[bytes] = []
    relay = PostgresBus(dsn, node=b"r" * 16, noise=random.random, settings=QUICK, hears=())
    async with opened(make_bus(dsn, b"h")) as here, opened(relay):
        here.subscribe("realtime", heard.append)
        await relay.publish("realtime", [b"for sockets"])

        await until_heard(heard, [b"for sockets"])
