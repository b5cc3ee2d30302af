from dataclasses import dataclass
from typing import TypedDict

import msgspec
import pydantic
import pytest

from rowcast.core.errors import UnknownEventTypeError, UsageError
from rowcast.core.event import DECLARED, Event, event_type, upcaster
from rowcast.core.event_types import EventTypes

HERE = EventTypes()


class OrderConfirmed(Event, type="orders.confirmed", version=2, aggregate="order", key="order_id", catalogue=HERE):
    order_id: str
    total: int = 0


class OrderFact(Event):
    order_id: str


class OrderPaid(OrderFact, type="orders.paid", key="order_id", catalogue=HERE):
    amount: int


def test_a_class_statement_declares_its_type() -> None:
    declared = HERE.of_class(OrderConfirmed)

    assert (declared.name, declared.version, declared.aggregate, declared.key) == (
        "orders.confirmed",
        2,
        "order",
        "order_id",
    )
    assert HERE.get("orders.confirmed") is declared


def test_an_event_is_frozen_and_its_fields_are_named() -> None:
    event = OrderConfirmed(order_id="o-1")

    with pytest.raises(AttributeError):
        event.order_id = "o-2"  # type: ignore[misc]
    with pytest.raises(TypeError):
        OrderConfirmed("o-1")  # type: ignore[call-arg]
    assert event == OrderConfirmed(order_id="o-1", total=0)
    assert isinstance(event, msgspec.Struct)


def test_a_base_class_shares_fields_and_is_no_event_type() -> None:
    assert OrderPaid(order_id="o-1", amount=5).order_id == "o-1"
    with pytest.raises(UnknownEventTypeError):
        HERE.of_class(OrderFact)


def test_a_subclass_of_an_event_type_is_not_that_type() -> None:
    class Special(OrderConfirmed):
        pass

    with pytest.raises(UnknownEventTypeError, match="Special"):
        HERE.of_class(Special)


def test_a_class_that_says_version_but_no_type_is_refused() -> None:
    with pytest.raises(UsageError, match="Add type="):

        class Forgotten(Event, version=2):
            order_id: str


def test_a_second_class_of_one_type_and_version_is_refused() -> None:
    with pytest.raises(UsageError, match="is declared by"):

        class Another(Event, type="orders.confirmed", version=2, catalogue=HERE):
            order_id: str


def test_without_a_catalogue_a_class_is_declared_in_the_programs_own() -> None:
    class Declared(Event, type="test_event.declared"):
        pass

    assert DECLARED.of_class(Declared).name == "test_event.declared"


def test_any_payload_class_can_be_declared() -> None:
    here = EventTypes()

    @event_type("orders.a", key="order_id", catalogue=here)
    @dataclass(slots=True)
    class OfDataclass:
        order_id: str

    @event_type("orders.b", key="order_id", catalogue=here)
    class OfTypedDict(TypedDict):
        order_id: str

    @event_type("orders.c", key="order_id", catalogue=here)
    class OfModel(pydantic.BaseModel):
        order_id: str

    @event_type("orders.d", key="order_id", catalogue=here)
    class OfStruct(msgspec.Struct):
        order_id: str

    assert [each.payload_type for each in here] == [OfDataclass, OfTypedDict, OfModel, OfStruct]


def test_an_upcaster_stays_a_function_and_is_found_by_its_step() -> None:
    here = EventTypes()

    @upcaster("orders.paid", from_version=1, catalogue=here)
    def add_currency(payload: dict[str, object]) -> dict[str, object]:
        return {**payload, "currency": "EUR"}

    @event_type("orders.paid", version=2, catalogue=here)
    class Paid(msgspec.Struct):
        currency: str

    assert add_currency({}) == {"currency": "EUR"}
    assert here.parse("orders.paid", 1, b"{}") == Paid("EUR")
