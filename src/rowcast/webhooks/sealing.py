"""Sealing: what is secret lies in the database encrypted (AES-256-GCM), each value naming the key that opens it. Pure.

A sealed value is a version byte, the length of the key's name, the name, a nonce of 12 bytes, and the ciphertext with
its tag. Version 0 is a value as it is: what was kept before there was a key.
"""

import base64
import binascii
import re
from collections.abc import Callable, Sequence
from typing import Literal

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from rowcast.core.errors import ConfigError, StoreError

KEY_BYTES = 32
_NONCE_BYTES = 12
_TAG_BYTES = 16
_OPEN = 0
_SEALED = 1
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}")

Place = Literal[
    "endpoint_secret", "endpoint_headers", "endpoint_authentication", "idempotent_answer", "incoming_source"
]
"""What is sealed. `rowcast secrets rotate` seals all of it anew: a new place is added to `resealing.py` too."""


class SealKey(msgspec.Struct, frozen=True):
    """One key of a ring: its name, which every value tells, and its 32 bytes, which its text form hides."""

    name: str
    key: bytes

    def __repr__(self) -> str:
        """Give the name only."""
        return f"SealKey({self.name!r})"


class KeyRing:
    """Seals with its first key and opens with each of them. A ring without keys keeps values as they are."""

    __slots__ = ("_ciphers", "_first", "_noise")

    def __init__(self, keys: Sequence[SealKey] = (), *, noise: Callable[[int], bytes]) -> None:
        """Hold these keys; `noise` gives that many random bytes, and never the same twice.

        Raises:
            ConfigError: `config.seal_keys`, when two keys have one name.
        """
        self._ciphers = {key.name: AESGCM(key.key) for key in keys}
        self._first = keys[0].name if keys else None
        self._noise = noise
        if len(self._ciphers) != len(keys):
            raise ConfigError("Two keys in secrets.keys have the same name. Rename the newer.", code="config.seal_keys")

    @property
    def first_name(self) -> str | None:
        """Give the name of the key that seals, or None where nothing is sealed."""
        return self._first

    @property
    def names(self) -> tuple[str, ...]:
        """Give the names of all keys, the one that seals first."""
        return tuple(self._ciphers)

    def seal(self, data: bytes, *, context: str) -> bytes:
        """Give the sealed form of `data`, which opens only with the same `context`: where it lies (`endpoint ep_x`)."""
        if self._first is None:
            return bytes((_OPEN,)) + data
        head = sealed_head(self._first)
        nonce = self._noise(_NONCE_BYTES)
        return head + nonce + self._ciphers[self._first].encrypt(nonce, data, _bound(head, context))

    def open(self, sealed: bytes, *, context: str) -> bytes:
        """Give back what was sealed with this context.

        Raises:
            ConfigError: `config.seal_key`, when its key is not in this ring; the value is untouched.
            StoreError: `store.sealed`, when the value was changed, cut, or moved from where it was sealed.
        """
        if sealed[:1] == bytes((_OPEN,)):
            return sealed[1:]
        name = key_name(sealed)
        cipher = self._ciphers.get(name or "")
        if cipher is None:
            raise _no_key(name)
        head = sealed_head(name or "")
        nonce, body = sealed[len(head) : len(head) + _NONCE_BYTES], sealed[len(head) + _NONCE_BYTES :]
        try:
            return cipher.decrypt(nonce, body, _bound(head, context))
        except InvalidTag:
            raise _damaged() from None


def seal_context(place: Place, id: str) -> str:  # noqa: A002 - the id of the endpoint, the name of the source
    """Give where a value lies, so that no row or column can lend its value to another."""
    return f"{place} {id}"


def sealed_head(name: str) -> bytes:
    """Give the bytes with which everything begins that a key of this name has sealed."""
    return bytes((_SEALED, len(name))) + name.encode("ascii")


def key_name(sealed: bytes) -> str | None:
    """Give the name of the key that opens a value, or None where it is not sealed.

    Raises:
        StoreError: `store.sealed`, when it is no value of ours.
    """
    if sealed[:1] == bytes((_OPEN,)):
        return None
    if len(sealed) < 2 or sealed[0] != _SEALED or len(sealed) < 2 + sealed[1] + _NONCE_BYTES + _TAG_BYTES:
        raise _damaged()
    name = sealed[2 : 2 + sealed[1]].decode("ascii", "replace")
    if not _NAME.fullmatch(name):
        raise _damaged()
    return name


def parse_key(text: str) -> SealKey:
    """Give a key from its written form, `name:base64 of 32 bytes`.

    Raises:
        ConfigError: `config.seal_keys`; the text never holds the key.
    """
    name, _, written = text.strip().partition(":")
    try:
        key = base64.b64decode(written + "=" * (-len(written) % 4), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not _NAME.fullmatch(name) or len(key) != KEY_BYTES:
        raise ConfigError(
            "A key in secrets.keys must be a name (a-z, 0-9, - and _, at most 32), a colon and the base64 of 32 bytes. "
            "'rowcast secrets new-key' prints one.",
            code="config.seal_keys",
        )
    return SealKey(name, key)


def written_key(key: SealKey) -> str:
    """Give the written form of a key, as a setting holds it."""
    return f"{key.name}:{base64.b64encode(key.key).decode()}"


def _bound(head: bytes, context: str) -> bytes:
    """What is authenticated beside the data: the version and the key's name too, so that neither can be exchanged."""
    return head + context.encode()


def _no_key(name: str | None) -> ConfigError:
    return ConfigError(
        f"A value in the database was sealed by the key {name!r}, which is not in secrets.keys. Nothing is lost: add "
        "the key again. Before a key is taken away, 'rowcast secrets rotate' must have ended.",
        code="config.seal_key",
    )


def _damaged() -> StoreError:
    return StoreError(
        "A sealed value cannot be opened: it was changed, cut, or copied from another row. Restore it from a backup, "
        "or set the secret anew.",
        code="store.sealed",
    )
