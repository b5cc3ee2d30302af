"""The listening socket: the port asked for, or the next free one."""

import errno
import socket

from rowcast.core.errors import ConfigError

_TRIES = 50


def bind(host: str, port: int, *, is_next_allowed: bool, is_shared: bool = False) -> socket.socket:
    """Give a bound TCP socket.

    Args:
        host: Address or name to listen on.
        port: Port; 0 takes a free one.
        is_next_allowed: Take the next free port when this one is taken (development).
        is_shared: Let other processes of this user listen on the same port; the system shares connections out.
    Raises:
        ConfigError: `config.port_in_use`, or `config.host` for an address that is not this machine's.
    """
    for candidate in range(port, port + (_TRIES if is_next_allowed and port else 1)):
        try:
            return _bind(host, candidate, is_shared=is_shared)
        except OSError as error:
            if error.errno not in (errno.EADDRINUSE, errno.EACCES):
                raise ConfigError(
                    f"Cannot listen on {host}: {error}. Check server.host.", code="config.host"
                ) from error
    raise ConfigError(
        f"Port {port} on {host} is taken. Stop what uses it, or set server.port (0 takes a free one).",
        code="config.port_in_use",
    )


def reserve(host: str, port: int) -> socket.socket:
    """Give a socket that keeps a port for processes that will share it; it takes no connections itself.

    Raises:
        ConfigError: `config.port_in_use`, also when another server shares the port among its own; `config.host`.
    """
    # Sharing asks nobody else, so the port is first taken alone: a stranger's connections must not be taken.
    with bind(host, port, is_next_allowed=False) as alone:
        free = int(alone.getsockname()[1])
    return bind(host, free, is_next_allowed=False, is_shared=True)


def _bind(host: str, port: int, *, is_shared: bool) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if is_shared:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listener.bind((host, port))
    except OSError:
        listener.close()
        raise
    listener.setblocking(False)
    return listener
