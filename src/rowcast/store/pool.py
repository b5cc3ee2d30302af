"""The database as the rooms see it: named queries over a bounded pool of asyncpg connections."""

import asyncio
from collections.abc import AsyncIterator, Collection, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any, Protocol, Self

import asyncpg
import msgspec

from rowcast.core.errors import StoreError
from rowcast.store.failures import Explained, ExplainedConnect
from rowcast.store.sql import Query, load_queries

Row = Mapping[str, Any]


class Session(Protocol):
    """Something that runs named queries: the pool, one connection, or a transaction."""

    async def fetch(self, query: Query, /, **values: object) -> Sequence[Row]:
        """Give all rows."""
        ...

    async def fetch_one(self, query: Query, /, **values: object) -> Row | None:
        """Give the first row, or None."""
        ...

    async def execute(self, query: Query, /, **values: object) -> str:
        """Run a statement without rows; gives the command tag."""
        ...


class Connection:
    """One connection, inside or outside a transaction. Every wait is bounded by `timeout_s`.

    The driver's errors come out as those of `core/errors`: `StoreUnavailableError` where the server is gone or silent,
    `StoreError` `store.contended` where trying again helps, `ConflictError` for a value that is taken, and what our SQL
    functions refuse under its own code. Anything else is a fault in our own SQL and comes out as it is.
    """

    __slots__ = ("_timeout_s", "driver")

    def __init__(self, driver: Any, *, timeout_s: float) -> None:
        """Wrap an asyncpg connection."""
        self.driver = driver
        self._timeout_s = timeout_s

    async def fetch(self, query: Query, /, **values: object) -> Sequence[Row]:
        """Give all rows."""
        with Explained(self.driver):
            rows: Sequence[Row] = await self.driver.fetch(query.text, *query.bind(**values), timeout=self._timeout_s)
            return rows

    async def fetch_one(self, query: Query, /, **values: object) -> Row | None:
        """Give the first row, or None."""
        with Explained(self.driver):
            row: Row | None = await self.driver.fetchrow(query.text, *query.bind(**values), timeout=self._timeout_s)
            return row

    async def execute(self, query: Query, /, **values: object) -> str:
        """Run a statement without rows; gives the command tag."""
        with Explained(self.driver):
            return str(await self.driver.execute(query.text, *query.bind(**values), timeout=self._timeout_s))

    async def execute_many(self, query: Query, rows: Iterable[Mapping[str, object]]) -> None:
        """Run a statement once for each mapping, in one round trip; all or none of them happen."""
        values = [query.bind(**row) for row in rows]
        with Explained(self.driver):
            await self.driver.executemany(query.text, values, timeout=self._timeout_s)

    async def run_script(self, script: str) -> None:
        """Run several statements that take no parameters: a migration, a fixture."""
        with Explained(self.driver):
            await self.driver.execute(script, timeout=self._timeout_s)

    async def close(self) -> None:
        """Close politely for a second, then cut. Never raises."""
        try:
            await self.driver.close(timeout=1.0)
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
            self.driver.terminate()

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Self]:
        """Commit at the end of the block, roll back on an error or a cancellation. Inside another one: a savepoint."""
        with Explained(self.driver):
            transaction = self.driver.transaction()
            await transaction.start()
        try:
            yield self
        except BaseException:
            # Where even this fails the connection is gone, and the server rolls back by itself.
            with suppress(StoreError), Explained(self.driver):
                await transaction.rollback()
            raise
        with Explained(self.driver):
            await transaction.commit()


_ARRAY_TYPES = frozenset({199, 1000, 1001, 1005, 1007, 1009, 1016, 1022, 1182, 1185, 1231, 2951, 3807})
"""Arrays of json, bool, bytea, int2, int4, text, int8, float8, date, timestamptz, numeric, uuid and jsonb: the
same in every database. Source: pg_type.dat."""
_array_types: list[Any] = []
"""What the driver once asked about them, for all connections of this process."""


class _Driver(asyncpg.Connection):  # type: ignore[misc]
    """A driver's connection that does not ask on each connection anew what an array of integers is.

    The question takes the server many times what a claim does, and comes several times for each connection, whenever it
    first meets a statement: something urgent then waits. A driver without this method of its own asks as ever.
    """

    __slots__ = ()

    async def _introspect_types(self, typeoids: Collection[int], *rest: Any) -> Any:
        if not _ARRAY_TYPES.issuperset(typeoids):
            return await super()._introspect_types(typeoids, *rest)
        if not _array_types:
            _array_types.append(await super()._introspect_types(sorted(_ARRAY_TYPES), *rest))
        return _array_types[0]


