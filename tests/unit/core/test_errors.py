import inspect

import pytest

from rowcast.core import errors

CLASSES = [each for _, each in inspect.getmembers(errors, inspect.isclass) if issubclass(each, errors.RowcastError)]


@pytest.mark.parametrize("each", CLASSES, ids=lambda each: each.__name__)
def test_every_error_has_a_dotted_code_and_an_http_status(each: type[errors.RowcastError]) -> None:
    prefix, _, rest = each.code.partition(".")

    assert prefix
    assert rest
    assert 400 <= each.http_status < 600


def test_no_two_errors_share_a_code() -> None:
    assert len({each.code for each in CLASSES}) == len(CLASSES)


def test_a_narrower_code_belongs_to_one_error_only() -> None:
    assert errors.ConfigError("x", code="config.schema").code == "config.schema"
    assert errors.ConfigError("x").code == "config.invalid"


def test_too_large_says_both_sizes_and_what_to_do() -> None:
    error = errors.PayloadTooLargeError(size_bytes=70_000, limit_bytes=65_536)

    assert (error.code, error.http_status) == ("outbox.payload_too_large", 413)
    assert (error.size_bytes, error.limit_bytes) == (70_000, 65_536)
    assert str(error) == (
        "The payload has 70000 bytes and the limit is 65536. Emit a reference to the data and let the receiver fetch it."
    )


def test_an_unknown_type_is_refused_with_the_known_ones() -> None:
    error = errors.UnknownEventTypeError("a.b", known=("orders.confirmed", "orders.shipped"))

    assert "Known: orders.confirmed, orders.shipped." in str(error)
    assert "Known: none." in str(errors.UnknownEventTypeError("a.b", known=()))


def test_a_limit_says_when_to_come_again() -> None:
    assert errors.LimitExceededError("slow down", retry_after_s=1.5).retry_after_s == 1.5


def test_a_vendor_error_says_whether_a_retry_can_help() -> None:
    error = errors.VendorError("down", vendor="resend", status=503, is_retryable=True)

    assert (error.vendor, error.status, error.is_retryable) == ("resend", 503, True)


@pytest.mark.parametrize(
    ("each", "status"),
    [
        (errors.NotFoundError, 404),
        (errors.ConflictError, 409),
        (errors.InvalidInputError, 400),
        (errors.InvalidTokenError, 401),
        (errors.PermissionDeniedError, 403),
        (errors.LimitExceededError, 429),
        (errors.StoreUnavailableError, 503),
    ],
)
def test_the_http_status_is_that_of_the_table(each: type[errors.RowcastError], status: int) -> None:
    assert each.http_status == status
