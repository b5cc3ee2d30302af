"""The code on the pages about events, jobs and drivers runs as it stands there."""

import re
from pathlib import Path
from typing import Any

import pytest

from rowcast.core.event import DECLARED
from rowcast.store.pool import Database
from rowcast.store.sql import parse_query
from tests.contract.callers import settled

DOCS = Path(__file__).parents[2] / "docs"
COUNT = parse_query("x", "select count(*) as events from rowcast.event where event_type = 'orders.confirmed'")


@pytest.fixture(autouse=True)
def declared_nowhere_else(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let each page declare its classes as if it were a program of its own."""
    for part in ("_by_name", "_by_class", "_upcasters"):
        monkeypatch.setattr(DECLARED, part, {})


def run_page(*pages: str) -> dict[str, Any]:
    """Run the Python of pages, one after the other, and give the names that they define."""
    names: dict[str, Any] = {"__name__": "page"}
    for page in pages:
        for block in re.findall(r"^```python\n(.*?)^```", (DOCS / page).read_text("utf-8"), re.DOTALL | re.MULTILINE):
            exec(compile(block, page, "exec"), names)
    return names


def test_the_events_page_declares_two_types_and_an_upcaster_that_works() -> None:
    run_page("explanation/events.md")

    read = DECLARED.parse("orders.confirmed", 1, {"order_id": "o-1", "cents": 1050})

    DECLARED.check()
    assert DECLARED.names() == ("orders.confirmed", "orders.shipped")
    assert str(read.total) == "10.5"


async def test_the_jobs_page_declares_tasks_that_can_be_called() -> None:
    names = run_page("explanation/events.md", "explanation/jobs.md")

    event = names["OrderConfirmed"](order_id="o-1", total=names["Decimal"]("5"))

    assert await names["write_receipt"](event) == {"receipt_for": "o-1", "total": "5"}
    assert len(names["pack"].tasks) == 2


@pytest.mark.parametrize(
    ("name", "events"),
    [
        ("confirm_with_asyncpg", 1),
        ("confirm_with_psycopg", 1),
        ("confirm_with_async_psycopg", 1),
        ("confirm_with_sqlalchemy", 1),
        ("confirm_with_async_sqlalchemy", 1),
        ("import_orders", 1001),
    ],
)
async def test_the_drivers_page_emits_with_each_driver(dsn: str, database: Database, name: str, events: int) -> None:
    names = run_page("how-to/emit-from-your-driver.md")

    await settled(names[name](dsn))

    row = await database.fetch_one(COUNT)
    assert row is not None
    assert row["events"] == events
