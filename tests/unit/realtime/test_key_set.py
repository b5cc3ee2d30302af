"""Keys that check tokens: which are taken, what each may check, and every way to make one check what it must not."""

import base64
import hashlib
import hmac
import json
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given, settings
from hypothesis import strategies as st

from rowcast.core.errors import ConfigError
from rowcast.realtime.authorize import Authorizer, Claims, Expected, Refusal
from rowcast.realtime.key_set import FixedKeys, KeySet, read_key_set
from rowcast.testing.fake_clock import FakeClock
from tests.unit.realtime.signing import LATER, jwk, key_set, part, signed, signer

SECRET = "a secret for tests that has more than 32 bytes"
OTHER_SECRET = "another secret, which is 32 bytes long"
NOW = FakeClock().now()
OCT = {"kty": "oct", "kid": "oct", "k": base64.urlsafe_b64encode(OTHER_SECRET.encode()).rstrip(b"=").decode()}
SIGNATURE = "JwtSignatureError: Failed to validate JWT signature"


def check(token: str, *keys: dict[str, Any], takes_secrets: bool = True) -> Claims | Refusal:
    found = read_key_set(key_set(*keys), takes_secrets=takes_secrets)
    return Authorizer(secret=SECRET, keys=FixedKeys(found)).check(token, now=NOW)


def reason(found: Claims | Refusal) -> str:
    assert isinstance(found, Refusal), found
    return found.reason


def no_signer(kid: str | None = None) -> str:
    named = f' for key ID (kid) "{kid}"' if kid is not None else ""
    return f"JwtSignerError: Failed to generate JWT signer{named}, check your JWT secret or JWKS configuration"


def hmac_token(header: dict[str, object], key: bytes) -> str:
    body = f"{part(header)}.{part({'role': 'service_role', 'exp': LATER})}"
    code = hmac.new(key, body.encode(), hashlib.sha256).digest()
    return f"{body}.{base64.urlsafe_b64encode(code).rstrip(b'=').decode()}"


@pytest.mark.parametrize(
    ("name", "algorithm"),
    [
        ("rsa", "RS256"), ("rsa", "RS384"), ("rsa", "RS512"), ("rsa", "PS256"), ("rsa", "PS384"), ("rsa", "PS512"),
        ("P-256", "ES256"), ("P-384", "ES384"), ("P-521", "ES512"), ("Ed25519", "EdDSA"), ("Ed448", "EdDSA"),
    ],
)  # fmt: skip
def test_each_kind_of_key_checks_its_algorithms(name: str, algorithm: str) -> None:
    token = signed(name, algorithm, tenant_id="acme")
    found = check(token, jwk("rsa-other"), jwk(name))
    broken = check(token[:-8] + "AAAAAAAA", jwk(name))

    assert isinstance(found, Claims)
    assert (found.role, found.tenant_id, json.loads(found.document)["sub"]) == ("authenticated", "acme", "ann")
    assert reason(broken) == SIGNATURE


def test_a_key_set_takes_nothing_from_the_secret() -> None:
    assert isinstance(check(hmac_token({"alg": "HS256"}, SECRET.encode()), jwk("rsa")), Claims)
    assert isinstance(check(hmac_token({"alg": "HS256", "kid": "unknown"}, SECRET.encode()), jwk("rsa")), Claims)


def public_forms() -> list[bytes]:
    """Give what an attacker can know of a public key."""
    public = signer("rsa").public_key()
    pem = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return [
        pem, pem.strip(), public.public_bytes(Encoding.PEM, PublicFormat.PKCS1),
        public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo), json.dumps(jwk("rsa")).encode(),
        jwk("rsa")["n"].encode(), base64.urlsafe_b64decode(jwk("rsa")["n"] + "=="), b"",
    ]  # fmt: skip


@pytest.mark.parametrize("header", [{"alg": "HS256"}, {"alg": "HS256", "kid": "rsa"}])
@pytest.mark.parametrize("key", public_forms())
def test_a_public_key_is_no_secret(header: dict[str, object], key: bytes) -> None:
    assert reason(check(hmac_token(header, key), jwk("rsa"), OCT)) == SIGNATURE


@pytest.mark.parametrize(
    "algorithm", ["none", "None", "NONE", "nOnE", "", "rs256", "RS1", "ES256K", "HS1", None, 7, ["RS256"]]
)
def test_an_algorithm_that_is_none_checks_nothing(algorithm: object) -> None:
    for signature in ("", "AA"):
        token = f"{part({'alg': algorithm, 'kid': 'rsa'})}.{part({'role': 'service_role', 'exp': LATER})}.{signature}"
        assert reason(check(token, jwk("rsa"))) in (
            no_signer("rsa"),
            "MalformedJWT: The token provided is not a valid JWT",
        )


