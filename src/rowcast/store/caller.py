"""The caller's own connection: one query of ours runs inside the transaction that somebody else opened.

Drivers are recognised by the names of their classes and never imported: whoever passes a connection has its driver
loaded. Nothing here begins, commits or rolls back.
"""

import re
import sys
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from functools import cache
from typing import Any, Protocol, TypeVar

from rowcast.core.errors import ConfigError, RowcastError, UsageError
from rowcast.store.refusals import find_refusal
from rowcast.store.sql import Query

T = TypeVar("T")
Values = Mapping[str, object]
Give = Callable[[Sequence[Any]], T]

_SUPPORTED = (
    "asyncpg, psycopg 3 (sync and async), SQLAlchemy 2 (Session, Connection and their async forms), SQLModel and Django"
)
_NUMBERED = re.compile(r"\$(\d+)")
_NO_SCHEMA = frozenset({"3F000", "42883", "42P01"})
_NO_GRANT = "42501"


class BlockingCaller(Protocol):
    """A connection or session whose calls block: psycopg's Connection, SQLAlchemy's Session and Connection, Django's.

    Told from one that is awaited by its `commit`, which is never called here.
    """

    def commit(self) -> None:
        """Commit; never called by us."""
        ...


class AwaitedCaller(Protocol):
    """A connection or session that is awaited: psycopg's AsyncConnection, SQLAlchemy's async forms."""

    def commit(self) -> Coroutine[Any, Any, None]:
        """Commit; never called by us."""
        ...


class FetchingCaller(Protocol):
    """asyncpg's Connection and what its pool lends; our own `store.pool.Connection`."""

    def fetch(self, query: Any, /, *args: Any, **kwargs: Any) -> Coroutine[Any, Any, Any]:
        """Give all rows."""
        ...


AsyncCaller = AwaitedCaller | FetchingCaller


def ask(connection: object, query: Query, values: Values, give: Give[T]) -> T | Coroutine[Any, Any, T]:
    """Run a query on the caller's connection and give what `give` makes of its first column.

    Returns:
        The value itself for a connection that blocks, something to await for an async one.
    Raises:
        UsageError: `usage.connection`, when this is no connection that we know.
        ConfigError: `config.schema` or `config.grant`, when the database has not been prepared.
        RowcastError: What our SQL functions refuse, under its own code. Other errors of the driver come out unchanged.
    """
    run, is_async = runner_of(type(connection))
    if is_async:
        return _awaited(run(connection, query, values), give)
    with _Refusals():
        return give(run(connection, query, values))


def answer(connection: object, value: T) -> T | Coroutine[Any, Any, T]:
    """Give a value that needs no query in the form that `ask` would give it in."""
    _, is_async = runner_of(type(connection))
    return _ready(value) if is_async else value


async def _awaited(column: Awaitable[Sequence[Any]], give: Give[T]) -> T:
    with _Refusals():
        return give(await column)


async def _ready(value: T) -> T:
    return value


class _Refusals:
    """Raise our error where the driver's carries one; let any other through: the connection is the caller's."""

    __slots__ = ()

    def __enter__(self) -> None: ...

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if error is None or isinstance(error, RowcastError):
            return
        ours = find_refusal(error) or _unprepared(error)
        if ours is not None:
            raise ours from error


def _unprepared(error: BaseException) -> ConfigError | None:
    sqlstate = _sqlstate(error)
    if sqlstate in _NO_SCHEMA:
        return ConfigError(
            "This database has no rowcast schema, or an older one. Run `rowcast migrate` on it.", code="config.schema"
        )
    if sqlstate == _NO_GRANT:
        return ConfigError(
            "This database role may not use rowcast. Run `grant rowcast_app to <role>` as the owner.",
            code="config.grant",
        )
    return None


def _sqlstate(error: BaseException | None) -> str | None:
    while error is not None:
        found = getattr(error, "sqlstate", None)
        if isinstance(found, str):
            return found
        error = getattr(error, "orig", None) or error.__cause__
    return None


