"""Every kind of connection that `emit` and `enqueue` take, each behind the same five verbs."""

import os
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AbstractContextManager, asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import django
import psycopg
from sqlalchemy import create_engine, text
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import Session, scoped_session, sessionmaker

from rowcast.store.pool import Connection


class Caller:
    """An application's connection: what it hands to us, and how it opens transactions and runs SQL by itself."""

    def __init__(
        self,
        connection: Any,
        *,
        transaction: Callable[[], Any],
        savepoint: Callable[[], Any],
        run: Callable[[str], Any],
    ) -> None:
        self.connection = connection
        self._transaction = transaction
        self._savepoint = savepoint
        self._run = run

    def transaction(self) -> AbstractAsyncContextManager[None]:
        return _entered(self._transaction())

    def savepoint(self) -> AbstractAsyncContextManager[None]:
        return _entered(self._savepoint())

    async def run(self, sql: str) -> None:
        await settled(self._run(sql))


async def settled(value: Any) -> Any:
    """Give what a call gave, awaited where it must be."""
    return await value if hasattr(value, "__await__") else value


@asynccontextmanager
async def _entered(block: Any) -> AsyncIterator[None]:
    if isinstance(block, AbstractContextManager):
        with block:
            yield
    else:
        async with block:
            yield


@asynccontextmanager
async def with_asyncpg(dsn: str) -> AsyncIterator[Caller]:
    connection = await asyncpg.connect(dsn)
    yield Caller(
        connection, transaction=connection.transaction, savepoint=connection.transaction, run=connection.execute
    )
    await connection.close()


@asynccontextmanager
async def with_asyncpg_pool(dsn: str) -> AsyncIterator[Caller]:
    async with asyncpg.create_pool(dsn, min_size=1, max_size=1) as pool, pool.acquire() as lent:
        yield Caller(lent, transaction=lent.transaction, savepoint=lent.transaction, run=lent.execute)


@asynccontextmanager
async def with_store(dsn: str) -> AsyncIterator[Caller]:
    driver = await asyncpg.connect(dsn)
    ours = Connection(driver, timeout_s=30.0)
    yield Caller(ours, transaction=ours.transaction, savepoint=ours.transaction, run=driver.execute)
    await driver.close()


@asynccontextmanager
async def with_psycopg(dsn: str) -> AsyncIterator[Caller]:
    with psycopg.connect(dsn) as connection:
        yield Caller(
            connection, transaction=connection.transaction, savepoint=connection.transaction, run=connection.execute
        )


@asynccontextmanager
async def with_psycopg_async(dsn: str) -> AsyncIterator[Caller]:
    async with await psycopg.AsyncConnection.connect(dsn) as connection:
        yield Caller(
            connection, transaction=connection.transaction, savepoint=connection.transaction, run=connection.execute
        )


@asynccontextmanager
async def with_sqlalchemy_session(dsn: str) -> AsyncIterator[Caller]:
    engine = create_engine(_dialect(dsn, "psycopg"))
    with Session(engine) as session:
        yield Caller(
            session,
            transaction=session.begin,
            savepoint=session.begin_nested,
            run=lambda sql: session.execute(text(sql)) and None,
        )
    engine.dispose()


@asynccontextmanager
async def with_sqlalchemy_scoped_session(dsn: str) -> AsyncIterator[Caller]:
    engine = create_engine(_dialect(dsn, "psycopg"))
    session = scoped_session(sessionmaker(engine))
    yield Caller(
        session,
        transaction=session.begin,
        savepoint=session.begin_nested,
        run=lambda sql: session.execute(text(sql)) and None,
    )
    session.remove()
    engine.dispose()


@asynccontextmanager
async def with_sqlalchemy_connection(dsn: str) -> AsyncIterator[Caller]:
    engine = create_engine(_dialect(dsn, "psycopg"))
    with engine.connect() as connection:
        yield Caller(
            connection,
            transaction=connection.begin,
            savepoint=connection.begin_nested,
            run=lambda sql: connection.execute(text(sql)) and None,
        )
    engine.dispose()


@asynccontextmanager
async def with_sqlalchemy_async_session(dsn: str, driver: str = "asyncpg") -> AsyncIterator[Caller]:
    engine = create_async_engine(_dialect(dsn, driver))
    async with AsyncSession(engine) as session:
        yield Caller(
            session,
            transaction=session.begin,
            savepoint=session.begin_nested,
            run=lambda sql: session.execute(text(sql)),
        )
    await engine.dispose()


def with_sqlalchemy_async_session_on_psycopg(dsn: str) -> AbstractAsyncContextManager[Caller]:
    return with_sqlalchemy_async_session(dsn, "psycopg")


@asynccontextmanager
async def with_sqlalchemy_async_connection(dsn: str) -> AsyncIterator[Caller]:
    engine = create_async_engine(_dialect(dsn, "asyncpg"))
    async with engine.connect() as connection:
        yield Caller(
            connection,
            transaction=connection.begin,
            savepoint=connection.begin_nested,
            run=lambda sql: connection.execute(text(sql)),
        )
    await engine.dispose()


@asynccontextmanager
async def with_django_proxy(dsn: str) -> AsyncIterator[Caller]:
    connection, proxy, atomic = _django(dsn)
    yield Caller(proxy, transaction=atomic, savepoint=atomic, run=lambda sql: proxy.cursor().execute(sql))
    connection.close()


@asynccontextmanager
async def with_django_alias(dsn: str) -> AsyncIterator[Caller]:
    connection, _, atomic = _django(dsn)
    yield Caller(connection, transaction=atomic, savepoint=atomic, run=lambda sql: connection.cursor().execute(sql))
    connection.close()


def _django(dsn: str) -> tuple[Any, Any, Callable[[], Any]]:
    """Point Django's default alias at this test's database."""
    from django.conf import settings
    from django.db.utils import ConnectionHandler

    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"
    parts = urlsplit(dsn)
    database = {
        "ENGINE": "django.db.backends.postgresql", "NAME": parts.path.lstrip("/"), "USER": parts.username or "",
        "PASSWORD": parts.password or "", "HOST": parts.hostname, "PORT": parts.port,
    }  # fmt: skip
    if not settings.configured:
        settings.configure(DATABASES={"default": database})
        django.setup()
    from django.db import connection, connections, transaction

    connections["default"] = ConnectionHandler({"default": database})["default"]
    return connections["default"], connection, transaction.atomic


def _dialect(dsn: str, driver: str) -> str:
    return dsn.replace("postgresql://", f"postgresql+{driver}://")


CALLERS = (
    with_asyncpg,
    with_asyncpg_pool,
    with_store,
    with_psycopg,
    with_psycopg_async,
    with_sqlalchemy_session,
    with_sqlalchemy_scoped_session,
    with_sqlalchemy_connection,
    with_sqlalchemy_async_session,
    with_sqlalchemy_async_session_on_psycopg,
    with_sqlalchemy_async_connection,
    with_django_proxy,
    with_django_alias,
)
