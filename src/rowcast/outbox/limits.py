"""How large an event may be."""

import warnings

from rowcast.core.errors import InvalidInputError, PayloadTooLargeError
from rowcast.core.telemetry import tell

WARN_BYTES = 32_768
LIMIT_BYTES = 65_536
BATCH_LIMIT_EVENTS = 10_000
BATCH_LIMIT_BYTES = 67_108_864


class LargePayloadWarning(UserWarning):
    """A payload is over 32,768 bytes of JSON text; over 65,536 it is refused."""


def check_payload_size(event_type: str, size_bytes: int, *, stacklevel: int) -> None:
    """Refuse a payload that is too large and warn of one that is half way there.

    Args:
        event_type: Named in the warning.
        size_bytes: Bytes of the JSON text.
        stacklevel: How many calls up the application's own line is, as `warnings.warn` counts.
    Raises:
        PayloadTooLargeError: `outbox.payload_too_large`, above 65,536 bytes.
    """
    if size_bytes > LIMIT_BYTES:
        raise PayloadTooLargeError(size_bytes=size_bytes, limit_bytes=LIMIT_BYTES)
    if size_bytes > WARN_BYTES:
        tell("outbox.payload_large", size_bytes=size_bytes)
        warnings.warn(
            f"The payload of {event_type} has {size_bytes} bytes; above {LIMIT_BYTES} it is refused.",
            LargePayloadWarning,
            stacklevel=stacklevel + 1,
        )


def check_batch_size(events: int, size_bytes: int) -> None:
    """Refuse more than one statement should carry.

    Raises:
        InvalidInputError: `outbox.batch_too_large`, above 10,000 events or 64 MiB.
    """
    if events > BATCH_LIMIT_EVENTS or size_bytes > BATCH_LIMIT_BYTES:
        raise InvalidInputError(
            f"The batch has {events} events and {size_bytes} bytes; the limits are {BATCH_LIMIT_EVENTS} and "
            f"{BATCH_LIMIT_BYTES}. Call emit_many several times in your transaction.",
            code="outbox.batch_too_large",
        )
