import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from rowcast.core.delivery import Delivery
from rowcast.core.envelope import Envelope
from rowcast.core.errors import InvalidInputError, UnknownEventTypeError, UsageError
from rowcast.core.event import Event
from rowcast.core.event_types import EventTypes
from rowcast.jobs.arguments import call_of, encode_arguments
from rowcast.jobs.task import Task

HERE = EventTypes()
AT = datetime(2026, 1, 1, tzinfo=UTC)


class ConfirmedV1(Event, type="orders.confirmed", version=1, catalogue=HERE):
    order_id: str


class Confirmed(Event, type="orders.confirmed", version=2, catalogue=HERE):
    order_id: str
    total: Decimal


class Shipped(Event, type="orders.shipped", catalogue=HERE):
    order_id: str


HERE.add_upcaster("orders.confirmed", from_version=1, upcaster=lambda payload: {**payload, "total": "0"})

EVENT = Envelope(
    id=uuid.UUID(int=1), tenant_id="acme", aggregate_type="order", aggregate_id="o", event_type="orders.confirmed",
    version=1, occurred_at=AT, payload=msgspec.Raw(b'{"order_id":"o"}'),
)  # fmt: skip


def delivery(*, event: Envelope | None = None, payload: bytes | None = None) -> Delivery:
    return Delivery(
        id=1, tenant_id="acme", sink="jobs", target="t", attempt=1, fence=1, due_at=AT, event=event,
        event_id=event.id if event else None, payload=msgspec.Raw(payload) if payload is not None else None,
    )  # fmt: skip


def called(function: Callable[..., Any], given: Delivery, catalogue: EventTypes = HERE) -> Any:
    call = call_of(Task("t", function), given, catalogue)
    return function(*call.args, **call.kwargs)


def with_nothing_said(event):  # type: ignore[no-untyped-def]
    return event


def with_any(event: Any) -> Any:
    return event


def with_envelope(event: Envelope, more: int = 1) -> Any:
    return event


def with_keyword(*, event: Envelope) -> Any:
    return event


def with_latest(event: Confirmed) -> Any:
    return event


def with_first_version(event: ConfirmedV1) -> Any:
    return event


def with_shipped(event: Shipped) -> Any:
    return event


def with_arguments(order_id: str, total: Decimal = Decimal(5), lines: list[str] = ["a"]) -> Any:  # noqa: B006
    return order_id, total, lines


def with_nothing() -> str:
    return "called"


def with_unreadable(order: "NowhereDefined") -> None:  # type: ignore[name-defined]  # noqa: F821
    """Never called."""


@pytest.mark.parametrize("function", [with_nothing_said, with_any, with_envelope, with_keyword])
def test_a_task_that_asks_for_no_class_gets_the_envelope(function: Callable[..., Any]) -> None:
    assert called(function, delivery(event=EVENT)) is EVENT


def test_a_task_that_asks_for_a_class_gets_the_typed_event_brought_up_to_its_version() -> None:
    assert called(with_latest, delivery(event=EVENT)) == Confirmed(order_id="o", total=Decimal(0))
    assert called(with_first_version, delivery(event=EVENT)) == ConfirmedV1(order_id="o")


@pytest.mark.parametrize("function", [with_shipped, with_arguments, with_nothing])
def test_a_task_that_cannot_take_the_event_is_refused(function: Callable[..., Any]) -> None:
    with pytest.raises(InvalidInputError) as refused:
        called(function, delivery(event=EVENT))

    assert refused.value.code == "input.arguments"


def test_an_event_whose_payload_does_not_fit_is_refused() -> None:
    broken = msgspec.structs.replace(EVENT, version=2)

    with pytest.raises(InvalidInputError) as refused:
        called(with_latest, delivery(event=broken))

    assert refused.value.code == "input.payload"


def test_a_version_without_a_way_up_is_the_programmers_fault() -> None:
    here = EventTypes(each for each in HERE)

    with pytest.raises(UsageError):
        called(with_latest, delivery(event=EVENT), here)


def test_arguments_are_checked_by_the_annotations_and_completed_by_the_defaults() -> None:
    given = delivery(payload=b'{"order_id":"o","total":"1.50"}')

    assert called(with_arguments, given) == ("o", Decimal("1.50"), ["a"])


def test_without_arguments_the_defaults_are_taken() -> None:
    assert called(with_nothing, delivery()) == "called"
    assert called(with_nothing, delivery(payload=b"{}")) == "called"


def test_an_argument_of_a_later_release_is_passed_over() -> None:
    assert called(with_nothing, delivery(payload=b'{"later":1}')) == "called"


@pytest.mark.parametrize("payload", [b"{}", b'{"order_id":1}', b"[]", b'{"order_id":"o","total":"x"}'])
def test_arguments_that_do_not_fit_are_refused(payload: bytes) -> None:
    with pytest.raises(InvalidInputError, match="the task t") as refused:
        called(with_arguments, delivery(payload=payload))

    assert refused.value.code == "input.payload"


def test_an_annotation_that_cannot_be_read_is_the_programmers_fault() -> None:
    with pytest.raises(UsageError, match="NowhereDefined") as refused:
        called(with_unreadable, delivery(payload=b"{}"))

    assert refused.value.code == "usage.task"


def test_an_annotation_that_no_json_can_fill_is_the_programmers_fault() -> None:
    def either(value: dict[str, int] | ConfirmedV1) -> None:
        """Never called."""

    with pytest.raises(UsageError, match="cannot be read from JSON"):
        called(either, delivery(payload=b"{}"))


def test_enqueued_arguments_are_completed_by_the_defaults() -> None:
    text = encode_arguments(Task("t", with_arguments), {"order_id": "o", "lines": ["b"]})

    assert text == b'{"order_id":"o","total":"5","lines":["b"]}'


@pytest.mark.parametrize("arguments", [{}, {"order_id": 1}, {"order_id": "o", "typo": 1}, {"order_id": "\x00"}])
def test_arguments_that_would_not_fit_are_refused_when_they_are_enqueued(arguments: dict[str, Any]) -> None:
    with pytest.raises(InvalidInputError) as refused:
        encode_arguments(Task("t", with_arguments), arguments)

    assert refused.value.code == "input.payload"


def test_an_event_whose_type_is_not_declared_reaches_only_tasks_that_take_the_envelope() -> None:
    strange = msgspec.structs.replace(EVENT, event_type="orders.lost")

    assert called(with_any, delivery(event=strange)) is strange
    with pytest.raises(InvalidInputError):
        called(with_latest, delivery(event=strange))
    assert issubclass(UnknownEventTypeError, InvalidInputError)
