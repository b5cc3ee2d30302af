"""What one attempt came to: an answer, or the lack of one, becomes an outcome. Pure."""

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from rowcast.core.outcome import EXCERPT_LIMIT_CHARS, Delivered, Outcome, Postponed, Rejected, Retry
from rowcast.egress.reply import Answer, EgressFailure, Reply

RETRY_AFTER_CAP_S = 86_400.0
"""A receiver may ask for a day at most: the longest wait of the retry policy itself."""
GONE = 410
_SUCCESS = range(200, 300)
_FULL_WAIT_S = 1.0


def outcome_of(answer: Answer, *, now: datetime) -> Outcome:
    """Give the outcome of one attempt. Only 2xx is a success; a redirect is never followed."""
    return _of_reply(answer, now) if isinstance(answer, Reply) else _of_failure(answer)


def retry_after_s(text: str | None, *, now: datetime) -> float | None:
    """Give the wait a `Retry-After` header asks for, 0 to a day; None for what is neither seconds nor a date ahead."""
    if text is None:
        return None
    word = text.strip()
    if word.isascii() and word.isdigit():
        return min(float(word[:12]), RETRY_AFTER_CAP_S)
    try:
        at = parsedate_to_datetime(word)
        wait_s = ((at if at.tzinfo else at.replace(tzinfo=UTC)) - now).total_seconds()
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return min(wait_s, RETRY_AFTER_CAP_S) if wait_s > 0 else None


def excerpt_of(body: bytes) -> str:
    """Give the start of a body as text that can be stored and shown: control characters become blanks."""
    text = body[: EXCERPT_LIMIT_CHARS * 4].decode("utf-8", "replace")[:EXCERPT_LIMIT_CHARS]
    return "".join(character if character.isprintable() else " " for character in text)


def _of_reply(reply: Reply, now: datetime) -> Outcome:
    code, excerpt = str(reply.status), excerpt_of(reply.body)
    if reply.status in _SUCCESS:
        return Delivered(code, excerpt)
    if reply.status == GONE:
        return Rejected("endpoint_gone", code, excerpt)
    return Retry(f"http_{code}", retry_after_s(reply.headers.get("retry-after"), now=now), code, excerpt)


def _of_failure(failure: EgressFailure) -> Outcome:
    code, excerpt = str(failure.status or ""), excerpt_of(failure.text.encode("utf-8", "replace"))
    if failure.kind == "too_large" and failure.status in _SUCCESS:
        # It said yes and then talked too long; posting again would only make it do its work twice.
        return Delivered(code, excerpt)
    if failure.status == GONE:
        return Rejected("endpoint_gone", code, excerpt)
    if failure.kind in ("blocked", "invalid"):
        return Rejected(f"egress_{failure.kind}", code, excerpt)
    if failure.kind == "full":
        # Nothing was sent.
        return Postponed(_FULL_WAIT_S)
    if failure.kind == "closed":
        return Retry("egress_closed", _FULL_WAIT_S, code, excerpt)
    return Retry(failure.kind, None, code, excerpt)
