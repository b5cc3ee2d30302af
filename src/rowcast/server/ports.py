"""The listening socket: the port asked for, or the next free one."""

import errno
import socket

from rowcast.core.errors import ConfigError

_TRIES = 50


def bind(host: str, port: int, *, is_next_allowed: bool) -> socket.socket:
    """Give a bound TCP socket.

    Args:
        host: Address or name to listen on.
        port: Port; 0 takes a free one.
        is_next_allowed: Take the next free port when this one is taken (development).
    Raises:
        ConfigError: `config.port_in_use`, or `config.host` for an address that is not this machine's.
    """
    for candidate in range(port, port + (_TRIES if is_next_allowed and port else 1)):
        try:
            return _bind(host, candidate)
        except OSError as error:
            if error.errno not in (errno.EADDRINUSE, errno.EACCES):
                raise ConfigError(
                    f"Cannot listen on {host}: {error}. Check server.host.", code="config.host"
                ) from error
    raise ConfigError(
        f"Port {port} on {host} is taken. Stop what uses it, or set server.port (0 takes a free one).",
        code="config.port_in_use",
    )


def _bind(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
    except OSError:
        listener.close()
        raise
    listener.setblocking(False)
    return listener
