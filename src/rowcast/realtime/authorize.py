"""Who a token speaks for.

The texts are those of the stock server: clients and people recognise them.
"""

import hashlib
import json
import re
from collections import OrderedDict
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal

import jwt
import msgspec

from rowcast.core.codec import encode_json
from rowcast.core.errors import ConfigError
from rowcast.core.ids import TENANT_ID_PATTERN
from rowcast.realtime.key_set import PUBLIC_ALGORITHMS, SECRET_ALGORITHMS, FixedKeys, KeySource
from rowcast.realtime.tenancy import Tenancy, Visit, named_tenant

DEFAULT_TENANT = "default"
TOKEN_LIMIT_BYTES = 8192
SECRET_LEAST_BYTES = 32
SERVICE_ROLE = "service_role"
_LATEST_EXP = 10**12
_SKEW_S = 30
_KEPT_TOKENS = 1024
# What is signed with the same secret for another purpose is no key to ours. Source: RFC 8725, 3.11.
_KINDS = ("jwt", "at+jwt")
# Exactly three parts of unpadded base64url: what the library would also take is refused.
_SHAPE = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\Z")

_NOT_A_JWT = "The token provided is not a valid JWT"
_MISSING_FIELDS = "Fields `role` and `exp` are required in JWT"
_WRONG_SIGNATURE = "Failed to validate JWT signature"
_WRONG_EXPIRY = "Token expiration time is invalid"

_ONLY_SERVICES = "Only a service_role token may name a tenant"
_FOREIGN = "The token was issued for somebody else"
_OTHER_TENANT = "This token is for another tenant than the one that the connection names"

RefusalCode = Literal["expired", "missing_fields", "expiry", "malformed", "signature", "signer", "tenant", "foreign"]
_REASON_CODES: dict[RefusalCode, str] = {
    "expired": "InvalidJWTToken",
    "missing_fields": "InvalidJWTToken",
    "expiry": "InvalidJWTToken",
    "malformed": "MalformedJWT",
    "signature": "JwtSignatureError",
    "signer": "JwtSignerError",
    "tenant": "Unauthorized",
    "foreign": "InvalidJWTToken",
}
_UPGRADE_TEXTS: dict[RefusalCode, str] = {"expired": "Token has expired", "expiry": _NOT_A_JWT}


class Claims(msgspec.Struct, frozen=True):
    """What of a valid token matters here. `expires_at_s`: seconds since 1970; `document`: all of it, as JSON.

    `headers` are those of the socket whose names begin with `x-`, as JSON: policies may read them. `named_tenant` is
    what the connection says beside its token; it opens nothing private.
    """

    role: str
    expires_at_s: int
    tenant_id: str | None = None
    document: bytes = b"{}"
    headers: bytes = b"{}"
    named_tenant: str | None = None

    @property
    def public_tenant(self) -> str:
        """Give the tenant whose public topics it sees."""
        return self.tenant_id or self.named_tenant or DEFAULT_TENANT

    @property
    def is_guest(self) -> bool:
        """Tell whether it is somewhere only because the connection says so: what is private there stays closed."""
        return self.tenant_id is None and self.public_tenant != DEFAULT_TENANT

    @property
    def is_service(self) -> bool:
        """Tell whether it is the key of a server, not of a person."""
        return self.role == SERVICE_ROLE


class Refusal(msgspec.Struct, frozen=True):
    """Why a token is not taken, in the words of each place where that is said."""

    code: RefusalCode
    text: str

    @property
    def is_denial(self) -> bool:
        """Tell whether the token is good, but not for what was asked with it."""
        return self.code == "tenant"

    @property
    def reason(self) -> str:
        """Give the reason in the reply to a join."""
        return f"{_REASON_CODES[self.code]}: {self.text}"

    @property
    def upgrade_text(self) -> str:
        """Give the error of an upgrade that is refused."""
        return _UPGRADE_TEXTS.get(self.code, self.text)

    @property
    def system_text(self) -> str:
        """Give the `system` message that goes before the end of a channel."""
        return ":signature_error" if self.code == "signature" else self.text


class Expected(msgspec.Struct, frozen=True):
    """What tokens must say that a public key checks: its owner may sign for others too. Empty is anything."""

    issuer: str = ""
    audience: str = ""

    def fits(self, found: Mapping[str, Any]) -> bool:
        """Tell whether a token was issued by whom we trust, and for us."""
        given = found.get("aud")
        audiences = given if isinstance(given, list) else [given]
        return self.issuer in ("", found.get("iss")) and (not self.audience or self.audience in audiences)


