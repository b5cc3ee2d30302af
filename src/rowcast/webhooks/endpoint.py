"""Endpoints: where a tenant wants its events posted. Pure."""

from collections.abc import Sequence
from datetime import datetime

import msgspec

from rowcast.core.errors import InvalidInputError
from rowcast.core.event_pattern import checked_event_pattern, fits_any

PATTERNS_LIMIT = 100


class Endpoint(msgspec.Struct, frozen=True):
    """One endpoint, without what is secret. `event_types` None means every type; otherwise types or patterns.

    `channels` None means every message, `throttle_rate` are messages a second. `failing_since` is the first failure
    after the last success, `disabled_reason` a word such as `http_410`; empty where somebody disabled it.
    """

    id: str
    tenant_id: str
    url: str
    description: str
    event_types: tuple[str, ...] | None
    is_disabled: bool
    created_at: datetime
    changed_at: datetime
    is_ordered: bool = False
    uid: str | None = None
    channels: tuple[str, ...] | None = None
    throttle_rate: int | None = None
    metadata: dict[str, str] = {}
    version: int = 1
    signature_scheme: str = "v1"
    retry_schedule_s: tuple[float, ...] | None = None
    log_level: str = "all"
    is_transformed: bool = False
    failing_since: datetime | None = None
    disabled_at: datetime | None = None
    disabled_reason: str = ""

    def wants(self, event_type: str) -> bool:
        """Tell whether events of this type are owed to it. One that is disabled is owed them too: see the sink."""
        return self.event_types is None or fits_any(event_type, self.event_types)


class SigningEndpoint(msgspec.Struct, frozen=True):
    """What one attempt needs of an endpoint. Its text form hides the secrets.

    `unopened` is the code why the secret in use cannot be opened; empty when it can. `failing_since` is the first
    failure after the last success, `retry_schedule_s` the endpoint's own waits, `log_level` what is kept of successes,
    `transformation` the JSON document of one that is enabled.
    """

    id: str
    url: str
    secrets: tuple[str, ...]
    is_disabled: bool
    unopened: str = ""
    disabled_reason: str = ""
    failing_since: datetime | None = None
    retry_schedule_s: tuple[float, ...] | None = None
    log_level: str = "all"
    sealed_headers: bytes | None = None
    sealed_authentication: bytes | None = None
    transformation: str | None = None

    def __repr__(self) -> str:
        """Give everything but the secrets."""
        return f"SigningEndpoint(id={self.id!r}, secrets={len(self.secrets)}, is_disabled={self.is_disabled})"


def checked_event_types(event_types: Sequence[str] | None) -> list[str] | None:
    """Give the patterns back if each can be used; None stays None and means every type.

    Raises:
        InvalidInputError: `input.event_pattern`, for a malformed pattern, an empty list, or more than 100 of them.
    """
    if event_types is None:
        return None
    if not 1 <= len(event_types) <= PATTERNS_LIMIT:
        raise InvalidInputError(
            f"An endpoint names 1 to {PATTERNS_LIMIT} event types; leave them out for every type.",
            code="input.event_pattern",
        )
    return [checked_event_pattern(pattern) for pattern in event_types]
