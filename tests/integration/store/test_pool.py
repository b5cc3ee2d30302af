"""The pool: bounded, bounded in time, clean after anything, and back after the server was away."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path

import asyncpg
import pytest

from rowcast.core.errors import ConfigError, ConflictError, StoreError, StoreUnavailableError
from rowcast.server.embedded import EmbeddedPostgres
from rowcast.store.pool import Connection, Database, PoolSettings, connect, open_database
from rowcast.store.sql import parse_query

_PID = parse_query("pid", "select pg_backend_pid() as pid")
_SLEEP = parse_query("sleep", "select pg_sleep(:seconds)")
_MAKE = parse_query("make", "create table thing (name text primary key)")
_ADD = parse_query("add", "insert into thing (name) values (:name)")
_COUNT = parse_query("count", "select count(*) as count from thing")
_KILL = parse_query("kill", "select pg_terminate_backend(:pid)")
_IN_TRANSACTION = parse_query(
    "in_transaction",
    "select count(*) as count from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()"
    " and state <> 'idle' and backend_type = 'client backend'",
)


async def _count(database: Database, what: str = "select count(*) as count from thing") -> int:
    row = await database.fetch_one(parse_query("count", what))
    assert row is not None
    return int(row["count"])


async def test_a_transaction_is_committed_at_the_end_of_the_block(database: Database) -> None:
    await database.execute(_MAKE)

    async with database.transaction() as connection:
        await connection.execute(_ADD, name="a")

    assert await _count(database) == 1


async def test_a_transaction_is_rolled_back_by_an_error_of_the_caller_which_comes_out_unchanged(
    database: Database,
) -> None:
    await database.execute(_MAKE)

    with pytest.raises(TimeoutError, match="the caller's own"):
        async with database.transaction() as connection:
            await connection.execute(_ADD, name="a")
            raise TimeoutError("the caller's own")

    assert await _count(database) == 0


async def test_an_inner_transaction_is_a_savepoint(database: Database) -> None:
    await database.execute(_MAKE)

    async with database.transaction() as connection:
        await connection.execute(_ADD, name="outer")
        with pytest.raises(ConflictError):
            async with connection.transaction():
                await connection.execute(_ADD, name="outer")
        await connection.execute(_ADD, name="after")

    assert await _count(database) == 2


async def _sleep_in_transaction(database: Database, started: asyncio.Event) -> None:
    async with database.transaction() as connection:
        await connection.execute(_ADD, name="half done")
        started.set()
        await connection.fetch(_SLEEP, seconds=60.0)


async def test_cancellation_in_the_middle_of_a_statement_leaves_a_clean_connection(dsn: str) -> None:
    async with open_database(dsn, PoolSettings(max_size=1)) as database:
        await database.execute(_MAKE)
        started = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            task = group.create_task(_sleep_in_transaction(database, started))
            await started.wait()
            task.cancel()

        assert await _count(database) == 0
        assert await _count(database, _IN_TRANSACTION.text) == 0


async def test_many_cancellations_at_any_moment_leave_the_pool_whole(dsn: str) -> None:
    async with open_database(dsn, PoolSettings(max_size=2)) as database:
        await database.execute(_MAKE)
        for step in range(40):
            async with asyncio.TaskGroup() as group:
                task = group.create_task(_sleep_in_transaction(database, asyncio.Event()))
                await asyncio.sleep(step / 10_000)
                task.cancel()

        async with database.connection(), database.connection() as second:
            assert (await second.fetch(_COUNT))[0]["count"] == 0


async def test_what_an_array_is_is_asked_once_for_all_connections(dsn: str) -> None:
    arrays = parse_query(
        "arrays", "select :ids::bigint[] as ids, :names::text[] as names, :times::timestamptz[] as times"
    )
    given: dict[str, list[object]] = {"ids": [1, 2], "names": ["a"], "times": [datetime(2026, 5, 6, tzinfo=UTC)]}
    asked = parse_query(
        "asked",
        "select count(*) as asked from pg_prepared_statements where statement ~ '^\\s*WITH RECURSIVE typeinfo_tree'",
    )
    first, second = await connect(dsn), await connect(dsn)

    for connection in (first, second):
        row = await connection.fetch_one(arrays, **given)
        assert row is not None
        assert dict(row) == given

    row = await second.fetch_one(asked)
    assert row is not None
    assert row["asked"] == 0
    await first.close()
    await second.close()


async def test_an_array_of_a_type_of_ones_own_is_asked_for_as_ever(database: Database) -> None:
    await database.execute(parse_query("make", "create type mood as enum ('well', 'ill')"))

    row = await database.fetch_one(parse_query("own", "select :moods::mood[] as moods"), moods=["well", "ill"])

    assert row is not None
    assert row["moods"] == ["well", "ill"]


async def test_the_pool_is_bounded_and_says_so_in_time(dsn: str) -> None:
    async with open_database(dsn, PoolSettings(max_size=1, timeout_s=0.2)) as database, database.connection():
        with pytest.raises(StoreUnavailableError) as caught:
            await database.fetch(_PID)

    assert caught.value.code == "store.timeout"


async def test_a_statement_that_takes_too_long_is_cancelled_on_the_server(dsn: str, database: Database) -> None:
    async with open_database(dsn, PoolSettings(max_size=1, timeout_s=0.2)) as hasty:
        with pytest.raises(StoreUnavailableError):
            await hasty.fetch(_SLEEP, seconds=60.0)

        assert await hasty.fetch(_PID)

    assert await _count(database, _IN_TRANSACTION.text) == 0


_SLOW_COMMIT = """
create table slow ();
create function wait_for_long() returns trigger language plpgsql as $$ begin perform pg_sleep(60); return null; end $$;
create constraint trigger wait_for_long after insert on slow deferrable initially deferred
    for each row execute function wait_for_long();
