"""A connection that hears notifications."""

from collections.abc import Callable
from functools import partial
from typing import Any

from rowcast.store.failures import Explained
from rowcast.store.pool import Connection, connect


async def listen(
    dsn: str,
    channel: str,
    *,
    on_message: Callable[[str], None],
    on_lost: Callable[[], None],
    timeout_s: float,
) -> Connection:
    """Open a connection of its own that hears `channel`; the caller closes it (`Connection.close`).

    Args:
        dsn: `postgresql://...`; a pooler in transaction mode cannot serve it.
        channel: The name given to NOTIFY.
        on_message: Called on the event loop with each payload that another session sent; must not wait or raise.
        on_lost: Called once when the connection is gone, also when the caller closed it.
        timeout_s: Bound of the connect and of each query, in seconds.
    Raises:
        StoreUnavailableError: `store.unavailable`, when the server cannot be reached.
        ConfigError: `config.database`, when it refuses us or the URL cannot be read.
    """
    settings = {
        "application_name": f"rowcast listen {channel}",
        # What is said here is told at most once and never the only copy, so nobody waits for the disk.
        "synchronous_commit": "off",
        "tcp_keepalives_idle": "10",
        "tcp_keepalives_interval": "5",
        "tcp_keepalives_count": "3",
    }
    connection = await connect(dsn, settings=settings, timeout_s=timeout_s)
    try:
        connection.driver.add_termination_listener(lambda _: on_lost())
        with Explained(connection.driver):
            await connection.driver.add_listener(channel, partial(_hand_over, on_message))
    except BaseException:
        connection.driver.terminate()
        raise
    return connection


def _hand_over(on_message: Callable[[str], None], connection: Any, pid: int, _channel: str, payload: str) -> None:
    if pid != connection.get_server_pid():
        on_message(payload)
