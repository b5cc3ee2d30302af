"""The guard: which URL may be posted to, and which concrete address may be connected to. Pure.

One parser decides what a URL means, and only its canonical form goes on to the HTTP client, so that no second parser
can read it differently. Addresses are judged twice: every answer of the resolver, then the one about to be connected.
"""

import ipaddress
import re
from functools import lru_cache
from typing import NoReturn

import idna
import msgspec

from rowcast.core.errors import InvalidInputError
from rowcast.egress.terms import Network

URL_LIMIT_CHARS = 2048
_HOST_LIMIT_CHARS = 253
_DEFAULT_PORTS = {"https": 443, "http": 80}
_URL = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.\-]*)://(?P<authority>[^/?#]*)(?P<path>[^#]*)\Z")
_PORT = re.compile(r"[0-9]{1,5}\Z", re.ASCII)
_LABEL = re.compile(r"[a-z0-9_]([a-z0-9_\-]{0,61}[a-z0-9_])?\Z", re.ASCII)
_NUMERIC_LABEL = re.compile(r"([0-9]+|0x[0-9a-f]*)\Z", re.ASCII)
_UNSAFE = re.compile(r"[^\x21-\x7e]|[\\\"<>^`{|}]")

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

# `ipaddress.is_global` is no guard: by version it lets multicast, NAT64, 6to4 and others through.
# Sources: IANA special-purpose registries (RFC 6890 and its successors); 168.63.129.16 is Azure's metadata address.
_CLOSED_V4 = tuple(
    ipaddress.IPv4Network(text)
    for text in (
        "0.0.0.0/8 10.0.0.0/8 100.64.0.0/10 127.0.0.0/8 168.63.129.16/32 169.254.0.0/16 172.16.0.0/12 192.0.0.0/24 "
        "192.0.2.0/24 192.88.99.0/24 192.168.0.0/16 198.18.0.0/15 198.51.100.0/24 203.0.113.0/24 224.0.0.0/4 "
        "240.0.0.0/4"
    ).split()
)
_CLOSED_V6 = tuple(
    ipaddress.IPv6Network(text)
    for text in (
        "::/96 64:ff9b::/96 64:ff9b:1::/48 100::/64 2001::/23 2001:db8::/32 2002::/16 3fff::/20 5f00::/16 fc00::/7 "
        "fe80::/10 fec0::/10 ff00::/8"
    ).split()
)
# What no allow-list opens: this machine's own neighbours, and where clouds hand out credentials.
_NEVER = tuple(
    ipaddress.ip_network(text)
    for text in (
        "0.0.0.0/8 100.100.100.200/32 168.63.129.16/32 169.254.0.0/16 192.0.0.192/32 224.0.0.0/4 fe80::/10 "
        "fd00:ec2::254/128 ff00::/8"
    ).split()
)
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
"""Addresses that stand for the IPv4 address in their last 32 bits. Source: RFC 6052."""
_OPEN_V6 = ipaddress.IPv6Network("2000::/3")
"""All that is handed out as global unicast; what lies outside and not in the table above is not on the Internet."""


class Url(msgspec.Struct, frozen=True):
    """A URL taken apart. `host` is ASCII in lower case, or an IPv6 address without brackets."""

    scheme: str
    host: str
    port: int
    path: str

    @property
    def is_address(self) -> bool:
        """Tell whether the host is an address and not a name."""
        return ":" in self.host or _NUMERIC_LABEL.match(self.host.rpartition(".")[2]) is not None

    @property
    def text(self) -> str:
        """Give the canonical text."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        port = "" if _DEFAULT_PORTS[self.scheme] == self.port else f":{self.port}"
        return f"{self.scheme}://{host}{port}{self.path}"


class Policy(msgspec.Struct, frozen=True):
    """What may be reached.

    `allowed` exempts exact hosts and ports: a development machine's own catcher. `networks` are closed networks that
    may be reached on the open ports, `tenant_networks` those that one tenant may reach beside them (`*`: every tenant).
    """

    allow_http: bool = False
    ports: frozenset[int] = frozenset({80, 443, 8080, 8443})
    allowed: frozenset[tuple[str, int]] = frozenset()
    networks: tuple[Network, ...] = ()
    tenant_networks: dict[str, tuple[Network, ...]] = {}

    def is_exempt(self, host: str, port: int) -> bool:
        """Tell whether this very host and port were named as an exception."""
        return (host, port) in self.allowed

    def networks_of(self, tenant_id: str) -> tuple[Network, ...]:
        """Give the closed networks that a tenant may reach."""
        return (*self.tenant_networks.get("*", ()), *self.tenant_networks.get(tenant_id, ()))

    def for_tenant(self, tenant_id: str) -> "Policy":
        """Give the policy of one tenant's own URLs."""
        networks = self.networks_of(tenant_id)
        return msgspec.structs.replace(self, networks=networks) if networks else self

    def opens(self, address: str) -> bool:
        """Tell whether a concrete address lies in one of the networks."""
        return bool(self.networks) and _is_opened(address, self.networks)


def check_url(text: str, policy: Policy) -> Url:
    """Give the parts of a URL that may be posted to.

    Raises:
        InvalidInputError: `input.url` for a URL that cannot be used, `egress.blocked` for one the policy forbids.
    """
    url = parse_url(text)
    if policy.is_exempt(url.host, url.port):
        return url
    if url.scheme == "http" and not policy.allow_http:
        _block("it is not encrypted. Use https")
    if url.port not in policy.ports:
        listed = ", ".join(map(str, sorted(policy.ports)))
        _block(f"port {url.port} is closed for outgoing requests. Use one of {listed}")
    _check_host(url, policy)
    return url


