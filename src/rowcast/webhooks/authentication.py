"""How we make ourselves known to a receiver beyond the signature: basic, OAuth 2, a client certificate. Pure."""

import base64

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from rowcast.core.codec import encode_json
from rowcast.core.errors import InvalidInputError
from rowcast.egress.guard import Policy, check_url
from rowcast.egress.header_lines import header_lines
from rowcast.egress.terms import Identity

_PEM_LIMIT_CHARS = 32_768
_WORD_LIMIT_CHARS = 1024
_SCOPES_LIMIT = 32


class Basic(msgspec.Struct, frozen=True, tag="basic", tag_field="type", forbid_unknown_fields=True):
    """A user name and a password."""

    username: str
    password: str = ""

    def __repr__(self) -> str:
        """Give nothing that is secret."""
        return "Basic(...)"


class OAuth2(
    msgspec.Struct,
    frozen=True,
    tag="oauth2",
    tag_field="type",
    rename="camel",
    forbid_unknown_fields=True,
    kw_only=True,
):
    """Client credentials: a token of `token_url` is sent as the bearer of each message."""

    token_url: str
    client_id: str
    client_secret: str
    scopes: tuple[str, ...] = ()
    audience: str = ""
    is_secret_in_body: bool = False

    def __repr__(self) -> str:
        """Give nothing that is secret."""
        return f"OAuth2(token_url={self.token_url!r})"


class ClientCertificate(
    msgspec.Struct, frozen=True, tag="mtls", tag_field="type", rename="camel", forbid_unknown_fields=True
):
    """A client certificate, with its chain, and its key, both as PEM; the key without a password."""

    certificate: str
    private_key: str

    def __repr__(self) -> str:
        """Give nothing that is secret."""
        return "ClientCertificate(...)"

    @property
    def identity(self) -> Identity:
        """Give what a connection shows."""
        return Identity(self.certificate.encode(), self.private_key.encode())


Authentication = Basic | OAuth2 | ClientCertificate


def parse_authentication(document: bytes, *, policy: Policy) -> Authentication:
    """Give what a JSON document says, as a tenant wrote it or as it was kept.

    Raises:
        InvalidInputError: `input.authentication`; `input.url` or `egress.blocked` for a token URL that cannot be used.
            The text never holds anything of the document.
    """
    try:
        said: Authentication = msgspec.json.decode(document, type=Authentication)
    except (msgspec.MsgspecError, UnicodeError):
        raise _refusal("it must be a JSON object of type basic, oauth2 or mtls with the fields of that type") from None
    _check(said, policy)
    return said


def authentication_bytes(said: Authentication) -> bytes:
    """Give the document of it, as it is sealed."""
    return encode_json(said)


def basic_value(username: str, password: str) -> str:
    """Give the value of the header `authorization`. The password may hold colons, the user name none."""
    return "Basic " + base64.b64encode(f"{username}:{password}".encode()).decode()


def _check(said: Authentication, policy: Policy) -> None:
    match said:
        case Basic(username=username, password=password):
            if ":" in username or max(len(username), len(password)) > _WORD_LIMIT_CHARS:
                raise _refusal("a user name holds no colon, and neither it nor the password is that long")
        case OAuth2():
            check_url(said.token_url, policy)
            _check_words(said)
        case ClientCertificate(certificate=certificate, private_key=key):
            _check_pair(certificate, key)


def _check_words(said: OAuth2) -> None:
    words = (said.client_id, said.client_secret, said.audience, *said.scopes)
    if len(said.scopes) > _SCOPES_LIMIT or max(map(len, words)) > _WORD_LIMIT_CHARS:
        raise _refusal("there are too many scopes, or a word of it is too long")
    if not said.client_id:
        raise _refusal("the client id is empty")
    header_lines({"x-words": " ".join(said.scopes)})


def _check_pair(certificate: str, key: str) -> None:
    """Refuse what libcurl would refuse later, at each delivery."""
    if max(len(certificate), len(key)) > _PEM_LIMIT_CHARS:
        raise _refusal("certificate or key is too long")
    try:
        shown = x509.load_pem_x509_certificates(certificate.encode())[0].public_key()
        held = load_pem_private_key(key.encode(), None).public_key()
    except (ValueError, TypeError, IndexError, UnicodeError):
        # Without the cause: it could quote the key.
        raise _refusal("certificate and key must be PEM, the key without a password") from None
    if shown != held:
        raise _refusal("the key does not belong to the certificate")


def _refusal(problem: str) -> InvalidInputError:
    return InvalidInputError(f"The authentication cannot be used: {problem}.", code="input.authentication")
