"""What one attempt to deliver came to: a value, never an exception."""

import msgspec

from rowcast.core.retry import RetryPolicy

EXCERPT_LIMIT_CHARS = 1024


class Delivered(msgspec.Struct, frozen=True, tag="delivered"):
    """The target took it.

    `code` is the target's own word (an HTTP status as text), `excerpt` at most 1,024 characters of its
    answer, `result` the JSON text that a task returned, `detail` a JSON document about the attempt, to be shown.
    """

    code: str = ""
    excerpt: str = ""
    result: str | None = None
    detail: str | None = None


class Retry(msgspec.Struct, frozen=True, tag="retry"):
    """It failed now and may succeed later.

    `reason` is a short stable word (`http_503`, `timeout`), `after_s` the least wait that the target asked for,
    `policy` the target's own where it has one.
    """

    reason: str
    after_s: float | None = None
    code: str = ""
    excerpt: str = ""
    detail: str | None = None
    policy: RetryPolicy | None = None


class Rejected(msgspec.Struct, frozen=True, tag="rejected"):
    """It failed and will always fail; the delivery becomes a dead letter.

    With `is_cancelled` nothing is wrong with it, but its target takes nothing: it is cancelled, and no dead letter.
    """

    reason: str
    code: str = ""
    excerpt: str = ""
    detail: str | None = None
    is_cancelled: bool = False


class Postponed(msgspec.Struct, frozen=True, tag="postponed"):
    """Nothing was tried: it goes back for `wait_s` seconds, and no attempt is counted.

    `reason` is `host`, or `store` where our own database was away.
    """

    wait_s: float
    reason: str = "host"


Outcome = Delivered | Retry | Rejected | Postponed