class _PooledConnection(_Driver):
    """A driver's connection that comes back to the pool without a question to the server.

    The driver would send `reset all` and more each time: as many round trips again as there are queries. Nothing of
    ours outlives its transaction (`set local` only, no session locks); an open transaction is still rolled back.
    """

    __slots__ = ()

    def get_reset_query(self) -> str:
        """Give nothing to ask."""
        return ""


class Database:
    """A bounded pool. Sessions are given out for the time of a block."""

    __slots__ = ("_pool", "_timeout_s")

    def __init__(self, pool: Any, *, timeout_s: float) -> None:
        """Wrap an asyncpg pool; see `open_database`."""
        self._pool = pool
        self._timeout_s = timeout_s

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """Lend one connection; it comes back clean, or it is closed."""
        with Explained():
            driver = await self._pool.acquire(timeout=self._timeout_s)
        try:
            yield Connection(driver, timeout_s=self._timeout_s)
        finally:
            # What the block did is done. A connection that cannot be cleaned is closed by the pool and made anew.
            with suppress(StoreError), Explained():
                await self._pool.release(driver, timeout=self._timeout_s)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Connection]:
        """Lend one connection with an open transaction."""
        async with self.connection() as connection, connection.transaction():
            yield connection

    @asynccontextmanager
    async def as_tenant(self, tenant_id: str) -> AsyncIterator[Connection]:
        """Lend a transaction that sees one tenant only: row-level security decides, not our queries."""
        async with self.transaction() as connection:
            await connection.execute(load_queries("rowcast.store")["speak_for_tenant"], tenant_id=tenant_id)
            yield connection

    async def fetch(self, query: Query, /, **values: object) -> Sequence[Row]:
        """Give all rows."""
        async with self.connection() as connection:
            return await connection.fetch(query, **values)

    async def fetch_one(self, query: Query, /, **values: object) -> Row | None:
        """Give the first row, or None."""
        async with self.connection() as connection:
            return await connection.fetch_one(query, **values)

    async def execute(self, query: Query, /, **values: object) -> str:
        """Run a statement without rows; gives the command tag."""
        async with self.connection() as connection:
            return await connection.execute(query, **values)


class PoolSettings(msgspec.Struct, frozen=True):
    """Size and patience of a pool. `timeout_s` bounds the wait for a free connection and each statement."""

    min_size: int = 1
    max_size: int = 8
    timeout_s: float = 30.0
    connect_timeout_s: float = 10.0
    application_name: str = "rowcast"


@asynccontextmanager
async def open_database(dsn: str, settings: PoolSettings | None = None) -> AsyncIterator[Database]:
    """Open a pool on `dsn` for the time of a block.

    Raises:
        StoreUnavailableError: `store.unavailable`, when the server cannot be reached.
        ConfigError: `config.database`, when the server refuses the user, the password or the database.
    """
    chosen = settings or PoolSettings()
    pool = await _create_pool(dsn, chosen)
    try:
        yield Database(pool, timeout_s=chosen.timeout_s)
    finally:
        pool.terminate() if pool.is_closing() else await _close(pool)


async def connect(dsn: str, *, settings: dict[str, str] | None = None, timeout_s: float = 30.0) -> Connection:
    """Open one connection outside any pool; the caller closes it (`Connection.close`).

    Args:
        dsn: `postgresql://...`.
        settings: Server settings of the session, such as `idle_session_timeout`.
        timeout_s: Bound of the connect and of each query, in seconds.
    Raises:
        StoreUnavailableError: `store.unavailable`, when the server cannot be reached.
        ConfigError: `config.database`, when it refuses us or the URL cannot be read.
    """
    with ExplainedConnect():
        driver = await asyncpg.connect(
            dsn,
            timeout=timeout_s,
            command_timeout=timeout_s,
            connection_class=_Driver,
            server_settings={"application_name": "rowcast", **(settings or {})},
        )
    return Connection(driver, timeout_s=timeout_s)


async def _create_pool(dsn: str, settings: PoolSettings) -> Any:
    with ExplainedConnect():
        return await asyncpg.create_pool(
            dsn,
            min_size=settings.min_size,
            max_size=settings.max_size,
            connection_class=_PooledConnection,
            timeout=settings.connect_timeout_s,
            # Bounds what the driver sends by itself, too: begin, commit, rollback, reset.
            command_timeout=settings.timeout_s,
            server_settings={"application_name": settings.application_name},
        )


async def _close(pool: Any) -> None:
    """Close politely for a second, then cut: a dead server must not hold up the exit."""
    try:
        async with asyncio.timeout(1.0):
            await pool.close()
    except TimeoutError:
        pool.terminate()
