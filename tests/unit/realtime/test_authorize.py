"""Tokens: what is refused and in which words, and which topics the rest opens."""

import base64
import hashlib
import hmac
import json
from collections.abc import Callable
from datetime import timedelta

import msgspec
import pytest

from rowcast.core.errors import ConfigError, InvalidInputError
from rowcast.realtime.authorize import Authorizer, Claims, Refusal, sign_token, subject_of
from rowcast.realtime.tenancy import Source, Tenancy, Visit
from rowcast.testing.fake_clock import FakeClock

SECRET = "a secret for tests that has more than 32 bytes"
NOW = FakeClock().now()
LATER = int(NOW.timestamp()) + 600
AUTHORIZER = Authorizer(secret=SECRET)
HEADER = '{"alg":"HS256","typ":"JWT"}'
HASHES: dict[str, Callable[[], "hashlib._Hash"]] = {
    "HS256": hashlib.sha256,
    "HS384": hashlib.sha384,
    "HS512": hashlib.sha512,
}


def part(text: str | bytes) -> str:
    return base64.urlsafe_b64encode(text.encode() if isinstance(text, str) else text).rstrip(b"=").decode()


def signed(payload: str | bytes, *, header: str = HEADER, secret: str = SECRET, algorithm: str = "HS256") -> str:
    """Sign by hand, so that what no library would write can be signed too."""
    body = f"{part(header)}.{part(payload)}"
    return f"{body}.{part(hmac.new(secret.encode(), body.encode(), HASHES[algorithm]).digest())}"


def payload(**claims: object) -> str:
    return json.dumps({"role": "authenticated", "exp": LATER, "tenant_id": "acme"} | claims)


def check(token: str) -> Claims | Refusal:
    return Authorizer(secret=SECRET).check(token, now=NOW)


def reason(token: str) -> str:
    found = check(token)
    assert isinstance(found, Refusal), found
    return found.reason


MALFORMED = "MalformedJWT: The token provided is not a valid JWT"
MISSING = "InvalidJWTToken: Fields `role` and `exp` are required in JWT"
EXPIRY = "InvalidJWTToken: Token expiration time is invalid"
SIGNER = "JwtSignerError: Failed to generate JWT signer, check your JWT secret or JWKS configuration"


@pytest.mark.parametrize("algorithm", ["HS256", "HS384", "HS512"])
def test_a_token_of_each_algorithm_gives_its_claims(algorithm: str) -> None:
    # SHA-512 wants as many bytes as it gives; the library warns of less.
    secret = SECRET + "and more than 64 when it has to be"
    token = signed(payload(), header=json.dumps({"alg": algorithm}), algorithm=algorithm, secret=secret)

    assert who(Authorizer(secret=secret).check(token, now=NOW)) == Claims("authenticated", LATER, "acme")


def test_a_token_that_we_sign_is_taken() -> None:
    assert who(check(sign_token({"role": "anon", "exp": LATER}, SECRET))) == Claims("anon", LATER)


def test_the_claims_carry_the_whole_document_for_the_database() -> None:
    found = check(sign_token({"role": "anon", "exp": LATER, "sub": "ann", "app": {"roles": ["a"]}}, SECRET))

    assert isinstance(found, Claims)
    assert json.loads(found.document) == {"role": "anon", "exp": LATER, "sub": "ann", "app": {"roles": ["a"]}}
    assert Claims("anon", LATER).document == b"{}"


def who(found: Claims | Refusal) -> Claims | Refusal:
    """Give claims without the document that they came in."""
    return msgspec.structs.replace(found, document=b"{}") if isinstance(found, Claims) else found


def test_a_seal_proves_who_wrote_a_text() -> None:
    ours, theirs = Authorizer(secret=SECRET), Authorizer(secret="another secret, which is 32 bytes long")

    assert ours.seal("a") == Authorizer(secret=SECRET).seal("a")
    assert len({ours.seal("a"), ours.seal("b"), theirs.seal("a")}) == 3


def test_the_audience_of_stock_tokens_is_not_looked_at() -> None:
    assert isinstance(check(signed(payload(aud="authenticated", iss="supabase", sub="u"))), Claims)


