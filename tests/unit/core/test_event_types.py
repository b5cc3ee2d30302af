import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from rowcast.core.envelope import Envelope
from rowcast.core.errors import InvalidInputError, UnknownEventTypeError, UsageError
from rowcast.core.event_types import EventType, EventTypes


class ShippedV1(msgspec.Struct):
    order_id: str


class ShippedV2(msgspec.Struct):
    order_id: str
    carrier: str


class ShippedV3(msgspec.Struct):
    order_id: str
    carrier: str
    parcels: int


class Confirmed(msgspec.Struct):
    order_id: Any


def shipped(version: int, payload_type: type, **more: str) -> EventType:
    return EventType(name="orders.shipped", version=version, payload_type=payload_type, **more)


def add_carrier(payload: dict[str, Any]) -> dict[str, Any]:
    return {**payload, "carrier": "post"}


def add_parcels(payload: dict[str, Any]) -> dict[str, Any]:
    return {**payload, "parcels": 1}


@pytest.fixture
def catalogue() -> EventTypes:
    made = EventTypes([shipped(1, ShippedV1), shipped(3, ShippedV3), shipped(2, ShippedV2)])
    made.add_upcaster("orders.shipped", from_version=1, upcaster=add_carrier)
    made.add_upcaster("orders.shipped", from_version=2, upcaster=add_parcels)
    made.add(EventType(name="orders.confirmed", version=1, payload_type=Confirmed, key="order_id"))
    return made


def test_the_type_chooses_the_class(catalogue: EventTypes) -> None:
    assert catalogue.parse("orders.confirmed", 1, b'{"order_id":"o-1"}') == Confirmed("o-1")
    assert catalogue.parse("orders.shipped", 3, b'{"order_id":"o","carrier":"x","parcels":2}') == ShippedV3("o", "x", 2)


@pytest.mark.parametrize(
    "payload", [b'{"order_id":"o-1"}', '{"order_id":"o-1"}', msgspec.Raw(b'{"order_id":"o-1"}'), {"order_id": "o-1"}]
)
def test_a_payload_is_taken_as_text_or_as_value(catalogue: EventTypes, payload: object) -> None:
    assert catalogue.parse("orders.confirmed", 1, payload) == Confirmed("o-1")


def test_an_old_payload_is_brought_up_step_by_step(catalogue: EventTypes) -> None:
    assert catalogue.parse("orders.shipped", 1, b'{"order_id":"o"}') == ShippedV3("o", "post", 1)
    assert catalogue.parse("orders.shipped", 2, b'{"order_id":"o","carrier":"x"}') == ShippedV3("o", "x", 1)


def test_an_old_payload_may_stop_at_an_older_version(catalogue: EventTypes) -> None:
    assert catalogue.parse("orders.shipped", 1, b'{"order_id":"o"}', to_version=2) == ShippedV2("o", "post")
    assert catalogue.parse("orders.shipped", 1, b'{"order_id":"o"}', to_version=1) == ShippedV1("o")


def test_an_envelope_is_parsed_by_its_own_type_and_version(catalogue: EventTypes) -> None:
    event = Envelope(
        id=uuid.UUID(int=1), tenant_id="acme", aggregate_type="order", aggregate_id="o", event_type="orders.shipped",
        version=1, occurred_at=datetime(2026, 1, 1, tzinfo=UTC), payload=msgspec.Raw(b'{"order_id":"o"}'),
    )  # fmt: skip

    assert catalogue.parse_event(event) == ShippedV3("o", "post", 1)


def test_a_gap_between_versions_is_refused_before_any_step_runs() -> None:
    catalogue = EventTypes([shipped(1, ShippedV1), shipped(3, ShippedV3)])
    catalogue.add_upcaster("orders.shipped", from_version=1, upcaster=lambda payload: pytest.fail("ran"))

    with pytest.raises(UsageError, match="from version 2 to 3") as refused:
        catalogue.parse("orders.shipped", 1, b'{"order_id":"o"}')

    assert refused.value.code == "usage.upcaster"


def test_a_version_from_the_future_is_refused(catalogue: EventTypes) -> None:
    with pytest.raises(InvalidInputError, match=r"Declared: 1, 2, 3\.") as refused:
        catalogue.parse("orders.shipped", 4, b"{}")

    assert refused.value.code == "outbox.event_version"


@pytest.mark.parametrize("version", [0, -1])
def test_a_version_below_one_is_refused(catalogue: EventTypes, version: int) -> None:
    with pytest.raises(InvalidInputError):
        catalogue.parse("orders.shipped", version, b"{}")


def test_an_unknown_type_is_refused_with_the_known_ones(catalogue: EventTypes) -> None:
    with pytest.raises(UnknownEventTypeError) as refused:
        catalogue.parse("orders.lost", 1, b"{}")

    assert refused.value.known == ("orders.confirmed", "orders.shipped")


def test_an_unknown_class_is_refused(catalogue: EventTypes) -> None:
    with pytest.raises(UnknownEventTypeError, match="datetime"):
        catalogue.of_class(datetime)


def test_an_upcaster_that_gives_what_does_not_fit_is_told_as_a_payload_that_does_not_fit() -> None:
    catalogue = EventTypes([shipped(2, ShippedV2)])
    catalogue.add_upcaster("orders.shipped", from_version=1, upcaster=lambda payload: payload)

    with pytest.raises(InvalidInputError, match="carrier"):
        catalogue.parse("orders.shipped", 1, b'{"order_id":"o"}')