class Authorizer:
    """Checks tokens against one secret, and against keys where there are some."""

    __slots__ = ("_expected", "_kept", "_kept_under", "_key", "_keys", "_tenant_path", "tenancy")

    def __init__(
        self,
        *,
        secret: str,
        tenant_claim: str = "tenant_id",
        tenancy: Tenancy | None = None,
        keys: KeySource | None = None,
        expected: Expected | None = None,
    ) -> None:
        """Take what checks tokens, and what says their tenants.

        Args:
            secret: For HMAC.
            tenant_claim: The claim that names the tenant; dots reach inside (`app_metadata.tenant_id`).
            tenancy: Who else may name it.
            keys: For everything but HMAC, and for what names one of its secrets.
            expected: What tokens of public keys must say.

        Raises:
            ConfigError: `config.jwt_secret`, when the secret is shorter than 32 bytes.
        """
        self._key = _checked_secret(secret)
        self._tenant_path = (tenant_claim,) if "." not in tenant_claim else (tenant_claim, *tenant_claim.split("."))
        self.tenancy = tenancy or Tenancy()
        self._keys: KeySource = keys or FixedKeys()
        self._expected = expected or Expected()
        self._kept_under = self._keys.current
        self._kept: OrderedDict[str, Claims] = OrderedDict()

    def check(self, token: str, *, now: datetime) -> Claims | Refusal:
        """Give the claims of a token, or why it is refused."""
        if self._keys.current is not self._kept_under:
            # A key that was withdrawn must not live on in what it has signed.
            self._kept.clear()
            self._kept_under = self._keys.current
        kept = self._kept.get(token)
        claims = kept or self._read(token, now.timestamp())
        if isinstance(claims, Refusal):
            return claims
        if claims.expires_at_s <= now.timestamp():
            return expired(claims, now=now)
        if kept is None:
            self._keep(token, claims)
        return claims

    def admit(self, token: str, visit: Visit, *, now: datetime) -> Claims | Refusal:
        """Give the claims with which a connection or a request speaks, at the tenant that it names.

        Raises:
            InvalidInputError: `input.tenant`, when what it names is no tenant; said only to whoever has a valid token.
        """
        found = self.check(token, now=now)
        if isinstance(found, Refusal):
            return found
        named = named_tenant(self.tenancy, visit)
        if named is None and not self.tenancy.has_claim and not visit.parameter:
            named = DEFAULT_TENANT
        placed = placed_at(found, named)
        return placed if isinstance(placed, Refusal) else _named_by_parameter(placed, visit.parameter)

    def seal(self, text: str) -> str:
        """Give a short proof that a text comes from whoever has the secret; no token, and no use as one."""
        return hashlib.blake2b(text.encode(), key=self._key[:64], person=b"rowcast.seal", digest_size=12).hexdigest()

    def _keep(self, token: str, claims: Claims) -> None:
        """Remember a token: thousands of sockets bring the same anonymous one. Its expiry is looked at each time."""
        self._kept[token] = claims
        if len(self._kept) > _KEPT_TOKENS:
            self._kept.popitem(last=False)

    def _read(self, token: str, now_s: float) -> Claims | Refusal:
        if len(token) > TOKEN_LIMIT_BYTES or not _SHAPE.match(token):
            return _malformed()
        header = _unverified_header(token)
        if header is None or str(header.get("typ", "jwt")).lower() not in _KINDS:
            return _malformed()
        algorithm, key = header.get("alg"), self._key_for(header)
        if key is None or not isinstance(algorithm, str):
            return _no_signer(header.get("kid"))
        try:
            payload = jwt.api_jws.PyJWS(algorithms=[algorithm]).decode(token, key, algorithms=[algorithm])
        except jwt.InvalidSignatureError:
            return Refusal("signature", _WRONG_SIGNATURE)
        except (jwt.PyJWTError, ValueError, RecursionError):
            return _malformed()
        document = _strict_object(payload)
        if document is not None and algorithm in PUBLIC_ALGORITHMS and not self._expected.fits(document):
            return Refusal("foreign", _FOREIGN)
        found = self._claims(document, now_s)
        return found if isinstance(found, Refusal) else msgspec.structs.replace(found, document=payload)

    def _key_for(self, header: Mapping[str, Any]) -> Any:
        """Give what checks a token, by its algorithm and the name of its key; the rest is not looked at."""
        algorithm, kid = header.get("alg"), header.get("kid")
        if not isinstance(algorithm, str) or not isinstance(kid, str | None):
            return None
        if algorithm in SECRET_ALGORITHMS:
            own = self._keys.current.find(algorithm, kid) if kid is not None else None
            return self._key if own is None else own.material
        if algorithm not in PUBLIC_ALGORITHMS:
            return None
        found = self._keys.current.find(algorithm, kid)
        if found is None and kid is not None:
            self._keys.miss()
        return None if found is None else found.material

    def _claims(self, found: dict[str, Any] | None, now_s: float) -> Claims | Refusal:
        if found is None or not _are_times_right(found, now_s):
            return _malformed()
        role, expires_at_s = found.get("role"), found.get("exp")
        if not isinstance(role, str) or not role or expires_at_s is None:
            return Refusal("missing_fields", _MISSING_FIELDS)
        if type(expires_at_s) is not int or not 0 < expires_at_s < _LATEST_EXP:
            return Refusal("expiry", _WRONG_EXPIRY)
        named = _look_up(found, self._tenant_path)
        if named is None:
            return Claims(role, expires_at_s)
        tenant_id = str(named) if isinstance(named, str) or type(named) is int else ""
        return Claims(role, expires_at_s, tenant_id) if TENANT_ID_PATTERN.match(tenant_id) else _malformed()