@pytest.mark.parametrize(
    ("name", "algorithm", "kid"),
    [("rsa", "RS256", "P-256"), ("P-256", "ES256", "rsa"), ("Ed25519", "EdDSA", "rsa"), ("P-384", "ES384", "P-256")],
)
def test_a_key_of_another_kind_is_not_asked(name: str, algorithm: str, kid: str) -> None:
    token = signed(name, algorithm, header={"kid": kid})

    assert reason(check(token, jwk("rsa"), jwk("P-256"))) == no_signer(kid)


def test_a_key_that_is_for_one_algorithm_checks_no_other() -> None:
    only = jwk("rsa", alg="PS256")

    assert isinstance(check(signed("rsa", "PS256"), only), Claims)
    assert reason(check(signed("rsa", "RS256"), only)) == no_signer("rsa")


def test_another_key_under_the_same_name_is_refused() -> None:
    assert reason(check(signed("rsa-other", "RS256", header={"kid": "rsa"}), jwk("rsa"))) == SIGNATURE


def test_a_name_that_two_keys_have_names_none() -> None:
    token = signed("rsa", "RS256")

    assert reason(check(token, jwk("rsa"), jwk("rsa-other", kid="rsa"))) == no_signer("rsa")
    assert isinstance(check(token, jwk("rsa"), jwk("P-256", kid="rsa")), Claims)


def test_without_a_name_only_the_one_key_there_is_may_be_meant() -> None:
    token = signed("rsa", "RS256", header={})

    assert isinstance(check(token, jwk("rsa")), Claims)
    assert reason(check(token, jwk("rsa"), jwk("P-256"))) == no_signer()
    assert reason(check(token, jwk("rsa"), jwk("rsa-other"))) == no_signer()


@pytest.mark.parametrize(
    "kid", ["", "RSA", "rsa\r\nx: y", "../../etc/passwd", "' or 1=1 --", "rsa\x00", "*", "a" * 5000]
)
def test_a_name_is_compared_and_nothing_else_is_done_with_it(kid: str) -> None:
    found = reason(check(signed("rsa", "RS256", header={"kid": kid}), jwk("rsa")))

    assert found == no_signer(kid[:64])


@pytest.mark.parametrize("kid", [7, [], {}, True])
def test_a_name_that_is_no_text_is_refused(kid: object) -> None:
    token = f"{part({'alg': 'RS256', 'kid': kid})}.{signed('rsa', 'RS256').partition('.')[2]}"

    assert reason(check(token, jwk("rsa"))) == no_signer()


def test_keys_that_a_token_brings_along_are_not_looked_at() -> None:
    theirs: dict[str, object] = {
        "kid": "rsa", "jku": "http://127.0.0.1:1/", "x5u": "http://127.0.0.1:1/", "jwk": jwk("rsa-other"), "x5c": ["AA=="],
    }  # fmt: skip

    assert reason(check(signed("rsa-other", "RS256", header=theirs), jwk("rsa"))) == SIGNATURE
    assert isinstance(check(signed("rsa", "RS256", header=theirs), jwk("rsa")), Claims)


def test_a_signature_over_something_else_is_refused() -> None:
    head, _, signature = signed("rsa", "RS256").split(".")
    raised = part({"role": "service_role", "exp": LATER})

    assert reason(check(f"{head}.{raised}.{signature}", jwk("rsa"))) == SIGNATURE
    # The integers of an ECDSA signature that is all zeros verify against everything in libraries that do not look.
    for empty in ("AA" * 43, base64.urlsafe_b64encode(bytes(64)).rstrip(b"=").decode()):
        forged = f"{part({'alg': 'ES256', 'kid': 'P-256'})}.{raised}.{empty}"
        assert reason(check(forged, jwk("P-256"))) == SIGNATURE


