"""What our SQL functions refuse comes out as errors of the family, whatever driver carried it."""

import pytest

from rowcast.core.errors import (
    ConfigError,
    ConflictError,
    InvalidInputError,
    NotFoundError,
    PayloadTooLargeError,
    PermissionDeniedError,
)
from rowcast.store.refusals import find_refusal, refusal


@pytest.mark.parametrize(
    ("sqlstate", "kind"),
    [
        ("RC400", InvalidInputError),
        ("RC403", PermissionDeniedError),
        ("RC404", NotFoundError),
        ("RC409", ConflictError),
        ("RC500", ConfigError),
    ],
)
def test_a_refusal_becomes_the_class_of_its_state_with_its_own_code(sqlstate: str, kind: type[Exception]) -> None:
    error = refusal(sqlstate, "input.some_code: a sentence: with a colon")

    assert type(error) is kind
    assert getattr(error, "code", None) == "input.some_code"
    assert str(error) == "a sentence: with a colon"


def test_a_payload_that_is_too_large_keeps_both_sizes() -> None:
    error = refusal(
        "RC413", "outbox.payload_too_large: the payload has 70000 bytes and the limit is 65536; emit a reference"
    )

    assert isinstance(error, PayloadTooLargeError)
    assert (error.size_bytes, error.limit_bytes) == (70_000, 65_536)


@pytest.mark.parametrize(
    ("sqlstate", "message"),
    [
        ("23505", "input.code: looks like ours"),
        ("RC400", "no code here"),
        ("RC999", "input.code: unknown state"),
        ("", ""),
    ],
)
def test_what_is_not_ours_stays_what_it_is(sqlstate: str, message: str) -> None:
    assert refusal(sqlstate, message) is None


class _DriverError(Exception):
    sqlstate = "RC400"


class _Wrapper(Exception):
    orig: BaseException | None = None


def test_a_refusal_is_found_inside_the_wrappers_of_other_libraries() -> None:
    wrapper = _Wrapper()
    wrapper.orig = _DriverError("input.event_type: wrong")
    outer = RuntimeError("outer")
    outer.__cause__ = wrapper

    found = find_refusal(outer)

    assert isinstance(found, InvalidInputError)
    assert found.code == "input.event_type"


def test_an_error_that_causes_itself_ends_the_search() -> None:
    error = RuntimeError("ring")
    error.__cause__ = error

    assert find_refusal(error) is None
