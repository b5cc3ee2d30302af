"""What an error of the replication connection means to us."""

import psycopg
import pytest

from rowcast.capture.replication_failures import Explained, explain
from rowcast.core.errors import ConfigError, StoreUnavailableError


@pytest.mark.parametrize(
    ("error", "kind", "code"),
    [
        (psycopg.errors.ObjectInUse("slot is active"), StoreUnavailableError, "store.slot_busy"),
        (psycopg.errors.InsufficientPrivilege("no"), ConfigError, "config.replication_role"),
        (psycopg.OperationalError("FATAL:  must be superuser or replication role to start walsender"), ConfigError, "config.replication_role"),
        (psycopg.OperationalError("FATAL:  permission denied to start WAL sender"), ConfigError, "config.replication_role"),
        (psycopg.errors.ConfigurationLimitExceeded("all in use"), ConfigError, "config.replication_slots"),
        (psycopg.errors.UndefinedObject("slot does not exist"), StoreUnavailableError, "store.unavailable"),
        (psycopg.OperationalError("server closed the connection"), StoreUnavailableError, "store.unavailable"),
        (TimeoutError(), StoreUnavailableError, "store.unavailable"),
        (ConnectionResetError("gone"), StoreUnavailableError, "store.unavailable"),
    ],
)  # fmt: skip
def test_an_error_has_its_class_and_its_code(error: BaseException, kind: type, code: str) -> None:
    ours = explain(error)

    assert type(ours) is kind
    assert ours.code == code


def test_around_a_call_our_error_is_raised_with_the_drivers_as_its_cause() -> None:
    with pytest.raises(StoreUnavailableError) as raised, Explained():
        raise psycopg.OperationalError("server\n\tclosed   the connection")

    assert "server closed the connection" in str(raised.value)
    assert isinstance(raised.value.__cause__, psycopg.OperationalError)


def test_what_is_no_error_of_the_driver_comes_through() -> None:
    with pytest.raises(ZeroDivisionError), Explained():
        raise ZeroDivisionError
