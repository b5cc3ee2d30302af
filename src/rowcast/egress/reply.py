"""What comes of one outgoing request: a reply or a failure. Both are values; a request that fails is no exception."""

from typing import Literal

import msgspec

FailureKind = Literal[
    "blocked",  # the guard forbids the URL, or the address that its name stands for
    "invalid",  # the URL or a header cannot be sent at all
    "dns",  # the name has no address
    "refused",  # nobody took the connection
    "tls",  # no trusted encryption: expired, another host's, self-signed, too old
    "timeout",  # the deadline passed
    "reset",  # the connection ended before the answer did
    "too_large",  # the answer is over its limit; its status may be known
    "protocol",  # what came back is no HTTP
    "proxy",  # the outgoing proxy did not let it through
    "full",  # too many requests are in flight here; nothing was sent
    "closed",  # this process is shutting down
]


class Timings(msgspec.Struct, frozen=True):
    """Where the time went, in milliseconds from the start; a stage that was not needed or reached is 0."""

    dns_ms: float = 0.0
    connect_ms: float = 0.0
    tls_ms: float = 0.0
    first_byte_ms: float = 0.0
    total_ms: float = 0.0


class Reply(msgspec.Struct, frozen=True):
    """An answer with any status. Header names are in lower case, the first of a repeated header counts."""

    status: int
    headers: dict[str, str]
    body: bytes
    timings: Timings = Timings()


class EgressFailure(msgspec.Struct, frozen=True):
    """No whole answer. `status` and `headers` are known where the answer had begun.

    `is_connected` says that somebody took the connection, now or, where it was kept open, for a request before.
    """

    kind: FailureKind
    text: str = ""
    status: int | None = None
    headers: dict[str, str] = {}
    timings: Timings = Timings()
    is_connected: bool = False


Answer = Reply | EgressFailure


class EgressSettings(msgspec.Struct, frozen=True):
    """Limits of every outgoing request. `ca_file` empty means the certificates that ship with certifi.

    `host_limit` bounds the requests to one host (0: no bound), `proxy` is the URL of an outgoing proxy (empty: none).
    """

    timeout_s: float = 15.0
    connect_timeout_s: float = 10.0
    body_limit_bytes: int = 65_536
    header_limit_bytes: int = 32_768
    connection_life_s: int = 60
    max_in_flight: int = 512
    user_agent: str = "rowcast"
    ca_file: str = ""
    host_limit: int = 0
    host_wait_s: float = 0.25
    proxy: str = ""


def parse_headers(lines: list[bytes]) -> dict[str, str]:
    """Give the headers of the last block in `lines`; blocks of informational answers (1xx) before it are dropped."""
    headers: dict[str, str] = {}
    for line in lines:
        if line.startswith(b"HTTP/"):
            headers = {}
            continue
        name, colon, value = line.decode("latin-1").partition(":")
        if colon:
            headers.setdefault(name.strip().lower(), value.strip())
    return headers


def merged_timings(timings: Timings, resolving_ms: float) -> Timings:
    """Give the timings of a request whose name was looked up beforehand."""
    return Timings(
        dns_ms=resolving_ms,
        connect_ms=_later(timings.connect_ms, resolving_ms),
        tls_ms=_later(timings.tls_ms, resolving_ms),
        first_byte_ms=_later(timings.first_byte_ms, resolving_ms),
        total_ms=timings.total_ms + resolving_ms,
    )


def _later(stage_ms: float, by_ms: float) -> float:
    return stage_ms + by_ms if stage_ms else 0.0
