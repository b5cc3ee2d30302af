"""Ids of the webhook platform."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rowcast.core.ids import uuid7
from rowcast.webhooks.ids import (
    application_id,
    attempt_id,
    endpoint_id,
    event_id_of,
    is_source_id,
    message_id,
    parse_attempt_id,
    source_id,
    task_id,
)

AT = datetime(2026, 6, 19, tzinfo=UTC)
BIGINTS = st.integers(min_value=0, max_value=2**63 - 1)


@pytest.mark.parametrize(
    ("make", "prefix"),
    [(application_id, "app_"), (endpoint_id, "ep_"), (source_id, "src_"), (task_id, "qtask_")],
)
def test_id_is_27_letters_and_digits_and_sorts_by_time(make: Callable[[datetime, bytes], str], prefix: str) -> None:
    made = [make(AT + timedelta(milliseconds=4 * step), bytes([255 - step]) * 15) for step in range(50)]

    assert all(each.startswith(prefix) and len(each) == len(prefix) + 27 for each in made)
    assert all(each.removeprefix(prefix).isalnum() for each in made)
    assert made == sorted(made)
    assert make(AT, b"a" * 15) != make(AT, b"b" * 15)


@pytest.mark.parametrize("text", ["", "src_", "src_" + "a" * 28, "ep_" + "a" * 27, "src_" + "\0" * 27, "\udcff" * 31])
def test_only_what_could_be_the_id_of_a_source_is_one(text: str) -> None:
    assert is_source_id(source_id(AT, b"n" * 15))
    assert not is_source_id(text)


@given(st.uuids())
def test_message_id_leads_back_to_its_event(event_id: UUID) -> None:
    made = message_id(event_id)

    assert event_id_of(made) == event_id
    assert len(made) == 31
    assert made.removeprefix("msg_").isalnum()


def test_message_ids_sort_as_their_events_do() -> None:
    made = [message_id(uuid7(AT + timedelta(milliseconds=step))) for step in range(50)]

    assert made == sorted(made)


@given(BIGINTS, BIGINTS)
def test_attempt_id_leads_back_to_delivery_and_fencing_token(delivery_id: int, fence: int) -> None:
    assert parse_attempt_id(attempt_id(delivery_id, fence)) == (delivery_id, fence)


@pytest.mark.parametrize(
    "text",
    ["", "msg_", "msg_" + "z" * 27, "msg_" + "0" * 26, "msg_" + "0" * 28, "msg_" + "0" * 26 + "-", "ep_" + "0" * 27,
     "0" * 27, "0" * 31, "msg_" + "٣" * 27],
)  # fmt: skip
def test_what_is_no_message_id_has_no_event(text: str) -> None:
    assert event_id_of(text) is None


@pytest.mark.parametrize(
    "text", ["", "atmpt_", "atmpt_" + "z" * 27, "msg_" + "0" * 27, attempt_id(2**63, 1), attempt_id(1, 2**63)]
)
def test_what_is_no_attempt_id_has_no_attempt(text: str) -> None:
    assert parse_attempt_id(text) is None


@given(st.text(max_size=40))
def test_any_text_is_read_without_a_fault(text: str) -> None:
    assert event_id_of(text) is None or message_id(event_id_of(text) or UUID(int=0)) == text
    assert parse_attempt_id("atmpt_" + text) is None or len(text) == 27
