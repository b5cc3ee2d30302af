"""A row and an event in one transaction: both are there, or neither.

Usage: python 01_emit.py ORDER
"""

import asyncio
import os
import sys

import asyncpg

from rowcast import Event, emit


class OrderConfirmed(Event, type="shop.order_confirmed", aggregate="order", key="order_id"):
    """The customer's order is accepted."""

    order_id: str
    total: str


async def confirm(connection: asyncpg.Connection, order_id: str) -> None:
    """Confirm one order of the sample shop."""
    async with connection.transaction():
        total = await connection.fetchval(
            "update orders set status = 'confirmed' where id = $1 returning total", int(order_id)
        )
        event_id = await emit(connection, OrderConfirmed(order_id=order_id, total=str(total)), tenant_id="acme")
    print("confirmed, event", event_id)


async def main() -> None:
    connection = await asyncpg.connect(os.environ["DATABASE_URL"])
    await confirm(connection, sys.argv[1])
    await connection.close()


asyncio.run(main())
