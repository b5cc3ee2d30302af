"""Every error that rowcast raises on purpose.

    RowcastError
    +-- ConfigError                    config.*      the operator, at start
    +-- InvalidInputError              input.*       the caller, 400
    |   +-- PayloadTooLargeError       outbox.payload_too_large, 413
    |   +-- UnknownEventTypeError      outbox.unknown_event_type
    |   +-- InvalidTopicError          input.topic
    |   +-- InvalidFieldError          input.field, 422
    |   +-- NotFoundError              input.not_found, 404
    |   +-- ConflictError              input.conflict, 409
    +-- AuthenticationError            auth.*        the caller, 401
    |   +-- InvalidSignatureError      auth.signature
    |   +-- StaleTimestampError        auth.timestamp
    |   +-- InvalidTokenError          auth.token
    +-- PermissionDeniedError          auth.denied   the caller, 403 (404 across tenants)
    +-- LimitExceededError             limit.*       the caller, 429, later
    +-- StoreError                     store.*       us, 503, retry
    |   +-- StoreUnavailableError      store.unavailable
    +-- VendorError                    vendor.*      them
    +-- UsageError                     usage.*       the programmer

Each code is stable, is documented in docs/reference/errors.md, and its sentence says what to do.
"""

from typing import ClassVar


class RowcastError(Exception):
    """The family. `code` is stable and dotted; the text says what to do."""

    code: str = "rowcast.error"
    http_status: ClassVar[int] = 500

    def __init__(self, message: str, *, code: str | None = None) -> None:
        """Keep the sentence, and a narrower `code` where one is given."""
        super().__init__(message)
        if code is not None:
            self.code = code


class ConfigError(RowcastError):
    """A setting, a folder, a port or a database is not as it must be; the process does not start."""

    code = "config.invalid"


class InvalidInputError(RowcastError):
    """The caller sent something that cannot be taken; sending it again will not help."""

    code = "input.invalid"
    http_status = 400


class PayloadTooLargeError(InvalidInputError):
    """A payload is over its limit; the caller's transaction has not been changed."""

    code = "outbox.payload_too_large"
    http_status = 413

    def __init__(self, *, size_bytes: int, limit_bytes: int) -> None:
        """Keep the measured size and the limit, both in bytes of JSON text."""
        super().__init__(
            f"The payload has {size_bytes} bytes and the limit is {limit_bytes}. "
            "Emit a reference to the data and let the receiver fetch it."
        )
        self.size_bytes = size_bytes
        self.limit_bytes = limit_bytes


class UnknownEventTypeError(InvalidInputError):
    """An event type is not registered."""

    code = "outbox.unknown_event_type"

    def __init__(self, event_type: str, *, known: tuple[str, ...]) -> None:
        """Keep the type that was asked for and the ones that are known."""
        listed = ", ".join(known) or "none"
        super().__init__(
            f"The event type {event_type!r} is not registered. Known: {listed}. "
            "Declare it as a subclass of Event, or add its pack to the setting `packs`."
        )
        self.event_type = event_type
        self.known = known


class InvalidTopicError(InvalidInputError):
    """A topic cannot be parsed or made."""

    code = "input.topic"


class InvalidFieldError(InvalidInputError):
    """A field of a request does not fit; `place` leads to it."""

    code = "input.field"
    http_status = 422

    def __init__(self, message: str, *, place: tuple[str, ...], kind: str = "value_error") -> None:
        """Keep the sentence, the way to the field such as `("body", "url")`, and a word for what is wrong with it."""
        super().__init__(message)
        self.place = place
        self.kind = kind


class NotFoundError(InvalidInputError):
    """The thing named is not there, or not there for this caller."""

    code = "input.not_found"
    http_status = 404


class ConflictError(InvalidInputError):
    """The same id or name is taken by something else."""

    code = "input.conflict"
    http_status = 409


class AuthenticationError(RowcastError):
    """The caller did not prove who it is."""

    code = "auth.missing"
    http_status = 401


class InvalidSignatureError(AuthenticationError):
    """No signature that was sent fits the body."""

    code = "auth.signature"


class StaleTimestampError(AuthenticationError):
    """A signed timestamp is too far from now."""

    code = "auth.timestamp"


class InvalidTokenError(AuthenticationError):
    """A token is malformed, expired, or signed by somebody else."""

    code = "auth.token"


class PermissionDeniedError(RowcastError):
    """The caller is known but may not do this."""

    code = "auth.denied"
    http_status = 403


class LimitExceededError(RowcastError):
    """A limit was reached; the same call succeeds after `retry_after_s` seconds."""

    code = "limit.exceeded"
    http_status = 429

    def __init__(self, message: str, *, retry_after_s: float, code: str | None = None) -> None:
        """Keep the sentence and the wait in seconds."""
        super().__init__(message, code=code)
        self.retry_after_s = retry_after_s


class StoreError(RowcastError):
    """The database did not do what was asked; nothing was half done."""

    code = "store.failed"
    http_status = 503


class StoreUnavailableError(StoreError):
    """The database cannot be reached now."""

    code = "store.unavailable"


class VendorError(RowcastError):
    """Another company's API refused or failed."""

    code = "vendor.failed"
    http_status = 502

    def __init__(self, message: str, *, vendor: str, status: int | None = None, is_retryable: bool = False) -> None:
        """Keep who answered, with which HTTP status, and whether a retry can help."""
        super().__init__(message)
        self.vendor = vendor
        self.status = status
        self.is_retryable = is_retryable


class UsageError(RowcastError):
    """The code that calls rowcast is wrong; only a change of that code helps."""

    code = "usage.invalid"
