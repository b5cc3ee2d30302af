import pytest
import trustme

from rowcast.core.errors import InvalidInputError
from rowcast.egress.guard import Policy
from rowcast.webhooks.authentication import (
    Authentication,
    Basic,
    ClientCertificate,
    OAuth2,
    authentication_bytes,
    basic_value,
    parse_authentication,
)

CA = trustme.CA()
PAIR = CA.issue_cert("sender.example.com")
CERTIFICATE, KEY = PAIR.cert_chain_pems[0].bytes().decode(), PAIR.private_key_pem.bytes().decode()
OTHER_KEY = CA.issue_cert("other.example.com").private_key_pem.bytes().decode()
TOKEN_URL = "https://login.example.com/token"


@pytest.mark.parametrize(
    "said",
    [
        Basic("ann", "pass:with:colons"),
        OAuth2(token_url=TOKEN_URL, client_id="a", client_secret="b", scopes=("x", "y"), audience="z"),
        ClientCertificate(CERTIFICATE, KEY),
    ],
)
def test_each_kind_comes_back_from_its_document_and_hides_in_its_text(said: Authentication) -> None:
    document = authentication_bytes(said)

    assert parse_authentication(document, policy=Policy()) == said
    assert "pass" not in repr(said)
    assert "PRIVATE" not in repr(said)
    assert "client_secret" not in repr(said)


def test_basic_is_what_the_standard_says() -> None:
    assert basic_value("Aladdin", "open sesame") == "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="


@pytest.mark.parametrize(
    "said",
    [
        Basic("a:b", "c"),
        Basic("a" * 2000, "c"),
        OAuth2(token_url=TOKEN_URL, client_id="", client_secret="b"),
        OAuth2(token_url=TOKEN_URL, client_id="a", client_secret="b", scopes=("x",) * 33),
        OAuth2(token_url=TOKEN_URL, client_id="a", client_secret="b" * 2000),
        ClientCertificate(CERTIFICATE, OTHER_KEY),
        ClientCertificate("canary", KEY),
        ClientCertificate(CERTIFICATE, "canary"),
        ClientCertificate(CERTIFICATE * 100, KEY),
    ],
)
def test_what_could_never_work_is_refused_without_saying_what_is_secret(said: Authentication) -> None:
    with pytest.raises(InvalidInputError) as refusal:
        parse_authentication(authentication_bytes(said), policy=Policy())

    assert refusal.value.code == "input.authentication"
    assert "canary" not in str(refusal.value)


@pytest.mark.parametrize(
    "document",
    [b"", b"null", b"[]", b'{"type":"basic"}', b'{"type":"magic"}', b'{"type":"basic","username":"a","x":1}', b"\xff"],
)
def test_what_is_no_document_of_a_kind_is_refused(document: bytes) -> None:
    with pytest.raises(InvalidInputError) as refusal:
        parse_authentication(document, policy=Policy())

    assert refusal.value.code == "input.authentication"


@pytest.mark.parametrize(
    "url", ["https://169.254.169.254/token", "https://localhost/token", "http://login.example.com/"]
)
def test_token_url_inside_is_blocked(url: str) -> None:
    said = OAuth2(token_url=url, client_id="a", client_secret="b")

    with pytest.raises(InvalidInputError) as refusal:
        parse_authentication(authentication_bytes(said), policy=Policy())

    assert refusal.value.code == "egress.blocked"