def sign_token(claims: Mapping[str, object], secret: str) -> str:
    """Give an HS256 token for `claims`; the stock server and ours want `role` and an integer `exp` in them.

    Raises:
        ConfigError: `config.jwt_secret`, when the secret is shorter than 32 bytes.
    """
    return jwt.api_jws.encode(encode_json(dict(claims)), _checked_secret(secret), algorithm="HS256")


class _Subject(msgspec.Struct):
    sub: str | None = None


def subject_of(claims: Claims) -> str | None:
    """Give the person whom a token names; None for a key that many share."""
    try:
        return msgspec.json.decode(claims.document, type=_Subject).sub or None
    except msgspec.MsgspecError:
        return None


def placed_at(claims: Claims, named: str | None) -> Claims | Refusal:
    """Give the claims at the tenant that a connection names: a service speaks for it, others only visit it."""
    if named is None:
        return claims
    if claims.tenant_id is not None:
        is_own = claims.tenant_id == named
        return msgspec.structs.replace(claims, named_tenant=named) if is_own else Refusal("tenant", _OTHER_TENANT)
    return msgspec.structs.replace(claims, named_tenant=named, tenant_id=named if claims.is_service else None)


def _named_by_parameter(claims: Claims, named: str) -> Claims | Refusal:
    """Give the claims with the tenant that a parameter names: the right of a service that is bound to none."""
    if not named or named == claims.tenant_id:
        return claims
    if claims.tenant_id is not None or not claims.is_service or not TENANT_ID_PATTERN.match(named):
        return Refusal("tenant", _ONLY_SERVICES)
    return msgspec.structs.replace(claims, tenant_id=named)


def expired(claims: Claims, *, now: datetime) -> Refusal:
    """Give the refusal of a token that was valid once."""
    ago_s = max(0, int(now.timestamp()) - claims.expires_at_s)
    return Refusal("expired", f"Token has expired {ago_s} seconds ago")


def _checked_secret(secret: str) -> bytes:
    key = secret.encode()
    if len(key) < SECRET_LEAST_BYTES:
        raise ConfigError(
            f"The JWT secret has {len(key)} bytes; {SECRET_LEAST_BYTES} or more are needed. Set auth.jwt_secret.",
            code="config.jwt_secret",
        )
    return key


def _malformed() -> Refusal:
    return Refusal("malformed", _NOT_A_JWT)


def _no_signer(kid: object) -> Refusal:
    named = f' for key ID (kid) "{kid[:64]}"' if isinstance(kid, str) else ""
    text = f"Failed to generate JWT signer{named}, check your JWT secret or JWKS configuration"
    return Refusal("signer", text)


def _unverified_header(token: str) -> dict[str, Any] | None:
    try:
        return _strict_object(jwt.utils.base64url_decode(token.partition(".")[0]))
    except ValueError:
        return None


class _DuplicateKeyError(ValueError):
    pass


def _strict_object(text: bytes) -> dict[str, Any] | None:
    """Give a JSON object in which no key stands twice: with two roles in it, whose role would it be?"""
    try:
        found = json.loads(text.decode(), object_pairs_hook=_unique, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise _DuplicateKeyError
    return found


def _no_constant(name: str) -> Any:
    raise ValueError(name)


def _are_times_right(found: Mapping[str, Any], now_s: float) -> bool:
    """`iat` and `nbf` are numbers where they are there, and not in the future; clocks may differ by 30 s."""
    for name in ("iat", "nbf"):
        value = found.get(name)
        if value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, (int, float)) or value > now_s + _SKEW_S:
            return False
    return True


def _look_up(found: Mapping[str, Any], path: tuple[str, ...]) -> object:
    """Give a claim by its whole name, as the tokens of some issuers carry dots in a name, or by its path."""
    whole, *words = path
    if whole in found or not words:
        return found.get(whole)
    value: object = found
    for word in words:
        if not isinstance(value, dict):
            return None
        value = value.get(word)
    return value
