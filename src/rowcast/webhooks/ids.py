"""Ids of the webhook platform: a prefix and 27 letters and digits that sort by time; some are made of an id. Pure."""

import uuid
from datetime import datetime

APPLICATION_PREFIX = "app_"
ENDPOINT_PREFIX = "ep_"
MESSAGE_PREFIX = "msg_"
ATTEMPT_PREFIX = "atmpt_"
TASK_PREFIX = "qtask_"
SOURCE_PREFIX = "src_"
NOISE_BYTES = 15

_CHARS = 27
_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_PAIRS = [first + second for first in _DIGITS for second in _DIGITS]
_VALUES = {digit: value for value, digit in enumerate(_DIGITS)}
_EPOCH_S = 1_400_000_000
_TICKS_PER_S = 256
_UUID_BITS = 128
_HALF_BITS = 64


def application_id(at: datetime, noise: bytes) -> str:
    """Give `app_` and 27 characters; `noise` is 15 bytes."""
    return APPLICATION_PREFIX + _timed(at, noise)


def endpoint_id(at: datetime, noise: bytes) -> str:
    """Give `ep_` and 27 characters; `noise` is 15 bytes."""
    return ENDPOINT_PREFIX + _timed(at, noise)


def task_id(at: datetime, noise: bytes) -> str:
    """Give `qtask_` and 27 characters; `noise` is 15 bytes."""
    return TASK_PREFIX + _timed(at, noise)


def source_id(at: datetime, noise: bytes) -> str:
    """Give `src_` and 27 characters; `noise` is 15 bytes, which nobody guesses."""
    return SOURCE_PREFIX + _timed(at, noise)


def is_source_id(text: str) -> bool:
    """Tell whether a text could be the id of a source: all others need not be looked for."""
    return _read(text, SOURCE_PREFIX) is not None


def message_id(event_id: uuid.UUID) -> str:
    """Give the id that receivers drop duplicates by; it holds no dot, since a dot ends the id in the signed text."""
    return MESSAGE_PREFIX + _written(event_id.int)


def event_id_of(message_id: str) -> uuid.UUID | None:
    """Give the event of a message's id, or None for what `message_id` does not give."""
    number = _read(message_id, MESSAGE_PREFIX)
    return None if number is None or number >> _UUID_BITS else uuid.UUID(int=number)


def attempt_id(delivery_id: int, fence: int) -> str:
    """Give `atmpt_` and 27 characters, made of a delivery's id and the fencing token of one attempt."""
    return ATTEMPT_PREFIX + _written((delivery_id << _HALF_BITS) | fence)


def parse_attempt_id(text: str) -> tuple[int, int] | None:
    """Give delivery and fencing token of an attempt's id, or None for what `attempt_id` does not give."""
    number = _read(text, ATTEMPT_PREFIX)
    if number is None:
        return None
    delivery_id, fence = number >> _HALF_BITS, number & ((1 << _HALF_BITS) - 1)
    # What is larger is no bigint, and a query with it would fail.
    return (delivery_id, fence) if max(delivery_id, fence) < 1 << (_HALF_BITS - 1) else None


def _timed(at: datetime, noise: bytes) -> str:
    """Give 40 bits of 4 ms ticks, then the noise."""
    ticks = int((at.timestamp() - _EPOCH_S) * _TICKS_PER_S)
    return _written((ticks << (8 * NOISE_BYTES)) | int.from_bytes(noise[:NOISE_BYTES], "big"))


def _written(number: int) -> str:
    pairs: list[str] = []
    for _ in range(-(-_CHARS // 2)):
        number, pair = divmod(number, len(_PAIRS))
        pairs.append(_PAIRS[pair])
    return "".join(reversed(pairs))[-_CHARS:]


def _read(text: str, prefix: str) -> int | None:
    digits = text.removeprefix(prefix)
    if len(text) != len(prefix) + _CHARS or len(digits) != _CHARS or not _VALUES.keys() >= set(digits):
        return None
    number = 0
    for digit in digits:
        number = number * len(_DIGITS) + _VALUES[digit]
    return number