@lru_cache(maxsize=4096)
def parse_url(text: str) -> Url:
    """Give the parts of a URL, whatever the policy says. Remembered: one endpoint gets many posts.

    Raises:
        InvalidInputError: `input.url`, saying what is wrong.
    """
    if len(text) > URL_LIMIT_CHARS:
        _refuse(f"it is longer than {URL_LIMIT_CHARS} characters")
    if any(character <= " " or "\x7f" <= character <= "\xa0" for character in text):
        _refuse("it holds a blank or a control character")
    found = _URL.match(text)
    if found is None:
        _refuse("it must be 'https://host/path', without a fragment")
    scheme, path = found["scheme"].lower(), found["path"]
    if scheme not in _DEFAULT_PORTS:
        _refuse("it must begin with https://")
    if _UNSAFE.search(path):
        _refuse("its path holds a character that must be percent-encoded")
    host, port = _split_authority(found["authority"], scheme)
    return Url(scheme, host, port, path if path.startswith("/") else f"/{path}")


def blocked_reason(address: str) -> str | None:
    """Give why a concrete address may not be connected to; None when it is on the public Internet.

    Args:
        address: What the resolver or the socket says, such as `10.0.0.1`, `::1` or `fe80::1%eth0`.
    """
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return "it is no address"
    if isinstance(parsed, ipaddress.IPv6Address):
        return _blocked_v6(parsed)
    return _closed_reason(parsed)


def is_blocked(address: str, *, url: Url, policy: Policy) -> bool:
    """Tell whether a connection to a concrete address on behalf of `url` must not be made."""
    if policy.is_exempt(url.host, url.port) or policy.opens(address):
        return False
    return blocked_reason(address) is not None


def _is_opened(text: str, networks: tuple[Network, ...]) -> bool:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return False
    if isinstance(address, ipaddress.IPv6Address):
        if address.scope_id is not None:
            return False
        address = address.ipv4_mapped or address
    behind = ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF) if address in _NAT64 else address
    is_never = any(each in network for each in (address, behind) for network in _NEVER)
    return not is_never and any(address in network for network in networks)


def _blocked_v6(address: ipaddress.IPv6Address) -> str | None:
    if address.scope_id is not None:
        return "it names a zone"
    if address.ipv4_mapped is not None:
        return _closed_reason(address.ipv4_mapped)
    if address not in _OPEN_V6:
        return "it is not on the public Internet"
    return _closed_reason(address)


def _closed_reason(address: Address) -> str | None:
    closed = _CLOSED_V4 if isinstance(address, ipaddress.IPv4Address) else _CLOSED_V6
    return "it is not on the public Internet" if any(address in network for network in closed) else None


def _split_authority(authority: str, scheme: str) -> tuple[str, int]:
    if "@" in authority:
        _refuse("it holds a user name or a password; send credentials in a header")
    if authority.startswith("["):
        inside, bracket, rest = authority[1:].partition("]")
        if not bracket or (rest and not rest.startswith(":")):
            _refuse("its IPv6 address is malformed")
        return _ipv6_host(inside), _port(rest[1:] if rest else None, scheme)
    name, colon, port = authority.partition(":")
    return _named_host(name), _port(port if colon else None, scheme)


def _port(text: str | None, scheme: str) -> int:
    if text is None:
        return _DEFAULT_PORTS[scheme]
    if not _PORT.match(text) or not 1 <= int(text) <= 65_535:
        _refuse("its port must be a number from 1 to 65535")
    return int(text)


def _ipv6_host(text: str) -> str:
    if "%" in text:
        _refuse("its address names a zone")
    try:
        return ipaddress.IPv6Address(text).compressed
    except ValueError:
        _refuse("its IPv6 address is malformed")


def _named_host(text: str) -> str:
    host = text.lower() if text.isascii() else _ascii_host(text)
    labels = host.split(".")
    if len(host) > _HOST_LIMIT_CHARS or not all(_LABEL.match(label) for label in labels):
        _refuse("its host must be a name such as 'hooks.example.com', without a dot at the end")
    # Where the last label is a number, some resolvers read an address: 127.1, 0x7f.1, 2130706433. We take four plain
    # parts only.
    return _ipv4_host(host) if _NUMERIC_LABEL.match(labels[-1]) else host


def _ascii_host(text: str) -> str:
    try:
        return idna.encode(text, uts46=True).decode("ascii").lower()
    except (idna.IDNAError, UnicodeError):
        _refuse("its host is no valid international name")


def _ipv4_host(text: str) -> str:
    try:
        return str(ipaddress.IPv4Address(text))
    except ValueError:
        _refuse("its host ends in a number but is no IPv4 address of four plain parts")


def _check_host(url: Url, policy: Policy) -> None:
    """Refuse at once what is known to be inside; what a name stands for is judged when connecting."""
    if url.is_address:
        reason = None if policy.opens(url.host) else blocked_reason(url.host)
        if reason:
            _block(f"the address {url.host} cannot be reached: {reason}. Use a public host name")
    elif not policy.networks and ("." not in url.host or url.host.endswith((".localhost", ".local", ".internal"))):
        _block(f"{url.host} is a name inside a network. Use a public host name")


def _refuse(problem: str) -> NoReturn:
    raise InvalidInputError(f"The URL cannot be used: {problem}.", code="input.url")


def _block(problem: str) -> NoReturn:
    raise InvalidInputError(f"The URL is blocked: {problem}.", code="egress.blocked")
