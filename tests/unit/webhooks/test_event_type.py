"""Event types as values, and those that classes declare."""

from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal

import pydantic
import pytest

from rowcast.core.errors import InvalidFieldError
from rowcast.core.event import Event, event_type
from rowcast.core.event_types import EventTypes
from rowcast.webhooks.event_type import (
    EventTypeChange,
    EventTypeDraft,
    changed_type,
    checked_name,
    checked_type,
    declared_types,
)

AT = datetime(2026, 6, 19, tzinfo=UTC)


@pytest.mark.parametrize("name", ["orders.made", "invoicePaid", "a", "_x", "invoice-paid", "0", "x" * 128])
def test_words_can_name_event_types(name: str) -> None:
    assert checked_name(name) == name


@pytest.mark.parametrize("name", ["", "-a", ".a", "a b", "a/b", "ü", "x" * 257, "a\x00", "a\n", "export", "import"])
def test_what_could_stand_for_something_else_names_none(name: str) -> None:
    with pytest.raises(InvalidFieldError) as refusal:
        checked_name(name)

    assert refusal.value.place == ("body", "name")


@pytest.mark.parametrize(
    ("draft", "field"),
    [
        (EventTypeDraft(description="x" * 10_001), "description"),
        (EventTypeDraft(group_name="x" * 257), "groupName"),
        (EventTypeDraft(feature_flags=["x"] * 101), "featureFlags"),
        (EventTypeDraft(feature_flags=["x" * 257]), "featureFlags"),
        (EventTypeDraft(schemas={"1": 5}), "schemas"),
    ],
)
def test_what_cannot_be_kept_is_refused_by_its_field(draft: EventTypeDraft, field: str) -> None:
    with pytest.raises(InvalidFieldError) as refusal:
        checked_type(draft)

    assert refusal.value.place[:2] == ("body", field)


def test_a_change_keeps_what_it_does_not_name() -> None:
    draft = EventTypeDraft(description="a", group_name="g", schemas={"1": True})

    assert changed_type(draft, EventTypeChange()) == draft
    assert changed_type(draft, EventTypeChange(group_name=None, schemas=None, is_deprecated=True)) == EventTypeDraft(
        description="a", is_deprecated=True
    )


def test_what_classes_declare_has_a_schema_for_each_version() -> None:
    catalogue = EventTypes()

    class Made(Event, type="orders.made", version=1, catalogue=catalogue):
        """An order was made.

        More words.
        """

        total: Decimal

    @event_type("orders.made", version=2, catalogue=catalogue)
    @dataclass
    class MadeAgain:
        """An order was made, in a currency."""

        total: Decimal
        currency: str

    @event_type("orders.sent", catalogue=catalogue)
    class Sent(pydantic.BaseModel):
        tracking: str

    found = declared_types(catalogue, at=AT)

    assert list(found) == ["orders.made", "orders.sent"]
    made = found["orders.made"]
    assert (made.is_declared, made.draft.description, made.draft.group_name) == (
        True,
        "An order was made, in a currency.",
        "orders",
    )
    assert list(made.draft.schemas or {}) == ["1", "2"]
    assert "currency" in str((made.draft.schemas or {})["2"])
    assert "tracking" in str(found["orders.sent"].draft.schemas)
    assert all(checked_type(each.draft) for each in found.values())
