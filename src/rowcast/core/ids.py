"""Identifiers: their types, and UUIDv7 made and read without a clock of our own."""

import os
import re
import uuid
from datetime import UTC, datetime, timedelta
from typing import NewType

TenantId = NewType("TenantId", str)
EventId = NewType("EventId", uuid.UUID)
DeliveryId = NewType("DeliveryId", int)

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_EPOCH_SHIFT = 80
_VERSION_7 = 0x7 << 76
_VARIANT = 0x2 << 62
_RANDOM_A = ((1 << 12) - 1) << 64
_RANDOM_B = (1 << 62) - 1

TENANT_ID_PATTERN = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.\-]{0,127}\Z")
"""A tenant id is a word that can stand inside a topic: no colon, no blank, at most 128 bytes."""


def uuid7(at: datetime) -> uuid.UUID:
    """Give a UUIDv7 whose 48-bit millisecond part is `at`.

    Source: RFC 9562, section 5.7.
    """
    noise = int.from_bytes(os.urandom(10), "big")
    value = (_milliseconds(at) << _EPOCH_SHIFT) | _VERSION_7 | _VARIANT
    return uuid.UUID(int=value | (noise & _RANDOM_A) | (noise & _RANDOM_B))


def uuid7_floor(at: datetime) -> uuid.UUID:
    """Give the smallest UUID of the millisecond `at`: the bound of a partition or a page."""
    return uuid.UUID(int=_milliseconds(at) << _EPOCH_SHIFT)


def uuid7_time(value: uuid.UUID) -> datetime:
    """Give the time that a UUIDv7 carries, to the millisecond, aware UTC."""
    return _EPOCH + timedelta(milliseconds=value.int >> _EPOCH_SHIFT)


def is_uuid7(value: uuid.UUID) -> bool:
    """Tell whether `value` is a UUID of version 7."""
    return value.version == 7


def _milliseconds(at: datetime) -> int:
    """In whole numbers: `timestamp()` is a float, and rounds a late moment into another millisecond."""
    return (at - _EPOCH) // _MILLISECOND