@pytest.mark.parametrize(
    "token",
    [
        "",
        "x",
        "a.b",
        "a.b.c.d",
        "..",
        "a.b.c",
        signed(payload()) + "=",
        signed(payload()) + "\n",
        signed("[]"),
        signed('"text"'),
        signed("{"),
        signed(b"\xff"),
        signed("[" * 3000 + "]" * 3000),
        signed(payload(), header="[]"),
        signed(payload(), header="{"),
        signed(payload(), header='{"alg":"HS256","crit":["x"]}'),
        signed(payload(), header='{"alg":"HS256","b64":false,"crit":["b64"]}'),
        signed(payload(), header='{"alg":"HS256","typ":"dpop+jwt"}'),
        signed(payload(), header='{"alg":"HS256","typ":"JWE"}'),
        signed(payload(), header='{"alg":"HS256","typ":7}'),
        signed(payload(), header='{"alg":"none","alg":"HS256"}'),
        signed('{"role":"anon","role":"service_role","exp":' + str(LATER) + "}"),
        signed('{"role":"anon","exp":1,"exp":' + str(LATER) + "}"),
        signed('{"role":"anon","exp":' + str(LATER) + ',"app":{"a":1,"a":2}}'),
        signed('{"role":"anon","exp":NaN}'),
        signed('{"role":"anon","exp":Infinity}'),
        signed(payload(iat="yesterday")),
        signed(payload(iat=True)),
        signed(payload(nbf=LATER)),
        signed(payload(iat=LATER)),
        signed(payload(tenant_id="a:b")),
        signed(payload(tenant_id="")),
        signed(payload(tenant_id={"a": 1})),
        signed(payload(tenant_id=True)),
        signed(payload(pad="x" * 9000)),
        signed(payload(pad="x" * 1_000_000)),
    ],
)
def test_what_is_no_proper_token_is_refused(token: str) -> None:
    assert reason(token) == MALFORMED


@pytest.mark.parametrize("claims", [{"exp": None}, {"role": None}, {"role": ""}, {"role": 7}, {"role": ["anon"]}])
def test_role_and_exp_are_required(claims: dict[str, object]) -> None:
    assert reason(signed(payload(**claims))) == MISSING


@pytest.mark.parametrize("exp", [str(LATER), float(LATER), True, 10**12, 10**30, 0, -1, [], 1.5])
def test_exp_is_an_integer_of_seconds(exp: object) -> None:
    assert reason(signed(payload(exp=exp))) == EXPIRY


def test_exp_beyond_all_numbers_is_refused() -> None:
    assert reason(signed('{"role":"anon","exp":1e400}')) == EXPIRY


def test_a_token_that_has_run_out_says_how_long_ago() -> None:
    found = check(signed(payload(exp=int(NOW.timestamp()) - 7)))

    assert isinstance(found, Refusal)
    assert found.reason == "InvalidJWTToken: Token has expired 7 seconds ago"
    assert found.upgrade_text == "Token has expired"
    assert found.system_text == "Token has expired 7 seconds ago"


def test_a_token_that_was_taken_once_is_refused_when_it_has_run_out() -> None:
    authorizer = Authorizer(secret=SECRET)
    token = signed(payload())
    first = authorizer.check(token, now=NOW)
    second = authorizer.check(token, now=NOW + timedelta(seconds=600))

    assert isinstance(first, Claims)
    assert isinstance(second, Refusal)


def test_thousands_of_tokens_are_not_all_remembered() -> None:
    authorizer = Authorizer(secret=SECRET)
    for number in range(1100):
        authorizer.check(signed(payload(sub=str(number))), now=NOW)

    assert len(authorizer._kept) <= 1024