@pytest.mark.parametrize(
    ("claims", "is_ours"),
    [
        ({"iss": "https://id.example.com/", "aud": "shop"}, True),
        ({"iss": "https://id.example.com/", "aud": ["other", "shop"]}, True),
        ({"iss": "https://id.example.com/", "aud": ["other"]}, False),
        ({"iss": "https://id.example.com/", "aud": "shops"}, False),
        ({"iss": "https://id.example.com/", "aud": {"shop": 1}}, False),
        ({"iss": "https://id.example.com/"}, False),
        ({"iss": "https://id.example.com", "aud": "shop"}, False),
        ({"aud": "shop"}, False),
        ({}, False),
    ],
)
def test_an_issuer_that_signs_for_others_too_signs_for_us_only_what_says_so(
    claims: dict[str, object], is_ours: bool
) -> None:
    keys = FixedKeys(read_key_set(key_set(jwk("P-256")), takes_secrets=False))
    expected = Expected("https://id.example.com/", "shop")
    authorizer = Authorizer(secret=SECRET, keys=keys, expected=expected)
    found = authorizer.check(signed("P-256", "ES256", **claims), now=NOW)

    assert isinstance(found, Claims) is is_ours
    assert is_ours or reason(found) == "InvalidJWTToken: The token was issued for somebody else"
    assert isinstance(authorizer.check(hmac_token({"alg": "HS256"}, SECRET.encode()), now=NOW), Claims)


def test_secrets_of_a_key_set_count_where_nobody_else_can_read_it() -> None:
    token = hmac_token({"alg": "HS256", "kid": "oct"}, OTHER_SECRET.encode())

    assert isinstance(check(token, OCT, jwk("rsa")), Claims)
    assert reason(check(token, OCT, jwk("rsa"), takes_secrets=False)) == SIGNATURE
    assert reason(check(hmac_token({"alg": "HS256"}, OTHER_SECRET.encode()), OCT, jwk("rsa"))) == SIGNATURE


GOOD = jwk("rsa")


@pytest.mark.parametrize(
    "key",
    [
        {}, {"kty": "RSA"}, {**GOOD, "kty": "EC"}, {**GOOD, "kty": 7}, {**GOOD, "kty": None}, {**GOOD, "use": "enc"},
        {**GOOD, "use": None}, {**GOOD, "key_ops": ["sign"]}, {**GOOD, "key_ops": "verify"}, {**GOOD, "kid": 7},
        {**GOOD, "alg": "HS256"}, {**GOOD, "alg": "none"}, {**GOOD, "alg": ["RS256"]}, {**GOOD, "n": 7},
        {**GOOD, "n": ""}, {**GOOD, "n": "!!"}, {**GOOD, "e": "AA"}, {**GOOD, "e": "Ag"}, {**GOOD, "n": "A" * 60_000},
        jwk("rsa-small"), {**jwk("P-256"), "crv": "P-384"}, {**jwk("P-256"), "crv": "secp256k1"},
        {**jwk("P-256"), "crv": ["P-256"]}, {**jwk("P-256"), "x": jwk("P-256")["y"]}, {**jwk("Ed25519"), "x": "AA"},
        {**jwk("Ed25519"), "crv": "X25519"}, {**OCT, "k": "c2hvcnQ"}, {**OCT, "k": 7}, {**OCT, "alg": "RS256"},
    ],
)  # fmt: skip
def test_keys_that_cannot_or_must_not_check_are_left_out(key: dict[str, Any]) -> None:
    found = read_key_set(key_set(key, jwk("P-384")), takes_secrets=True)

    assert [each.kid for each in found.keys] == ["P-384"]
    with pytest.raises(ConfigError, match="no key"):
        read_key_set(key_set(key), takes_secrets=True)


def test_of_a_private_key_only_the_public_part_is_taken() -> None:
    private = jwk("Ed25519", d="AAAA")

    assert isinstance(check(signed("Ed25519", "EdDSA"), private), Claims)


@pytest.mark.parametrize(
    "document",
    [b"", b"{}", b"[]", b"7", b"\xff", b'{"keys":{}}', b'{"keys":[7]}', b'{"keys":null}', b"[" * 9000, b'{"keys":[]}',
     key_set(*[GOOD] * 101), b"<html>"],
)  # fmt: skip
def test_what_is_no_key_set_is_refused(document: bytes) -> None:
    with pytest.raises(ConfigError) as refused:
        read_key_set(document, takes_secrets=True)
    assert refused.value.code == "config.jwks"


NAMES = st.sampled_from([*GOOD, "crv", "x", "y", "k", "alg", "use", "key_ops"])
VALUES = st.sampled_from(
    [None, True, 0, -1, 1e9, "", "RSA", "EC", "OKP", "oct", "P-256", "AQAB", "sig", "é", [], ["verify"], {}]
)


@settings(deadline=None)
@given(st.lists(st.dictionaries(NAMES, VALUES, max_size=6), max_size=3))
def test_whatever_a_document_holds_it_is_read_or_refused(keys: list[dict[str, Any]]) -> None:
    try:
        assert isinstance(read_key_set(key_set(*keys), takes_secrets=True), KeySet)
    except ConfigError as error:
        assert error.code == "config.jwks"
