from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rowcast.core.ids import TENANT_ID_PATTERN, is_uuid7, uuid7, uuid7_floor, uuid7_time

MOMENTS = st.datetimes(datetime(1970, 1, 2), datetime(9999, 12, 30), timezones=st.just(UTC))  # noqa: DTZ001


@given(MOMENTS)
def test_a_uuid7_carries_its_moment_to_the_millisecond(at: datetime) -> None:
    value = uuid7(at)

    assert is_uuid7(value)
    assert uuid7_time(value) == at.replace(microsecond=at.microsecond // 1000 * 1000)


@given(MOMENTS, MOMENTS)
def test_uuids_of_different_milliseconds_sort_like_their_moments(one: datetime, other: datetime) -> None:
    first, last = sorted((one, other))

    assert last - first < timedelta(milliseconds=1) or uuid7(first) < uuid7(last + timedelta(milliseconds=1))


@given(MOMENTS)
def test_a_floor_is_below_every_uuid_of_its_millisecond_and_above_those_before(at: datetime) -> None:
    assert uuid7(at - timedelta(milliseconds=1)) < uuid7_floor(at) <= uuid7(at)


def test_uuids_of_one_moment_differ() -> None:
    at = datetime(2026, 1, 1, tzinfo=UTC)

    assert len({uuid7(at) for _ in range(1000)}) == 1000


def test_a_moment_in_another_zone_is_the_same_moment() -> None:
    at = datetime(2026, 1, 1, 12, tzinfo=UTC)

    assert uuid7_floor(at) == uuid7_floor(at.astimezone(timezone(timedelta(hours=9))))


def test_a_moment_without_a_zone_is_refused() -> None:
    with pytest.raises(TypeError):
        uuid7(datetime(2026, 1, 1))  # noqa: DTZ001


def test_a_floor_is_no_uuid7() -> None:
    assert not is_uuid7(uuid7_floor(datetime(2026, 1, 1, tzinfo=UTC)))


@pytest.mark.parametrize("tenant_id", ["a", "0", "Acme-Ltd_1.eu", "x" * 128])
def test_a_tenant_id_is_a_word(tenant_id: str) -> None:
    assert TENANT_ID_PATTERN.match(tenant_id)


@pytest.mark.parametrize("tenant_id", ["", "a:b", " a", "a ", "a\n", "é", "-a", ".a", "_a", "x" * 129, "a/b", "a*"])
def test_other_texts_name_no_tenant(tenant_id: str) -> None:
    assert not TENANT_ID_PATTERN.match(tenant_id)