@pytest.mark.parametrize(
    "token",
    [
        signed(payload(), secret="another secret that has more than 32 bytes"),
        signed(payload(), secret=""),
        signed(payload(), secret="\0"),
        signed(payload(), secret="-----BEGIN PUBLIC KEY-----\nMIIB\n-----END PUBLIC KEY-----\n"),
        signed(payload(), header='{"alg":"HS256","kid":"../../../dev/null"}', secret=""),
        signed(payload(), header='{"alg":"HS256","kid":"x\' union select \'theirs"}', secret="theirs"),
        signed(payload(), header='{"alg":"HS256","jwk":{"kty":"oct","k":"dGhlaXJz"}}', secret="theirs"),
        signed(payload()).rpartition(".")[0] + "." + signed(payload(role="service_role")).rpartition(".")[2],
        signed(payload())[:-4] + "AAAA",
        signed(payload()).rpartition(".")[0] + ".AA",
    ],
)
def test_a_signature_of_somebody_else_is_refused(token: str) -> None:
    found = check(token)

    assert isinstance(found, Refusal)
    assert found.reason == "JwtSignatureError: Failed to validate JWT signature"
    assert found.system_text == ":signature_error"


@pytest.mark.parametrize("algorithm", ["none", "nOnE", "RS256", "ES256", "EdDSA", "hs256", "", None, 7])
def test_another_algorithm_is_refused_whatever_the_signature(algorithm: object) -> None:
    assert reason(signed(payload(), header=json.dumps({"alg": algorithm}))) == SIGNER


def test_another_algorithm_names_its_key() -> None:
    token = signed(payload(), header='{"alg":"RS256","kid":"k1","jku":"http://169.254.169.254/"}')

    assert reason(token) == SIGNER.replace("signer,", 'signer for key ID (kid) "k1",')


@pytest.mark.parametrize("typ", ["JWT", "jwt", "at+jwt"])
def test_a_token_of_a_kind_that_grants_access_is_taken(typ: str) -> None:
    assert isinstance(check(signed(payload(), header=json.dumps({"alg": "HS256", "typ": typ}))), Claims)
    assert isinstance(check(signed(payload(), header='{"alg":"HS256"}')), Claims)


def test_clocks_may_differ_by_half_a_minute_and_no_more() -> None:
    now_s = int(NOW.timestamp())

    assert isinstance(check(signed(payload(iat=now_s + 29, nbf=now_s + 29))), Claims)
    assert reason(signed(payload(iat=now_s + 31))) == MALFORMED


@pytest.mark.parametrize("kid", ["k\r\nSet-Cookie: a=b", "k" * 5000, "'; drop table x; --", "../../etc/passwd"])
def test_the_name_of_a_key_is_only_a_word_in_an_answer(kid: str) -> None:
    found = reason(signed(payload(), header=json.dumps({"alg": "RS256", "kid": kid})))

    assert found == SIGNER.replace("signer,", f'signer for key ID (kid) "{kid[:64]}",')


@pytest.mark.parametrize("secret", ["", "short", "x" * 31, "é" * 15])
def test_a_weak_secret_is_refused_at_start(secret: str) -> None:
    with pytest.raises(ConfigError, match="32 or more"):
        Authorizer(secret=secret)
    with pytest.raises(ConfigError):
        sign_token({}, secret)


@pytest.mark.parametrize(
    ("claim", "claims", "tenant_id"),
    [
        ("tenant_id", {"tenant_id": "acme"}, "acme"),
        ("org_id", {"org_id": 42}, "42"),
        ("app_metadata.tenant_id", {"app_metadata": {"tenant_id": "acme"}}, "acme"),
        ("app_metadata.tenant_id", {"app_metadata": 7}, None),
        ("https://acme.example/tenant", {"https://acme.example/tenant": "acme"}, "acme"),
        ("org_id", {"tenant_id": "acme"}, None),
    ],
)
def test_the_setting_says_which_claim_names_the_tenant(
    claim: str, claims: dict[str, object], tenant_id: str | None
) -> None:
    token = sign_token({"role": "authenticated", "exp": LATER} | claims, SECRET)

    assert who(Authorizer(secret=SECRET, tenant_claim=claim).check(token, now=NOW)) == Claims(
        "authenticated", LATER, tenant_id
    )


def claims(*, role: str = "authenticated", tenant_id: str | None = "acme") -> Claims:
    return Claims(role, LATER, tenant_id)


