"""What an error of the replication connection means to us: gone, taken by another process, or not allowed."""

import psycopg

from rowcast.core.errors import ConfigError, RowcastError, StoreUnavailableError

# A refusal at connect comes without an SQLSTATE; a server that speaks another language is "unavailable" with its words.
_NO_ROLE = ("replication role to start walsender", "permission denied to start WAL sender")


class Explained:
    """Around calls of psycopg: raise our error in place of the driver's."""

    __slots__ = ()

    def __enter__(self) -> None:
        """Begin."""

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        """Raise our error, or let another one through."""
        if isinstance(error, psycopg.Error | OSError | TimeoutError):
            raise explain(error) from error


def explain(error: BaseException) -> RowcastError:
    """Give our error for one of psycopg."""
    if isinstance(error, psycopg.errors.ObjectInUse):
        return StoreUnavailableError(
            "Another process reads the replication slot; this one waits.", code="store.slot_busy"
        )
    if isinstance(error, psycopg.errors.InsufficientPrivilege) or any(words in str(error) for words in _NO_ROLE):
        return ConfigError(
            "This database role may not replicate. Run `alter role <role> replication` as an administrator, or set "
            "the setting relay.feed to claim.",
            code="config.replication_role",
        )
    if isinstance(error, psycopg.errors.ConfigurationLimitExceeded):
        return ConfigError(
            "The server has no replication slot left. Raise max_replication_slots, drop a slot that nobody reads "
            "(see pg_replication_slots), or set the setting relay.feed to claim.",
            code="config.replication_slots",
        )
    words = " ".join(str(error).split()) or type(error).__name__
    return StoreUnavailableError(f"The replication stream cannot be read ({words[:300]}); rowcast connects again.")
