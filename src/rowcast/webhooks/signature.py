"""Standard Webhooks signatures, versions 1 (HMAC) and 1a (ed25519): made and verified. Pure.

Source: the Standard Webhooks specification; the vectors in tests/unit/webhooks/test_signature.py are its own.
"""

import base64
import binascii
import hmac
import os
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Literal

from rowcast.core.errors import InvalidInputError, InvalidSignatureError, StaleTimestampError
from rowcast.webhooks.asymmetric import (
    checked_private_key,
    is_asymmetric,
    is_signed_by,
    new_private_key,
    public_key,
    signature_by,
)

SECRET_PREFIX = "whsec_"  # noqa: S105 - the public prefix of every secret, itself none
SECRET_LEAST_BYTES = 24
SECRET_MOST_BYTES = 64
_NEW_SECRET_BYTES = 32
TOLERANCE_S = 300
_FAMILIES = ("webhook", "svix")
_SIGNATURES_LIMIT = 32
# Each pair of an ed25519 signature and a key reads the whole body again: so much may a stranger ask for, and no more.
_READ_LIMIT_BYTES = 8_388_608
_PAIRS_LEAST = 4

Scheme = Literal["v1", "v1a"]
"""`v1`: one secret, HMAC-SHA256, both sides hold it. `v1a`: ed25519, the receiver holds the public half only."""


def new_secret(noise: Callable[[int], bytes] = os.urandom, scheme: Scheme = "v1") -> str:
    """Give a new secret, `whsec_...` or `whsk_...`; `noise` gives that many random bytes."""
    return new_private_key(noise) if scheme == "v1a" else secret_text(noise(_NEW_SECRET_BYTES))


def scheme_of(secret: str) -> Scheme:
    """Give the version that a secret signs with, by its prefix."""
    return "v1a" if is_asymmetric(secret) else "v1"


def checked_secret(secret: str) -> str:
    """Give a secret back if it can sign.

    Raises:
        InvalidInputError: `input.secret`; the text never holds the secret.
    """
    if is_asymmetric(secret):
        return checked_private_key(secret)
    secret_key(secret)
    return secret


def verification_key(secret: str) -> str:
    """Give what a receiver needs to verify what this secret signs: a `whpk_...`, or the `whsec_...` itself."""
    return public_key(secret) if is_asymmetric(secret) else secret


def secret_text(key: bytes) -> str:
    """Give the form in which a secret is shown and kept, `whsec_...`.

    Raises:
        InvalidInputError: `input.secret`, when the key is not 24 to 64 bytes long.
    """
    if not SECRET_LEAST_BYTES <= len(key) <= SECRET_MOST_BYTES:
        raise _bad_secret()
    return SECRET_PREFIX + base64.b64encode(key).decode()


def secret_key(secret: str) -> bytes:
    """Give the signing key of a secret, with or without its prefix and its padding.

    Raises:
        InvalidInputError: `input.secret`; the text never holds the secret.
    """
    text = secret.removeprefix(SECRET_PREFIX)
    try:
        key = base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError):
        # Without the cause: it could quote the secret.
        raise _bad_secret() from None
    if not SECRET_LEAST_BYTES <= len(key) <= SECRET_MOST_BYTES:
        raise _bad_secret()
    return key


def sign(secrets: Sequence[str], *, message_id: str, timestamp_s: int, body: bytes) -> str:
    """Give the value of the signature header: one item for each secret, so that a receiver may hold any of them."""
    content = f"{message_id}.{timestamp_s}.".encode() + body
    return " ".join(_item(secret, content) for secret in secrets)


def signed_headers(secrets: Sequence[str], *, message_id: str, timestamp_s: int, body: bytes) -> dict[str, str]:
    """Give id, timestamp and signature under both names, `webhook-*` and `svix-*`; the body is signed once."""
    values = {
        "id": message_id,
        "timestamp": str(timestamp_s),
        "signature": sign(secrets, message_id=message_id, timestamp_s=timestamp_s, body=body),
    }
    return {f"{family}-{part}": value for family in _FAMILIES for part, value in values.items()}


def verify(secrets: Sequence[str], headers: Mapping[str, str], body: bytes, *, now: datetime) -> str:
    """Give the message's id when one of the secrets signed exactly this body, within five minutes of `now`.

    Args:
        secrets: Every `whsec_...` or `whpk_...` that is valid now; during a rotation the old and the new one.
        headers: Names in any case.
        body: The bytes as they came in, before any parsing.
        now: Aware.
    Raises:
        InvalidSignatureError: `auth.signature`, when a header is missing or no signature fits.
        StaleTimestampError: `auth.timestamp`.
    """
    message_id, timestamp, signatures = _signed_parts(headers)
    timestamp_s = _fresh_timestamp(timestamp, now)
    content = f"{message_id}.{timestamp_s}.".encode("utf-8", "surrogateescape") + body
    if not _fits(secrets, signatures, content):
        raise InvalidSignatureError(
            "No signature fits the body. Check the secret, and verify the bytes as they came in."
        )
    return message_id


def _signed_parts(headers: Mapping[str, str]) -> tuple[str, str, str]:
    lowered = {name.lower(): value for name, value in headers.items()}
    for family in _FAMILIES:
        parts = [lowered.get(f"{family}-{part}", "") for part in ("id", "timestamp", "signature")]
        if all(parts):
            return parts[0], parts[1], parts[2]
    raise InvalidSignatureError("The headers webhook-id, webhook-timestamp and webhook-signature must all be sent.")


def _fresh_timestamp(text: str, now: datetime) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 13):
        raise StaleTimestampError("The timestamp must be whole seconds since 1970.")
    timestamp_s = int(text)
    # The signed text holds the number as it was written: a leading zero would be another text.
    if str(timestamp_s) != text or abs(now.timestamp() - timestamp_s) > TOLERANCE_S:
        raise StaleTimestampError(f"The timestamp is more than {TOLERANCE_S} s from now. Check both clocks.")
    return timestamp_s


def _fits(secrets: Sequence[str], signatures: str, content: bytes) -> bool:
    """Tell whether one of the items was made by one of the secrets.

    Every pair is compared to its end, so that the time taken says nothing about which one was close.
    """
    expected = [_digest(secret_key(secret), content).encode() for secret in secrets if not is_asymmetric(secret)]
    public = [secret for secret in secrets if is_asymmetric(secret)]
    fits = [hmac.compare_digest(given, wanted) for given in _given(signatures, "v1") for wanted in expected]
    pairs = [(key, given) for given in _given(signatures, "v1a") for key in public]
    most = max(_PAIRS_LEAST, _READ_LIMIT_BYTES // len(content))
    fits += [is_signed_by(key, content, given) for key, given in pairs[:most]]
    return any(fits)


def _given(signatures: str, version: Scheme) -> list[bytes]:
    """Give the items of one version in a signature header; malformed items are passed over."""
    items = (item.partition(",") for item in signatures.split(" ")[:_SIGNATURES_LIMIT])
    return [value.encode("utf-8", "surrogateescape") for name, _, value in items if name == version]


def _item(secret: str, content: bytes) -> str:
    if is_asymmetric(secret):
        return f"v1a,{signature_by(secret, content)}"
    return f"v1,{_digest(secret_key(secret), content)}"


def _digest(key: bytes, content: bytes) -> str:
    return base64.b64encode(hmac.digest(key, content, "sha256")).decode()


def _bad_secret() -> InvalidInputError:
    return InvalidInputError(
        f"The secret must be whsec_ and the base64 of {SECRET_LEAST_BYTES} to {SECRET_MOST_BYTES} random bytes.",
        code="input.secret",
    )