def runner_of(kind: type[Any]) -> tuple[Callable[..., Any], bool]:
    """Give what runs a query on connections of this class, and whether that is awaited.

    Raises:
        UsageError: `usage.connection`.
    """
    for each in kind.__mro__:
        found = _RUNNERS.get((each.__module__.partition(".")[0], each.__name__))
        if found is not None:
            return found
    raise UsageError(
        f"A {kind.__module__}.{kind.__qualname__} is no open connection or session that rowcast knows. Pass the one "
        f"that holds your transaction, not a pool, an engine or a URL: {_SUPPORTED}.",
        code="usage.connection",
    )


async def _asyncpg(connection: Any, query: Query, values: Values) -> Sequence[Any]:
    return [row[0] for row in await connection.fetch(query.text, *query.bind(**values))]


async def _ours(connection: Any, query: Query, values: Values) -> Sequence[Any]:
    return [row[0] for row in await connection.fetch(query, **values)]


def _psycopg(connection: Any, query: Query, values: Values) -> Sequence[Any]:
    with connection.cursor(row_factory=_first_column) as cursor:
        found: Sequence[Any] = cursor.execute(_percent(query), values).fetchall()
        return found


async def _psycopg_async(connection: Any, query: Query, values: Values) -> Sequence[Any]:
    async with connection.cursor(row_factory=_first_column) as cursor:
        await cursor.execute(_percent(query), values)
        found: Sequence[Any] = await cursor.fetchall()
        return found


def _first_column(cursor: object) -> Callable[[Sequence[Any]], Any]:
    """The row factory of psycopg, whatever the caller has set as its own."""
    return lambda row: row[0]


def _django(connection: Any, query: Query, values: Values) -> Sequence[Any]:
    with connection.cursor() as cursor:
        cursor.execute(_percent(query), values)
        return [row[0] for row in cursor.fetchall()]


def _sqlalchemy(connection: Any, query: Query, values: Values) -> Sequence[Any]:
    return [row[0] for row in connection.execute(_clause(query), values)]


async def _sqlalchemy_async(connection: Any, query: Query, values: Values) -> Sequence[Any]:
    return [row[0] for row in await connection.execute(_clause(query), values)]


@cache
def _percent(query: Query) -> str:
    """Give a query in the form `%(word)s` of psycopg and Django."""
    return _NUMBERED.sub(lambda found: f"%({query.parameters[int(found[1]) - 1]})s", query.text)


@cache
def _clause(query: Query) -> Any:
    """Give a query as SQLAlchemy's text clause; kept, so that SQLAlchemy compiles it once."""
    text = _NUMBERED.sub(lambda found: f":{query.parameters[int(found[1]) - 1]}", query.text)
    return sys.modules["sqlalchemy"].text(text)


_RUNNERS: dict[tuple[str, str], tuple[Callable[..., Any], bool]] = {
    ("asyncpg", "Connection"): (_asyncpg, True),
    ("asyncpg", "PoolConnectionProxy"): (_asyncpg, True),
    ("psycopg", "Connection"): (_psycopg, False),
    ("psycopg", "AsyncConnection"): (_psycopg_async, True),
    ("sqlalchemy", "Connection"): (_sqlalchemy, False),
    ("sqlalchemy", "Session"): (_sqlalchemy, False),
    ("sqlalchemy", "scoped_session"): (_sqlalchemy, False),
    ("sqlalchemy", "AsyncConnection"): (_sqlalchemy_async, True),
    ("sqlalchemy", "AsyncSession"): (_sqlalchemy_async, True),
    ("sqlalchemy", "async_scoped_session"): (_sqlalchemy_async, True),
    ("django", "BaseDatabaseWrapper"): (_django, False),
    ("django", "ConnectionProxy"): (_django, False),
    ("rowcast", "Connection"): (_ours, True),
}
