"""The sample shop of `rowcast dev`: a small application of its own, using only what every user has."""

import asyncio
from collections.abc import Callable
from importlib import resources
from typing import Any

from rowcast import Event, Pack, Watch, rule, task
from rowcast.core.errors import StoreUnavailableError
from rowcast.store.pool import Database
from rowcast.store.sql import load_queries

_NEXT_STATUS = {"new": "confirmed", "confirmed": "packed", "packed": "shipped", "shipped": "new"}


class OrderConfirmed(Event, type="shop.order_confirmed", aggregate="order", key="order_id"):
    """The customer's order is accepted."""

    order_id: str
    total: str
    currency: str = "EUR"


@task(name="shop.write_receipt", timeout_s=5.0, max_attempts=5)
async def write_receipt(event: Any) -> dict[str, Any]:
    """Give the receipt of a changed order: the job that the sample shop runs."""
    payload = event.payload_value()
    record = payload.get("record") or payload
    return {"receipt_for": str(record.get("id", event.aggregate_id)), "status": record.get("status", "confirmed")}


ORDERS = Watch(
    table="public.orders",
    topic="orders:{org_id}",
    columns=("id", "org_id", "customer", "status", "total", "updated_at"),
)

pack = Pack(
    name="sample_shop",
    events=(OrderConfirmed,),
    tasks=(write_receipt,),
    watches=(ORDERS,),
    rules=(rule("shop.receipt", ("orders.updated", "shop.order_confirmed"), sink="jobs", target="shop.write_receipt"),),
)


async def prepare_shop(database: Database) -> None:
    """Create the shop's table and its first orders, if they are not there."""
    script = resources.files("rowcast.server").joinpath("sample_shop.sql").read_text("utf-8")
    async with database.transaction() as connection:
        await connection.run_script(script)


async def run_shop(database: Database, *, noise: Callable[[], float], pause_s: float = 0.8) -> None:
    """Change orders, one after another, until cancelled."""
    query = load_queries("rowcast.server")["advance_order"]
    while True:
        await asyncio.sleep(pause_s * (0.5 + noise()))
        try:
            await database.execute(
                query, pick=noise(), statuses=list(_NEXT_STATUS), next_statuses=list(_NEXT_STATUS.values())
            )
        except StoreUnavailableError:
            continue
