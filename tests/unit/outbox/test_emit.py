import inspect
import sys
from types import SimpleNamespace
from typing import Any

import pytest

from rowcast.core.errors import InvalidInputError, UsageError
from rowcast.core.event import Event
from rowcast.core.event_types import EventTypes
from rowcast.core.ids import uuid7
from rowcast.outbox.emit import emit, emit_many
from rowcast.outbox.limits import LargePayloadWarning
from rowcast.testing.fake_clock import FakeClock

HERE = EventTypes()
ID = uuid7(FakeClock().now())


class Confirmed(Event, type="orders.confirmed", key="order_id", catalogue=HERE):
    order_id: str
    note: str = ""


class Connection:
    """Stands for psycopg's: keeps what it was asked."""

    __module__ = "psycopg"

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []

    def commit(self) -> None:
        pytest.fail("rowcast committed")

    def cursor(self, **_: Any) -> Any:
        return self

    def __enter__(self) -> Any:
        return self

    def __exit__(self, *_: object) -> None: ...

    def execute(self, text: str, values: dict[str, Any]) -> Any:
        self.asked.append(values)
        return SimpleNamespace(fetchall=lambda: [str(ID)])


def test_a_connection_that_blocks_gives_the_id_at_once() -> None:
    connection = Connection()

    assert emit(connection, Confirmed(order_id="o-1"), tenant_id="acme", catalogue=HERE) == ID
    assert connection.asked[0]["aggregate_id"] == "o-1"


def test_an_event_belongs_to_the_current_trace_unless_it_says_another(monkeypatch: pytest.MonkeyPatch) -> None:
    context = SimpleNamespace(is_valid=True, trace_id=1, span_id=2, trace_flags=0)
    span = SimpleNamespace(get_span_context=lambda: context)
    monkeypatch.setitem(sys.modules, "opentelemetry.trace", SimpleNamespace(get_current_span=lambda: span))  # type: ignore[arg-type]
    connection = Connection()

    emit(connection, Confirmed(order_id="o-1"), tenant_id="acme", catalogue=HERE)
    emit(connection, Confirmed(order_id="o-1"), tenant_id="acme", catalogue=HERE, traceparent="00-own")

    assert [asked["traceparent"] for asked in connection.asked] == [f"00-{1:032x}-{2:016x}-00", "00-own"]


def test_the_warning_of_a_large_payload_points_at_the_line_that_emits() -> None:
    line = inspect.currentframe().f_lineno + 2  # type: ignore[union-attr]
    with pytest.warns(LargePayloadWarning) as warned:
        emit(Connection(), Confirmed(order_id="o-1", note="x" * 40_000), tenant_id="acme", catalogue=HERE)

    assert (warned[0].filename, warned[0].lineno) == (__file__, line)


def test_the_warning_of_a_large_payload_among_many_points_at_the_line_that_emits() -> None:
    line = inspect.currentframe().f_lineno + 2  # type: ignore[union-attr]
    with pytest.warns(LargePayloadWarning) as warned:
        emit_many(Connection(), [Confirmed(order_id="o-1", note="x" * 40_000)], tenant_id="acme", catalogue=HERE)

    assert (warned[0].filename, warned[0].lineno) == (__file__, line)


def test_more_events_than_a_statement_should_carry_are_refused() -> None:
    with pytest.raises(InvalidInputError) as refused:
        emit_many(Connection(), [Confirmed(order_id="o-1")] * 10_001, tenant_id="acme", catalogue=HERE)

    assert refused.value.code == "outbox.batch_too_large"


@pytest.mark.parametrize("connection", ["postgresql://localhost/shop", None, object()])
def test_what_is_no_connection_is_refused(connection: Any) -> None:
    with pytest.raises(UsageError) as refused:
        emit(connection, Confirmed(order_id="o-1"), tenant_id="acme", catalogue=HERE)

    assert refused.value.code == "usage.connection"
