"""Tests of a pack. The fixtures come with rowcast; they start a real PostgreSQL of their own.

Usage: pytest 05_test_a_pack.py
"""

from decimal import Decimal
from importlib import import_module
from typing import Any

import psycopg
import pytest

from rowcast import Retry, emit

billing = import_module("04_pack")


async def test_a_customer_is_thanked() -> None:
    event = billing.InvoicePaid(invoice_id="i-1", amount=Decimal(5), customer="Ada")

    assert await billing.thank(event) == {"to": "Ada", "text": "Thank you for 5."}


async def test_an_unknown_customer_is_tried_again() -> None:
    event = billing.InvoicePaid(invoice_id="i-1", amount=Decimal(5))

    assert await billing.thank(event) == Retry("no_customer", after_s=60.0)


@pytest.mark.parametrize(("is_kept", "events"), [(True, 1), (False, 0)])
def test_an_event_is_there_when_its_transaction_was_committed(rowcast_dsn: str, is_kept: Any, events: int) -> None:
    with psycopg.connect(rowcast_dsn) as connection:
        emit(connection, billing.InvoicePaid(invoice_id="i-1", amount=Decimal(5)), tenant_id="acme")
        if not is_kept:
            connection.rollback()

    with psycopg.connect(rowcast_dsn) as connection:
        assert connection.execute("select count(*) from rowcast.event").fetchone() == (events,)
