"""What one attempt to deliver came to: a value, never an exception."""

import msgspec

EXCERPT_LIMIT_CHARS = 1024


class Delivered(msgspec.Struct, frozen=True, tag="delivered"):
    """The target took it.

    `code` is the target's own word (an HTTP status as text), `excerpt` at most 1,024 characters of its
    answer, `result` the JSON text that a task returned.
    """

    code: str = ""
    excerpt: str = ""
    result: str | None = None


class Retry(msgspec.Struct, frozen=True, tag="retry"):
    """It failed now and may succeed later.

    `reason` is a short stable word (`http_503`, `timeout`), `after_s` the least wait that the target asked for.
    """

    reason: str
    after_s: float | None = None
    code: str = ""
    excerpt: str = ""


class Rejected(msgspec.Struct, frozen=True, tag="rejected"):
    """It failed and will always fail; the delivery becomes a dead letter."""

    reason: str
    code: str = ""
    excerpt: str = ""


Outcome = Delivered | Retry | Rejected
