"""Slots are judged before they are lost."""

from rowcast.observe.status import Slot
from rowcast.observe.watch import judge_slots


def _slot(*, is_active: bool = True, wal_status: str = "reserved", safe_bytes: int | None = None) -> Slot:
    return Slot("rowcast", is_active, wal_status, 0, 0, safe_bytes)


def test_slots_are_judged_by_what_they_would_lose() -> None:
    assert judge_slots([])[0] == "ok"
    assert judge_slots([_slot()])[0] == "ok"
    assert judge_slots([_slot(is_active=False)])[0] == "degraded"
    assert judge_slots([_slot(safe_bytes=1024)])[0] == "degraded"
    assert judge_slots([_slot(), _slot(wal_status="lost", is_active=False)])[0] == "down"
