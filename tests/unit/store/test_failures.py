"""A driver's error means: come back later, change a setting, try again, or a fault of ours that must be seen."""

import asyncpg
import pytest

from rowcast.core.errors import ConfigError, ConflictError, StoreError, StoreUnavailableError
from rowcast.store.failures import Explained, explain, explain_refused
from rowcast.store.pool import connect


@pytest.mark.parametrize(
    "error",
    [
        ConnectionRefusedError(),
        asyncpg.ConnectionDoesNotExistError("x"),
        asyncpg.CannotConnectNowError("x"),
        asyncpg.TooManyConnectionsError("x"),
        asyncpg.AdminShutdownError("x"),
        asyncpg.IdleSessionTimeoutError("x"),
        asyncpg.IdleInTransactionSessionTimeoutError("x"),
        asyncpg.ReadOnlySQLTransactionError("x"),
    ],
)
def test_a_server_that_is_gone_is_unavailable(error: Exception) -> None:
    ours = explain(error)

    assert isinstance(ours, StoreUnavailableError)
    assert ours.code == "store.unavailable"


def test_a_silent_server_has_a_code_of_its_own() -> None:
    ours = explain(TimeoutError())

    assert isinstance(ours, StoreUnavailableError)
    assert ours.code == "store.timeout"


@pytest.mark.parametrize(
    "error",
    [
        asyncpg.DeadlockDetectedError("x"),
        asyncpg.SerializationError("x"),
        asyncpg.LockNotAvailableError("x"),
        asyncpg.QueryCanceledError("x"),
    ],
)
def test_contention_can_be_tried_again(error: Exception) -> None:
    ours = explain(error)

    assert type(ours) is StoreError
    assert ours.code == "store.contended"


def test_a_role_that_lacks_a_right_is_told_with_the_servers_words() -> None:
    ours = explain(asyncpg.InsufficientPrivilegeError("permission denied for database app"))

    assert isinstance(ours, ConfigError)
    assert ours.code == "config.privileges"
    assert "permission denied for database app" in str(ours)


def test_a_taken_value_is_a_conflict() -> None:
    assert isinstance(explain(asyncpg.UniqueViolationError("x")), ConflictError)


@pytest.mark.parametrize(
    "error",
    [
        asyncpg.UndefinedTableError("x"),
        asyncpg.PostgresSyntaxError("x"),
        asyncpg.DataError("wrong parameter"),
        asyncpg.InterfaceError("misuse"),
        KeyError("x"),
    ],
)
def test_a_fault_of_ours_is_seen_as_it_is(error: Exception) -> None:
    assert explain(error) is None


def test_misuse_of_a_closed_connection_means_that_the_server_is_gone() -> None:
    assert isinstance(explain(asyncpg.InterfaceError("closed"), is_closed=True), StoreUnavailableError)


@pytest.mark.parametrize(
    "error",
    [
        asyncpg.InvalidPasswordError("x"),
        asyncpg.InvalidCatalogNameError("x"),
        asyncpg.ClientConfigurationError("bad URL"),
        PermissionError("a key that we may not read"),
    ],
)
def test_a_refused_login_is_a_wrong_setting(error: Exception) -> None:
    ours = explain_refused(error)

    assert isinstance(ours, ConfigError)
    assert ours.code == "config.database"


def test_the_drivers_error_stays_visible_as_the_cause() -> None:
    theirs = asyncpg.DeadlockDetectedError("x")

    with pytest.raises(StoreError) as caught, Explained():
        raise theirs

    assert caught.value.__cause__ is theirs


@pytest.mark.parametrize("password", ["canary/2", "canary#2", "canary?x=1"])
async def test_a_url_that_cannot_be_read_never_shows_its_password(password: str) -> None:
    with pytest.raises(ConfigError) as refused:
        await connect(f"postgresql://bob:{password}@127.0.0.1:1/name", timeout_s=5)

    assert "canary" not in str(refused.value)
