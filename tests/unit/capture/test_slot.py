"""What is made, dropped and announced for each state of the slot."""

import msgspec
import pytest

from rowcast.capture.slot import SlotPlan, SlotState, plan_slot
from rowcast.core.errors import ConfigError

USABLE = SlotState(
    wal_level="logical", keep_size="2048", database="shop", has_publication=True, settled_lsn="0/1", slot_name="rowcast_5",
    has_slot=True, slot_database="shop", plugin="pgoutput", is_active=False, is_lost=False,
)  # fmt: skip
ABSENT = msgspec.structs.replace(USABLE, has_slot=False, slot_database=None, plugin=None, is_lost=None)


def state(base: SlotState = USABLE, **changed: object) -> SlotState:
    return msgspec.structs.replace(base, **changed)


def test_a_slot_that_is_there_and_free_needs_nothing() -> None:
    assert plan_slot(USABLE) == SlotPlan()


def test_a_slot_that_somebody_reads_is_left_alone_whatever_is_wrong_beside_it() -> None:
    assert plan_slot(state(is_active=True)) == SlotPlan(is_busy=True)
    assert plan_slot(state(is_active=True, has_publication=False)) == SlotPlan(is_busy=True)


def test_the_first_start_makes_publication_and_slot_and_announces_no_gap() -> None:
    first = state(ABSENT, has_publication=False, settled_lsn=None)

    assert plan_slot(first) == SlotPlan(create_publication=True, create_slot=True)


def test_a_slot_that_is_missing_although_there_was_one_is_a_gap() -> None:
    assert plan_slot(ABSENT) == SlotPlan(create_slot=True, gap="slot_missing")


def test_a_slot_that_the_server_gave_up_is_dropped_made_anew_and_announced() -> None:
    assert plan_slot(state(is_lost=True)) == SlotPlan(drop_slot=True, create_slot=True, gap="slot_lost")


def test_a_slot_older_than_its_publication_begins_anew() -> None:
    wanted = SlotPlan(drop_slot=True, create_publication=True, create_slot=True, gap="publication_missing")

    assert plan_slot(state(has_publication=False)) == wanted


@pytest.mark.parametrize("level", ["replica", "minimal"])
def test_a_server_that_writes_no_logical_log_is_refused_with_the_fix_and_the_way_without(level: str) -> None:
    with pytest.raises(ConfigError, match=r"alter system set wal_level = logical.*relay\.feed to claim") as refused:
        plan_slot(state(ABSENT, wal_level=level))

    assert refused.value.code == "config.wal_level"


@pytest.mark.parametrize("foreign", [{"slot_database": "other"}, {"plugin": "test_decoding"}])
def test_a_slot_of_somebody_else_is_never_touched(foreign: dict[str, str]) -> None:
    for is_lost in (False, True):
        with pytest.raises(ConfigError) as refused:
            plan_slot(state(is_lost=is_lost, **foreign))

        assert refused.value.code == "config.slot"
