"""Standard Webhooks keys of version 1a (ed25519): the sender signs, and receivers hold nothing that could sign. Pure.

`whsk_` and base64 of 64 bytes, the private key and then the public one; `whpk_` and base64 of the public 32.
Source: the Standard Webhooks specification.
"""

import base64
import binascii
import os
from collections.abc import Callable

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from rowcast.core.errors import InvalidInputError

PRIVATE_PREFIX = "whsk_"
PUBLIC_PREFIX = "whpk_"
_HALF_BYTES = 32


def new_private_key(noise: Callable[[int], bytes] = os.urandom) -> str:
    """Give a new `whsk_...`; `noise` gives that many random bytes."""
    private = noise(_HALF_BYTES)
    return PRIVATE_PREFIX + base64.b64encode(private + _public_half(private)).decode()


def checked_private_key(secret: str) -> str:
    """Give a `whsk_...` back if it is whole and its two halves belong together.

    Raises:
        InvalidInputError: `input.secret`; the text never holds the key.
    """
    halves = _bytes_of(secret, PRIVATE_PREFIX, 2 * _HALF_BYTES)
    if _public_half(halves[:_HALF_BYTES]) != halves[_HALF_BYTES:]:
        raise _bad_key()
    return secret


def public_key(secret: str) -> str:
    """Give the `whpk_...` with which receivers verify what a `whsk_...` signs.

    Raises:
        InvalidInputError: `input.secret`.
    """
    halves = _bytes_of(secret, PRIVATE_PREFIX, 2 * _HALF_BYTES)
    return PUBLIC_PREFIX + base64.b64encode(halves[_HALF_BYTES:]).decode()


def signature_by(secret: str, content: bytes) -> str:
    """Give the base64 of what a `whsk_...` signs `content` with.

    Raises:
        InvalidInputError: `input.secret`.
    """
    private = _bytes_of(secret, PRIVATE_PREFIX, 2 * _HALF_BYTES)[:_HALF_BYTES]
    return base64.b64encode(Ed25519PrivateKey.from_private_bytes(private).sign(content)).decode()


def is_signed_by(key: str, content: bytes, given: bytes) -> bool:
    """Tell whether `given`, a signature in base64, was made with the private half of `key` over `content`.

    Args:
        key: `whpk_...`, or the `whsk_...` itself.
        content: The signed bytes.
        given: As it came in: anything.
    Raises:
        InvalidInputError: `input.secret`, when it is the key that cannot be used.
    """
    public = _bytes_of(public_key(key) if key.startswith(PRIVATE_PREFIX) else key, PUBLIC_PREFIX, _HALF_BYTES)
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(base64.b64decode(given, validate=True), content)
    except (InvalidSignature, binascii.Error, ValueError):
        return False
    return True


def is_asymmetric(secret: str) -> bool:
    """Tell whether a key is one of version 1a, by its prefix."""
    return secret.startswith((PRIVATE_PREFIX, PUBLIC_PREFIX))


def _public_half(private: bytes) -> bytes:
    return Ed25519PrivateKey.from_private_bytes(private).public_key().public_bytes_raw()


def _bytes_of(key: str, prefix: str, size: int) -> bytes:
    text = key.removeprefix(prefix)
    try:
        found = base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError):
        # Without the cause: it could quote the key.
        raise _bad_key() from None
    if not key.startswith(prefix) or len(found) != size:
        raise _bad_key()
    return found


def _bad_key() -> InvalidInputError:
    return InvalidInputError(
        "An ed25519 key must be whsk_ and the base64 of 32 private and their 32 public bytes, or whpk_ and that of the "
        "public ones.",
        code="input.secret",
    )
