"""What the schemes' signatures share: digests, times, and comparing without telling how close a guess was. Pure."""

import base64
import hmac
from collections.abc import Iterable, Sequence
from datetime import datetime

from rowcast.webhooks.incoming import Refused

TOLERANCE_S = 300
_ITEMS_LIMIT = 32


def digest(key: bytes, content: bytes, *, algorithm: str = "sha256", encoding: str = "hex") -> bytes:
    """Give the HMAC of `content` as the bytes that stand in a header."""
    raw = hmac.digest(key, content, algorithm)
    return base64.b64encode(raw) if encoding == "base64" else raw.hex().encode()


def fits_any(given: Iterable[bytes], wanted: Iterable[bytes]) -> bool:
    """Tell whether one of the given values is one of the wanted ones; every pair is compared to its end."""
    expected = list(wanted)
    fits = [hmac.compare_digest(each, one) for each in given if each for one in expected]
    return any(fits)


def keys_of(secrets: Sequence[str]) -> list[bytes]:
    """Give the keys of senders that use the text of a secret as it stands."""
    return [secret.encode("utf-8", "surrogatepass") for secret in secrets]


def seconds_of(text: bytes) -> int | None:
    """Give the whole seconds that a header says, or None where it says anything else."""
    if not (text.isdigit() and len(text) < 13):
        return None
    seconds = int(text)
    # What is signed is the text: a leading zero would be another one.
    return seconds if str(seconds).encode() == text else None


def stale(timestamp: bytes, now: datetime, *, is_future_bounded: bool = True) -> Refused | None:
    """Give the refusal of a time that is no time, or too far from now; None when it may be."""
    seconds = seconds_of(timestamp)
    if seconds is None:
        return Refused("auth.timestamp", "The timestamp must be whole seconds since 1970.")
    age_s = now.timestamp() - seconds
    if age_s > TOLERANCE_S or (is_future_bounded and age_s < -TOLERANCE_S):
        return Refused("auth.timestamp", f"The timestamp is more than {TOLERANCE_S} s from now. Check both clocks.")
    return None


def listed_items(header: bytes) -> dict[bytes, list[bytes]]:
    """Give the values of a header such as `t=1,v1=a,v1=b` by their names."""
    found: dict[bytes, list[bytes]] = {}
    for item in header.split(b",")[:_ITEMS_LIMIT]:
        name, _, value = item.strip().partition(b"=")
        found.setdefault(name, []).append(value)
    return found


def missing(*headers: str) -> Refused:
    """Give the refusal of a request without what must be sent."""
    return Refused("auth.missing", f"The request is not signed: {' and '.join(headers)} must be sent.")


def misfit() -> Refused:
    """Give the refusal of a signature that none of the secrets has made."""
    return Refused("auth.signature", "No secret of this source fits. Check the secret at the sender.")
