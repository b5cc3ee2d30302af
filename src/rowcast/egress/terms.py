"""What holds for one request beyond what holds for all. Pure."""

import ipaddress
from collections.abc import Iterable

import msgspec

from rowcast.core.errors import InvalidInputError

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class Identity(msgspec.Struct, frozen=True):
    """A client certificate and its key, each as PEM. The text form hides both."""

    certificate: bytes
    key: bytes

    def __repr__(self) -> str:
        """Give nothing of either."""
        return "Identity(...)"


class Terms(msgspec.Struct, frozen=True):
    """`networks` are closed networks that this request may reach; `identity` shows who asks."""

    networks: tuple[Network, ...] = ()
    identity: Identity | None = None


NO_TERMS = Terms()


def parse_networks(texts: Iterable[str]) -> tuple[Network, ...]:
    """Give networks written as `10.1.0.0/16` or `fd00:1::/64`.

    Raises:
        InvalidInputError: `input.network`.
    """
    try:
        return tuple(ipaddress.ip_network(text.strip()) for text in texts)
    except ValueError as error:
        raise InvalidInputError(f"A network is written as 10.1.0.0/16: {error}.", code="input.network") from None
