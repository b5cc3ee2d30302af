"""How Twilio signs: the URL that it calls, and either each field of a form or the hash of the body. Pure.

Source: the public validator of Twilio's own Python library, which is the judge in the tests.
"""

import hashlib
from urllib.parse import parse_qsl, urlsplit

from rowcast.webhooks.incoming import Accepted, IncomingRequest, Question, Read, Refused
from rowcast.webhooks.incoming_body import FORM, Body, delivery_id, form_pairs, read_body
from rowcast.webhooks.incoming_signing import digest, fits_any, keys_of, misfit, missing

_ALGORITHMS = {"HMAC_SHA1": "sha1", "HMAC_SHA256": "sha256"}
_SIGNATURE = "X-Twilio-Signature"
_SETTINGS = "x-twilio-webhooks-signature-settings"
_BODY_HASH = "bodySHA256"


def verify_twilio(question: Question) -> Refused | None:
    """Give the refusal of what Twilio has not signed for this source's public URL."""
    request = question.request
    given, algorithm = request.header(_SIGNATURE), _ALGORITHMS.get(_algorithm_named(request))
    if not given:
        return missing(_SIGNATURE)
    if algorithm is None or not _is_body_signed(request):
        return misfit()
    fields = _signed_fields(request)
    wanted = [
        digest(key, url + fields, algorithm=algorithm, encoding="base64")
        for key in keys_of(question.secrets)
        for url in called_urls(question.options.public_url.rstrip("/") + request.path, request.query)
    ]
    return None if fits_any([given], wanted) else misfit()


def read_twilio(question: Question) -> Accepted:
    """Give the one event: what happened to a message or a call, or what Twilio names as the event's type."""
    request = question.request
    body = read_body(request)
    said = request.header_text("i-twilio-idempotency-token")
    return Accepted((Read(delivery_id(said, request.query + b"\n" + request.body), _called(body), body.text),))


def called_urls(url: str, query: bytes) -> list[bytes]:
    """Give the URLs that Twilio may have signed: with a port and without, each with the query that came."""
    parts = urlsplit(url)
    host, _, port = parts.netloc.rpartition(":")
    bare = host if host and port.isdigit() else parts.netloc
    standard = "443" if parts.scheme == "https" else "80"
    ported = parts.netloc if bare != parts.netloc else f"{bare}:{standard}"
    ending = b"?" + query if query else b""
    return [f"{parts.scheme}://{each}{parts.path}".encode() + ending for each in (bare, ported)]


def _algorithm_named(request: IncomingRequest) -> str:
    for item in request.header_text(_SETTINGS).split(","):
        name, _, value = item.partition("=")
        if name.strip() == "algorithm" and value.strip():
            return value.strip().upper()
    return "HMAC_SHA1"


def _is_body_signed(request: IncomingRequest) -> bool:
    """Tell whether the body is bound to the signature: by its hash in the URL, or because its fields are signed."""
    query = parse_qsl(request.query.decode("latin-1"), keep_blank_values=True)
    hashes = [value.encode("utf-8", "surrogatepass") for name, value in query if name == _BODY_HASH]
    if hashes:
        return fits_any(hashes[:1], [hashlib.sha256(request.body).hexdigest().encode()])
    return request.media_type == FORM or not request.body


def _signed_fields(request: IncomingRequest) -> bytes:
    """Give each name with each of its values, both sorted and each once; a body that is no form has none."""
    if request.media_type != FORM:
        return b""
    pairs = sorted(set(form_pairs(request.body, errors="surrogateescape")))
    return "".join(name + value for name, value in pairs).encode("utf-8", "surrogateescape")


def _called(body: Body) -> str:
    named = body.text_of("EventType") or body.text_of("type")
    if named:
        return named
    for kind, field in (("message", "MessageStatus"), ("message", "SmsStatus"), ("call", "CallStatus")):
        if body.text_of(field):
            return f"{kind}.{body.text_of(field)}"
    return ""
