"""Receiving webhooks: one call that an application makes with what its framework hands it."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from rowcast.core.clock import SystemClock
from rowcast.core.errors import UsageError
from rowcast.webhooks.signature import verify


def verify_webhook(
    secrets: str | Sequence[str], headers: Mapping[str, str], body: bytes, *, now: datetime | None = None
) -> str:
    """Give the id of a message that was sent by whoever holds the secret, unchanged and within five minutes of now.

    Every sender of Standard Webhooks is understood, also one that names its headers `svix-*`. The same message may come
    twice: drop an id that you have seen before.

    Args:
        secrets: The endpoint's `whsec_...` or `whpk_...`; during a rotation the old and the new one.
        headers: As the framework gives them, names in any case.
        body: The bytes as they came in, before any parsing.
        now: Aware; None means this machine's clock.
    Raises:
        InvalidSignatureError: `auth.signature`, when a header is missing or no signature fits.
        StaleTimestampError: `auth.timestamp`.
        InvalidInputError: `input.secret`, when a secret cannot be used.
        UsageError: `usage.body`, when the body is no bytes.
    """
    if not isinstance(body, bytes):
        raise UsageError(
            f"The body must be the bytes as they came in, not {type(body).__name__}: what was parsed and written anew "
            "has another signature.",
            code="usage.body",
        )
    chosen = [secrets] if isinstance(secrets, str) else list(secrets)
    return verify(chosen, headers, body, now=now or SystemClock().now())
