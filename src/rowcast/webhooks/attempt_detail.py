"""What one attempt was, as the JSON document beside its row: for a person to look at, without what is secret. Pure."""

from collections.abc import Mapping

import msgspec

from rowcast.core.codec import encode_json
from rowcast.egress.reply import Answer, EgressFailure

BODY_LIMIT_CHARS = 4096
HIDDEN = "***"
_HEADERS_LIMIT = 64
_VALUE_LIMIT_CHARS = 512
_SECRET_ANSWERS = frozenset({"set-cookie", "www-authenticate", "proxy-authenticate", "authentication-info"})


class AttemptDetail(msgspec.Struct, frozen=True, rename="camel"):
    """One attempt. Times are milliseconds from its start; a stage that was not reached is 0."""

    url: str
    request_headers: dict[str, str] = {}
    response_headers: dict[str, str] = {}
    dns_ms: float = 0.0
    connect_ms: float = 0.0
    tls_ms: float = 0.0
    first_byte_ms: float = 0.0
    total_ms: float = 0.0
    body: str = ""


def attempt_detail(url: str, *, sent: Mapping[str, str], hidden: Mapping[str, str], answer: Answer) -> str:
    """Give the document.

    Args:
        url: Where it was posted.
        sent: Headers that may be shown.
        hidden: Headers of which only the names may be shown: the tenant's own, and who we say we are.
        answer: What came back.
    """
    timings = answer.timings
    body = answer.text.encode("utf-8", "replace") if isinstance(answer, EgressFailure) else answer.body
    detail = AttemptDetail(
        url=url,
        request_headers={**sent, **dict.fromkeys(hidden, HIDDEN)},
        response_headers=_shown(answer.headers),
        dns_ms=round(timings.dns_ms, 3),
        connect_ms=round(timings.connect_ms, 3),
        tls_ms=round(timings.tls_ms, 3),
        first_byte_ms=round(timings.first_byte_ms, 3),
        total_ms=round(timings.total_ms, 3),
        body=_text(body),
    )
    return encode_json(detail).decode()


def _shown(headers: Mapping[str, str]) -> dict[str, str]:
    listed = list(headers.items())[:_HEADERS_LIMIT]
    return {name[:_VALUE_LIMIT_CHARS]: HIDDEN if name in _SECRET_ANSWERS else _plain(value) for name, value in listed}


def _plain(value: str) -> str:
    return value[:_VALUE_LIMIT_CHARS].replace("\x00", "\ufffd")


def _text(body: bytes) -> str:
    """Give the start of a body as text; a character that was cut or is none becomes its stand-in."""
    return body[: BODY_LIMIT_CHARS * 4].decode("utf-8", "replace")[:BODY_LIMIT_CHARS].replace("\x00", "\ufffd")
