"""What a driver's error means to us: unreachable, refused, contended, or a fault in our own SQL."""

from types import TracebackType
from typing import Any

import asyncpg

from rowcast.core.errors import (
    ConfigError,
    ConflictError,
    InvalidInputError,
    RowcastError,
    StoreError,
    StoreUnavailableError,
)
from rowcast.store.refusals import refusal

_UNREACHABLE = (
    OSError,
    asyncpg.PostgresConnectionError,
    asyncpg.CannotConnectNowError,
    asyncpg.TooManyConnectionsError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.IdleSessionTimeoutError,
    asyncpg.IdleInTransactionSessionTimeoutError,
    # After a failover the old address may be a standby for a while.
    asyncpg.ReadOnlySQLTransactionError,
)
_CONTENDED = (
    asyncpg.DeadlockDetectedError,
    asyncpg.SerializationError,
    asyncpg.LockNotAvailableError,
    asyncpg.QueryCanceledError,
)
_REFUSED = (
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidCatalogNameError,
    asyncpg.InsufficientPrivilegeError,
    PermissionError,
    ValueError,
)


def explain(error: BaseException, *, is_closed: bool = False) -> RowcastError | None:
    """Give our error for a driver's error, or None where it is a fault in our own SQL and must be seen as it is.

    Args:
        error: What the driver raised.
        is_closed: Whether the connection is gone; the driver then complains of misuse.
    """
    if isinstance(error, TimeoutError):
        return StoreUnavailableError("The database did not answer in time; rowcast tries again.", code="store.timeout")
    if isinstance(error, _UNREACHABLE) or (
        is_closed and isinstance(error, (asyncpg.InterfaceError, asyncpg.InternalClientError))
    ):
        return StoreUnavailableError(
            f"The database cannot be reached ({type(error).__name__}: {error}). "
            "Check that it runs; rowcast tries again."
        )
    return _explain_statement(error) if isinstance(error, asyncpg.PostgresError) else None


def _explain_statement(error: asyncpg.PostgresError) -> RowcastError | None:
    if isinstance(error, _CONTENDED) or _is_misplaced(error):
        return StoreError(f"Another transaction was in the way ({error}); try again.", code="store.contended")
    if isinstance(error, asyncpg.CharacterNotInRepertoireError):
        return InvalidInputError("A text holds a character that PostgreSQL does not keep, such as NUL. Leave it out.")
    if isinstance(error, asyncpg.InsufficientPrivilegeError):
        return ConfigError(
            f"The database role lacks a right: {error}. Use the role that owns the schema rowcast, and give it what "
            "docs/how-to/use-your-own-postgres.md lists.",
            code="config.privileges",
        )
    if isinstance(error, asyncpg.UniqueViolationError):
        return ConflictError(f"Another row has the same value ({error.constraint_name}); choose another one.")
    return refusal(error.sqlstate or "", str(error))


def _is_misplaced(error: asyncpg.PostgresError) -> bool:
    """A row was on its way to the default partition while its day's partition was made; now it would go there."""
    return isinstance(error, asyncpg.CheckViolationError) and error.constraint_name is None


def explain_refused(error: BaseException) -> ConfigError | None:
    """Give our error where the server refuses us, or the URL cannot be read: trying again does not help."""
    if not isinstance(error, _REFUSED):
        return None
    if isinstance(error, ValueError):
        # Never in the parser's own words: where a password holds a `/`, they quote a piece of it.
        return ConfigError(
            "The setting database.url cannot be read. It must be postgresql://user:password@host:port/name; write "
            "'/', '@', '#' and '?' of a password percent-encoded.",
            code="config.database",
        )
    return ConfigError(
        f"The database refuses the connection: {error}. Check user, password and name in the setting database.url.",
        code="config.database",
    )


def _is_closed(driver: Any) -> bool:
    try:
        return driver is not None and bool(driver.is_closed())
    except asyncpg.InterfaceError:
        # The pool takes a connection that the server ended out of our hands at once; then even asking is misuse.
        return True


class Explained:
    """Around calls of the driver, never around a caller's code: raise our error in place of the driver's."""

    __slots__ = ("_driver",)

    def __init__(self, driver: Any = None) -> None:
        """Take the connection that the calls go to, where there is one."""
        self._driver = driver

    def __enter__(self) -> None:
        """Begin."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Raise our error, or let the driver's through."""
        if error is None:
            return
        ours = explain(error, is_closed=_is_closed(self._driver))
        if ours is not None:
            raise ours from error


class ExplainedConnect:
    """The same around making a connection, where a refusal means a wrong setting."""

    __slots__ = ()

    def __enter__(self) -> None:
        """Begin."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Raise our error, or let the driver's through."""
        ours = (explain_refused(error) or explain(error)) if error is not None else None
        if ours is not None:
            raise ours from error
