from datetime import UTC, datetime

import pytest

from rowcast.core.delivery import Delivery, Owed, ordered_key
from rowcast.core.priority import Priority


def test_what_is_owed_is_of_normal_priority_and_due_at_once() -> None:
    owed = Owed("jobs", "shop.pack")

    assert (owed.priority, owed.delay_s, owed.max_attempts, owed.key) == (Priority.NORMAL, 0.0, 0, "")


def test_a_delivery_cannot_be_changed() -> None:
    delivery = Delivery(
        id=1, tenant_id="acme", sink="jobs", target="a", attempt=1, fence=1, due_at=datetime(2026, 1, 1, tzinfo=UTC)
    )

    with pytest.raises(AttributeError):
        delivery.fence = 2  # type: ignore[misc]


def test_a_key_says_whether_its_deliveries_are_made_in_order() -> None:
    at = datetime(2026, 1, 1, tzinfo=UTC)

    assert Delivery(1, "acme", "webhooks", "ep_1", 1, 1, at, key=ordered_key("ep_1")).is_ordered
    assert not Delivery(1, "acme", "webhooks", "ep_1", 1, 1, at, key="ep_1").is_ordered