"""


async def test_a_commit_that_takes_too_long_is_given_up(dsn: str) -> None:
    async with open_database(dsn, PoolSettings(max_size=1, timeout_s=0.5)) as hasty:
        async with hasty.connection() as connection:
            await connection.run_script(_SLOW_COMMIT)
        with pytest.raises(StoreUnavailableError) as caught:
            async with hasty.transaction() as connection:
                await connection.execute(parse_query("add", "insert into slow default values"))

        assert caught.value.code == "store.timeout"
        assert await _count(hasty, "select count(*) as count from slow") == 0


async def test_a_connection_that_the_server_ended_is_replaced(dsn: str, database: Database) -> None:
    async with open_database(dsn, PoolSettings(max_size=1)) as other:
        with pytest.raises(StoreUnavailableError):
            async with other.connection() as connection:
                (row,) = await connection.fetch(_PID)
                await database.fetch(_KILL, pid=row["pid"])
                await connection.fetch(_PID)

        assert (await other.fetch(_PID))[0]["pid"] != row["pid"]


async def test_the_error_of_a_lost_commit_is_not_hidden_by_the_rollback(dsn: str, database: Database) -> None:
    with pytest.raises(StoreUnavailableError):
        async with database.transaction() as connection:
            (row,) = await connection.fetch(_PID)
            async with open_database(dsn) as other:
                await other.fetch(_KILL, pid=row["pid"])


async def test_two_that_wait_for_each_other_are_told_to_try_again(database: Database) -> None:
    await database.execute(_MAKE)
    await database.execute(_ADD, name="a")
    await database.execute(_ADD, name="b")
    update = parse_query("touch", "update thing set name = name where name = :name")

    async def touch(first: str, second: str, mine: asyncio.Event, theirs: asyncio.Event) -> str:
        try:
            async with database.transaction() as connection:
                await connection.execute(update, name=first)
                mine.set()
                await theirs.wait()
                await connection.execute(update, name=second)
        except StoreError as error:
            return error.code
        return "done"

    one, two = asyncio.Event(), asyncio.Event()
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(touch("a", "b", one, two)), group.create_task(touch("b", "a", two, one))]

    assert sorted(task.result() for task in tasks) == ["done", "store.contended"]


async def test_a_mistake_in_our_own_sql_is_not_called_a_dead_server(database: Database) -> None:
    with pytest.raises(asyncpg.UndefinedTableError):
        await database.fetch(parse_query("x", "select 1 from no_such_table"))
    with pytest.raises(asyncpg.DataError):
        await database.fetch(parse_query("x", "select :a::integer"), a="not a number")


@pytest.mark.parametrize(
    "wrong",
    [
        lambda dsn: dsn.replace("://postgres:", "://postgres:wrong"),
        lambda dsn: dsn + "_is_not_there",
        lambda dsn: dsn.replace("127.0.0.1:", "127.0.0.1:port"),
    ],
)
async def test_a_wrong_user_name_or_url_is_a_wrong_setting(dsn: str, wrong: object) -> None:
    with pytest.raises(ConfigError) as caught:
        await connect(wrong(dsn))  # type: ignore[operator]

    assert caught.value.code == "config.database"


async def test_a_server_that_is_not_there_is_unavailable() -> None:
    with pytest.raises(StoreUnavailableError):
        async with open_database("postgresql://postgres@127.0.0.1:1/postgres"):
            raise AssertionError("opened")


async def _answer(database: Database) -> Connection | None:
    async with asyncio.timeout(20):
        while True:
            try:
                await database.fetch(_PID)
            except StoreUnavailableError:
                await asyncio.sleep(0.02)
            else:
                return None


@pytest.mark.parametrize("mode", ["fast", "immediate"])
async def test_the_pool_works_again_after_the_server_was_away(server_folder: Path, mode: str) -> None:
    async with (
        EmbeddedPostgres(server_folder) as server,
        open_database(server.dsn, PoolSettings(max_size=3)) as database,
    ):
        async with database.connection(), database.connection():
            pass
        await server.stop(mode)  # type: ignore[arg-type]
        with pytest.raises(StoreUnavailableError):
            await database.fetch(_PID)

        await server.start()
        await _answer(database)

        async with database.connection() as first, database.connection() as second, database.connection() as third:
            assert len({(await each.fetch(_PID))[0]["pid"] for each in (first, second, third)}) == 3