def admit(
    token: str, *, sources: tuple[Source, ...] = ("claim", "header"), parameter: str = "", header: str | None = None
) -> Claims | Refusal:
    authorizer = Authorizer(secret=SECRET, tenancy=Tenancy(sources))
    return who(authorizer.admit(token, Visit(header=header, parameter=parameter), now=NOW))


def token_of(role: str, tenant_id: str | None) -> str:
    own = {"tenant_id": tenant_id} if tenant_id else {}
    return sign_token({"role": role, "exp": LATER} | own, SECRET)


ONLY_SERVICES = Refusal("tenant", "Only a service_role token may name a tenant")
OTHER_TENANT = Refusal("tenant", "This token is for another tenant than the one that the connection names")


@pytest.mark.parametrize(
    ("role", "own", "named", "found"),
    [
        ("service_role", None, "acme", claims(role="service_role")),
        ("service_role", "acme", "acme", claims(role="service_role")),
        ("service_role", "acme", "globex", ONLY_SERVICES),
        ("authenticated", None, "acme", ONLY_SERVICES),
        ("service_role", None, "a:b", ONLY_SERVICES),
    ],
)
def test_by_a_parameter_only_a_service_without_a_tenant_names_one(
    role: str, own: str | None, named: str, found: Claims | Refusal
) -> None:
    assert admit(token_of(role, own), parameter=named) == found


@pytest.mark.parametrize("sources", [("claim", "header"), ("header", "claim"), ("header",)])
@pytest.mark.parametrize(
    ("role", "own", "named", "found"),
    [
        ("authenticated", "acme", "acme", Claims("authenticated", LATER, "acme", named_tenant="acme")),
        ("authenticated", "acme", "globex", OTHER_TENANT),
        ("authenticated", "acme", "ACME", OTHER_TENANT),
        ("authenticated", "acme", "default", OTHER_TENANT),
        ("service_role", "acme", "globex", OTHER_TENANT),
        ("authenticated", None, "acme", Claims("authenticated", LATER, None, named_tenant="acme")),
        ("service_role", None, "acme", Claims("service_role", LATER, "acme", named_tenant="acme")),
    ],
)
def test_what_a_connection_names_never_widens_what_its_token_opens(
    sources: tuple[Source, ...], role: str, own: str | None, named: str, found: Claims | Refusal
) -> None:
    assert admit(token_of(role, own), sources=sources, header=named) == found


def test_whoever_is_somewhere_by_name_only_is_a_guest() -> None:
    guest = admit(token_of("anon", None), header="acme")
    at_home = admit(token_of("anon", None), header="default")
    service = admit(token_of("service_role", None), header="acme")

    assert isinstance(guest, Claims)
    assert (guest.public_tenant, guest.is_guest) == ("acme", True)
    assert isinstance(at_home, Claims)
    assert (at_home.public_tenant, at_home.is_guest) == ("default", False)
    assert isinstance(service, Claims)
    assert (service.public_tenant, service.is_guest) == ("acme", False)


def test_where_claims_are_not_asked_a_token_of_a_tenant_is_none_of_the_default_one() -> None:
    assert admit(token_of("authenticated", "acme"), sources=("header",)) == OTHER_TENANT
    assert admit(token_of("anon", None), sources=("header",)) == Claims("anon", LATER, None, named_tenant="default")
    assert admit(token_of("service_role", None), sources=("header",), parameter="acme") == claims(role="service_role")


def test_a_parameter_that_says_something_else_than_the_header_is_refused() -> None:
    assert admit(token_of("service_role", None), header="acme", parameter="globex") == ONLY_SERVICES


def test_a_bad_name_is_told_to_holders_of_tokens_only() -> None:
    with pytest.raises(InvalidInputError) as refused:
        admit(token_of("anon", None), header="a:b")
    stranger = admit("no token", header="a:b")

    assert refused.value.code == "input.tenant"
    assert isinstance(stranger, Refusal)
    assert stranger.code == "malformed"


def test_the_person_behind_a_token_is_its_subject() -> None:
    assert subject_of(Claims("authenticated", LATER, document=b'{"sub":"ann"}')) == "ann"
    for document in (b"{}", b'{"sub":""}', b'{"sub":7}', b"no json"):
        assert subject_of(Claims("authenticated", LATER, document=document)) is None
