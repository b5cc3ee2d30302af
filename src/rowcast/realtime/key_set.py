"""Keys that check tokens, from a JSON Web Key Set (RFC 7517): each is bound to the algorithms that it may check. Pure.

Bound to the key and not believed from the token: a public key is no secret, so it must never check an HMAC.
"""

from collections.abc import Callable, Mapping
from typing import Any, Protocol

import msgspec
from jwt.algorithms import ECAlgorithm, HMACAlgorithm, OKPAlgorithm, RSAAlgorithm

from rowcast.core.errors import ConfigError

SECRET_ALGORITHMS = frozenset({"HS256", "HS384", "HS512"})
_RSA = frozenset({"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"})
_CURVES = {
    ("EC", "P-256"): frozenset({"ES256"}),
    ("EC", "P-384"): frozenset({"ES384"}),
    ("EC", "P-521"): frozenset({"ES512"}),
    ("OKP", "Ed25519"): frozenset({"EdDSA"}),
    ("OKP", "Ed448"): frozenset({"EdDSA"}),
}
PUBLIC_ALGORITHMS = _RSA.union(*_CURVES.values())
_MEMBERS = {"RSA": ("n", "e"), "EC": ("crv", "x", "y"), "OKP": ("crv", "x"), "oct": ("k",)}
_READERS: Mapping[str, Callable[[Any], Any]] = {
    "RSA": RSAAlgorithm.from_jwk,
    "EC": ECAlgorithm.from_jwk,
    "OKP": OKPAlgorithm.from_jwk,
    "oct": HMACAlgorithm.from_jwk,
}
_KEYS_LIMIT = 100
_RSA_LEAST_BITS, _RSA_MOST_BITS = 2048, 8192
_SECRET_LEAST_BYTES = 32


class Key(msgspec.Struct, frozen=True):
    """A key of the library's, and what it may check."""

    kid: str | None
    algorithms: frozenset[str]
    material: Any


class KeySet(msgspec.Struct, frozen=True):
    """The keys of a document that can be used."""

    keys: tuple[Key, ...] = ()

    def find(self, algorithm: str, kid: str | None) -> Key | None:
        """Give the one key that checks a token: the one it names, or without a name the only one there is."""
        if kid is None:
            fits = [key for key in self.keys if len(self.keys) == 1 and algorithm in key.algorithms]
        else:
            fits = [key for key in self.keys if key.kid == kid and algorithm in key.algorithms]
        return fits[0] if len(fits) == 1 else None


class KeySource(Protocol):
    """Knows the keys of now."""

    @property
    def current(self) -> KeySet:
        """Give them; another value when they have changed."""
        ...

    def miss(self) -> None:
        """Hear that a token names a key that is not there."""
        ...


class FixedKeys:
    """Keys that stay as long as the process."""

    __slots__ = ("current",)

    def __init__(self, current: KeySet | None = None) -> None:
        """Keep them; without any, only secrets check tokens."""
        self.current = current or KeySet()

    def miss(self) -> None:
        """There is nowhere to look for more."""


class _Document(msgspec.Struct):
    keys: list[dict[str, Any]]


def read_key_set(document: bytes, *, takes_secrets: bool) -> KeySet:
    """Give the keys of a document; those for other purposes, of other kinds, or too weak are left out.

    Args:
        document: JSON text.
        takes_secrets: Take keys of the kind `oct`; what lies at a URL is public, and a secret there is none.
    Raises:
        ConfigError: `config.jwks`, when it is no key set, or has no key that can be used.
    """
    try:
        found = msgspec.json.decode(document, type=_Document).keys
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise _refusal('it must be {"keys": [...]}') from None
    if len(found) > _KEYS_LIMIT:
        raise _refusal(f"it has over {_KEYS_LIMIT} keys")
    kinds = _MEMBERS.keys() if takes_secrets else _MEMBERS.keys() - {"oct"}
    keys = tuple(key for each in found if _kind(each) in kinds and (key := _key(each)) is not None)
    if not keys:
        raise _refusal("no key in it can check a token")
    return KeySet(keys)


def _kind(given: Mapping[str, Any]) -> str:
    found = given.get("kty")
    return found if isinstance(found, str) else ""


def _key(given: Mapping[str, Any]) -> Key | None:
    algorithms, kid = _algorithms(given), given.get("kid")
    if not algorithms or not _is_for_checking(given) or not isinstance(kid, str | None):
        return None
    kind = given["kty"]
    try:
        # Only what is public of it: a document with private members is somebody's mistake, and none to build upon.
        material = _READERS[kind]({"kty": kind, **{name: given[name] for name in _MEMBERS[kind]}})
    except Exception:  # noqa: BLE001 - a key that the library cannot read is one less, and not the end of the server
        return None
    return Key(kid, algorithms, material) if _is_strong(kind, material) else None


def _algorithms(given: Mapping[str, Any]) -> frozenset[str]:
    kind, curve, named = given["kty"], given.get("crv"), given.get("alg")
    own = {"RSA": _RSA, "oct": SECRET_ALGORITHMS}.get(kind)
    if own is None:
        own = _CURVES.get((kind, curve), frozenset()) if isinstance(curve, str) else frozenset()
    if named is None:
        return own
    return own & {named} if isinstance(named, str) else frozenset()


def _is_for_checking(given: Mapping[str, Any]) -> bool:
    uses = given.get("key_ops")
    return given.get("use", "sig") == "sig" and (uses is None or (isinstance(uses, list) and "verify" in uses))


def _is_strong(kind: str, material: Any) -> bool:
    if kind == "RSA":
        return bool(_RSA_LEAST_BITS <= material.key_size <= _RSA_MOST_BITS)
    return kind != "oct" or len(material) >= _SECRET_LEAST_BYTES


def _refusal(problem: str) -> ConfigError:
    return ConfigError(f"The key set of auth.jwks cannot be used: {problem}.", code="config.jwks")


_CONTRACT: type[KeySource] = FixedKeys
