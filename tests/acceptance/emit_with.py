"""Emits one event through the driver named, inside a transaction, and prints its id.

usage: python emit_with.py DRIVER DSN ORDER
"""

import asyncio
import sys
from urllib.parse import urlsplit

from rowcast import Event, emit


class OrderConfirmed(Event, type="shop.order_confirmed", aggregate="order", key="order_id"):
    order_id: str
    total: str


def with_psycopg(dsn: str, event: OrderConfirmed) -> object:
    import psycopg

    with psycopg.connect(dsn) as connection:
        return emit(connection, event, tenant_id="acme")


async def with_psycopg_async(dsn: str, event: OrderConfirmed) -> object:
    import psycopg

    async with await psycopg.AsyncConnection.connect(dsn) as connection:
        return await emit(connection, event, tenant_id="acme")


async def with_asyncpg(dsn: str, event: OrderConfirmed) -> object:
    import asyncpg

    connection = await asyncpg.connect(dsn)
    async with connection.transaction():
        made = await emit(connection, event, tenant_id="acme")
    await connection.close()
    return made


def with_sqlalchemy(dsn: str, event: OrderConfirmed) -> object:
    from sqlalchemy import create_engine
    from sqlalchemy.orm import Session

    engine = create_engine(dsn.replace("postgresql://", "postgresql+psycopg://"))
    with Session(engine) as session, session.begin():
        return emit(session, event, tenant_id="acme")


def with_sqlalchemy_connection(dsn: str, event: OrderConfirmed) -> object:
    from sqlalchemy import create_engine

    engine = create_engine(dsn.replace("postgresql://", "postgresql+psycopg://"))
    with engine.begin() as connection:
        return emit(connection, event, tenant_id="acme")


async def with_sqlalchemy_async(dsn: str, event: OrderConfirmed) -> object:
    from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine

    engine = create_async_engine(dsn.replace("postgresql://", "postgresql+asyncpg://"))
    async with AsyncSession(engine) as session, session.begin():
        made = await emit(session, event, tenant_id="acme")
    await engine.dispose()
    return made


def with_django(dsn: str, event: OrderConfirmed) -> object:
    from django.conf import settings

    parts = urlsplit(dsn)
    database = {
        "ENGINE": "django.db.backends.postgresql", "NAME": parts.path.lstrip("/"), "USER": parts.username,
        "PASSWORD": parts.password, "HOST": parts.hostname, "PORT": parts.port,
    }  # fmt: skip
    settings.configure(DATABASES={"default": database})
    from django.db import connection, transaction

    with transaction.atomic():
        return emit(connection, event, tenant_id="acme")


if __name__ == "__main__":
    driver, dsn, order = sys.argv[1:]
    made = globals()[f"with_{driver}"](dsn, OrderConfirmed(order_id=order, total="12"))
    print(asyncio.run(made) if asyncio.iscoroutine(made) else made)
