"""Which tenant a connection names beside its token: by a header, by its path, or by its host. Pure.

Whoever connects can write there whatever he likes. So a name says where a connection is, and never what it may do:
`authorize` compares it with the token.
"""

import re
from typing import Literal

import msgspec

from rowcast.core.errors import InvalidInputError
from rowcast.core.ids import TENANT_ID_PATTERN

TENANT_HEADER = "x-tenant"
PATH_PREFIX = b"/t/"
"""Before the path of a tenant's own address: `/t/acme/realtime/v1/websocket`."""

Source = Literal["claim", "header", "path", "host"]

_LABEL_LIMIT_CHARS = 63
_AUTHORITY = re.compile(r"(?P<host>\[[0-9A-Fa-f:.]*\]|[A-Za-z0-9_.\-]*)(:[0-9]{0,5})?\Z", re.ASCII)


class Tenancy(msgspec.Struct, frozen=True):
    """Who is asked for the tenant, and in which order. `domain`: its names have tenants as their first label."""

    sources: tuple[Source, ...] = ("claim",)
    domain: str = ""

    @property
    def has_claim(self) -> bool:
        """Tell whether a token alone may say the tenant."""
        return "claim" in self.sources

    @property
    def has_path(self) -> bool:
        """Tell whether tenants have addresses of their own."""
        return "path" in self.sources


class Visit(msgspec.Struct, frozen=True):
    """What of a request may name a tenant, as it came; a header that came twice is joined by a comma.

    `parameter` is the one of the stock paths with which a service names a tenant.
    """

    host: str = ""
    header: str | None = None
    path: str | None = None
    parameter: str = ""


def named_tenant(tenancy: Tenancy, visit: Visit) -> str | None:
    """Give the tenant that a request names, by the first of the sources that says one; None when none does.

    Raises:
        InvalidInputError: `input.tenant`, for a name that is none.
    """
    for source in tenancy.sources:
        found = _by_source(source, tenancy, visit)
        if found is not None:
            return found
    return None


def split_path(path: bytes) -> tuple[str, bytes] | None:
    """Give the tenant's part of `/t/<tenant>/...` and the path behind it; None for any other path, or half of one."""
    if not path.startswith(PATH_PREFIX):
        return None
    named, slash, rest = path[len(PATH_PREFIX) :].partition(b"/")
    return (named.decode("latin-1"), b"/" + rest) if slash and not _ends_path(named) else None


def may_become_split(path: bytes) -> bool:
    """Tell whether the beginning of a request's path may still turn out to be a tenant's."""
    if len(path) <= len(PATH_PREFIX):
        return PATH_PREFIX.startswith(path)
    named = path[len(PATH_PREFIX) :]
    return path.startswith(PATH_PREFIX) and b"/" not in named and not _ends_path(named)


def _ends_path(named: bytes) -> bool:
    return any(sign in named for sign in (b" ", b"?", b"\r", b"\n"))


def _by_source(source: Source, tenancy: Tenancy, visit: Visit) -> str | None:
    match source:
        case "header":
            return None if visit.header is None else _checked(visit.header, f"the header {TENANT_HEADER}")
        case "path":
            return None if visit.path is None else _checked(visit.path, "the path")
        case "host":
            return _by_host(visit.host, tenancy.domain)
        case "claim":
            return None


def _by_host(host: str, domain: str) -> str | None:
    """Give the label before the domain; names outside of it, and addresses, name nobody."""
    found = _AUTHORITY.match(host)
    if found is None:
        raise _refusal("the header Host")
    name = found["host"].lower().removesuffix(".")
    if not name.endswith(f".{domain}"):
        return None
    label = name.removesuffix(f".{domain}")
    if "." in label or len(label) > _LABEL_LIMIT_CHARS:
        raise _refusal("the host")
    return _checked(label, "the host")


def _checked(name: str, place: str) -> str:
    if not TENANT_ID_PATTERN.match(name):
        raise _refusal(place)
    return name


def _refusal(place: str) -> InvalidInputError:
    return InvalidInputError(
        f"What {place} says is no tenant. Name one, and once: 1 to 128 letters, digits, '_', '-' and '.'.",
        code="input.tenant",
    )