def test_an_upcaster_that_fails_is_named() -> None:
    catalogue = EventTypes([shipped(2, ShippedV2)])
    catalogue.add_upcaster("orders.shipped", from_version=1, upcaster=lambda payload: payload["missing"])

    with pytest.raises(UsageError, match="from version 1 failed with KeyError"):
        catalogue.parse("orders.shipped", 1, b'{"order_id":"o"}')


def test_two_classes_with_one_type_and_version_are_refused(catalogue: EventTypes) -> None:
    with pytest.raises(UsageError, match=r"ShippedV1.*Confirmed") as refused:
        catalogue.add(shipped(1, Confirmed))

    assert refused.value.code == "usage.event_type"
    assert catalogue.get("orders.shipped", 1).payload_type is ShippedV1


def test_a_module_that_is_loaded_anew_takes_its_own_place(catalogue: EventTypes) -> None:
    anew = type("ShippedV1", (msgspec.Struct,), {"__annotations__": {"order_id": str}, "__module__": __name__})

    catalogue.add(shipped(1, anew))

    assert catalogue.of_class(anew).version == 1
    assert not catalogue.is_declared(ShippedV1)


@pytest.mark.parametrize("name", [".orders", "orders shipped", "orders.*", ""])
def test_a_name_that_is_no_event_type_is_refused(name: str) -> None:
    with pytest.raises(InvalidInputError) as refused:
        EventTypes([EventType(name=name, version=1, payload_type=ShippedV1)])

    assert refused.value.code == "input.event_type"


@pytest.mark.parametrize("declared", [shipped(0, ShippedV1), shipped(1, ShippedV1, key="nope")])
def test_a_version_below_one_or_a_key_that_is_no_field_is_refused(declared: EventType) -> None:
    with pytest.raises(UsageError) as refused:
        EventTypes([declared])

    assert refused.value.code == "usage.event_type"


@pytest.mark.parametrize(
    "add",
    [
        lambda catalogue: catalogue.add_upcaster("orders.shipped", from_version=1, upcaster=add_parcels),
        lambda catalogue: catalogue.add_upcaster("orders.shipped", from_version=0, upcaster=add_parcels),
    ],
)
def test_a_second_upcaster_for_one_step_is_refused(catalogue: EventTypes, add: Callable[[EventTypes], None]) -> None:
    with pytest.raises(UsageError) as refused:
        add(catalogue)

    assert refused.value.code == "usage.upcaster"


def test_a_whole_catalogue_passes_its_check(catalogue: EventTypes) -> None:
    catalogue.check()


@pytest.mark.parametrize(
    ("types", "steps"),
    [
        ([shipped(1, ShippedV1), shipped(2, ShippedV2)], []),
        ([shipped(3, ShippedV3)], [1]),
        ([shipped(2, ShippedV2)], [2]),
        ([], [1]),
    ],
    ids=["old version without a way", "a step is missing", "past the latest", "of no type"],
)
def test_a_catalogue_with_a_gap_fails_its_check(types: list[EventType], steps: list[int]) -> None:
    catalogue = EventTypes(types)
    for step in steps:
        catalogue.add_upcaster("orders.shipped", from_version=step, upcaster=add_carrier)

    with pytest.raises(UsageError) as refused:
        catalogue.check()

    assert refused.value.code == "usage.upcaster"


def test_the_catalogue_lists_its_types_sorted(catalogue: EventTypes) -> None:
    assert catalogue.names() == ("orders.confirmed", "orders.shipped")
    assert [each.label for each in catalogue][-1] == "orders.shipped version 3"
    assert len(catalogue) == 4
    assert catalogue.has("orders.shipped")
    assert not catalogue.has("orders.lost")


def test_a_smaller_catalogue_has_the_chosen_classes_and_their_upcasters(catalogue: EventTypes) -> None:
    fewer = catalogue.chosen([ShippedV2])

    assert fewer.names() == ("orders.shipped",)
    assert fewer.parse("orders.shipped", 1, b'{"order_id":"o"}') == ShippedV2("o", "post")


def test_an_annotation_that_cannot_be_hashed_is_no_declared_class(catalogue: EventTypes) -> None:
    assert not catalogue.is_declared([])


@pytest.mark.parametrize(
    ("key", "aggregate_id"), [("o-1", "o-1"), (17, "17"), (uuid.UUID(int=1), str(uuid.UUID(int=1)))]
)
def test_the_key_says_which_thing_an_event_is_about(catalogue: EventTypes, key: Any, aggregate_id: str) -> None:
    assert catalogue.get("orders.confirmed").aggregate_id(Confirmed(key)) == aggregate_id
    assert catalogue.get("orders.confirmed").aggregate_id({"order_id": key}) == aggregate_id


@pytest.mark.parametrize("key", ["", None, 1.5, ["o"]])
def test_a_key_without_a_usable_value_is_refused(catalogue: EventTypes, key: Any) -> None:
    with pytest.raises(InvalidInputError) as refused:
        catalogue.get("orders.confirmed").aggregate_id(Confirmed(key))

    assert refused.value.code == "input.aggregate_id"


def test_the_aggregate_is_the_module_unless_it_is_named() -> None:
    assert shipped(1, ShippedV1).aggregate_type == "orders"
    assert shipped(1, ShippedV1, aggregate="order").aggregate_type == "order"
