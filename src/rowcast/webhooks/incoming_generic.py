"""Senders of no name: Standard Webhooks, an HMAC described by options, and a secret that is sent along. Pure."""

import re

from rowcast.core.errors import InvalidSignatureError, StaleTimestampError
from rowcast.webhooks import signature
from rowcast.webhooks.incoming import Accepted, Question, Read, Refused
from rowcast.webhooks.incoming_body import delivery_id, read_body
from rowcast.webhooks.incoming_signing import digest, fits_any, keys_of, misfit, missing, stale

_PLACE = re.compile(r"(\{(?:body|id|timestamp)\})")
_BEARER = b"bearer "


def verify_standard(question: Question) -> Refused | None:
    """Give the refusal of what does not follow Standard Webhooks, versions 1 and 1a."""
    request = question.request
    headers = {name: value.decode("utf-8", "surrogateescape") for name, value in request.headers.items()}
    try:
        signature.verify(question.secrets, headers, request.body, now=question.now)
    except StaleTimestampError as error:
        return Refused("auth.timestamp", str(error))
    except InvalidSignatureError as error:
        return Refused("auth.signature", str(error))
    return None


def read_standard(question: Question) -> Accepted:
    """Give the one event: the message's id, and the type that its body says."""
    request = question.request
    said = request.header_text("webhook-id") or request.header_text("svix-id")
    return _read(question, said=said, type_field=question.options.type_field or "type")


def verify_hmac(question: Question) -> Refused | None:
    """Give the refusal of what is not signed as the options say."""
    request, options = question.request, question.options
    given = request.header(options.header)
    if not given:
        return missing(options.header)
    content = signed_content(question)
    wanted = [
        options.prefix.encode() + digest(key, content, algorithm=options.algorithm, encoding=options.encoding)
        for key in keys_of(question.secrets)
    ]
    if not fits_any([given], wanted):
        return misfit()
    return stale(request.header(options.timestamp_header), question.now) if options.timestamp_header else None


def signed_content(question: Question) -> bytes:
    """Give the bytes that the sender has signed: the option `content` with body, time and id in their places."""
    request, options = question.request, question.options
    values = {
        "{body}": request.body,
        "{timestamp}": request.header(options.timestamp_header),
        "{id}": request.header(options.id_header),
    }
    template = options.content or ("{timestamp}.{body}" if options.timestamp_header else "{body}")
    return b"".join(values.get(piece, piece.encode()) for piece in _PLACE.split(template))


def verify_bearer(question: Question) -> Refused | None:
    """Give the refusal of a request that does not bring one of the secrets, as bearer token or in the header named."""
    named = question.options.header
    given = question.request.header(named or "authorization")
    if not named:
        given = given[len(_BEARER) :].strip() if given.lower().startswith(_BEARER) else b""
    if not given:
        return missing(named or "Authorization: Bearer")
    return None if fits_any([given], keys_of(question.secrets)) else misfit()


def read_generic(question: Question) -> Accepted:
    """Give the one event: id and type from where the options say."""
    said = question.request.header_text(question.options.id_header) if question.options.id_header else ""
    return _read(question, said=said, type_field=question.options.type_field)


def _read(question: Question, *, said: str, type_field: str) -> Accepted:
    request, options = question.request, question.options
    body = read_body(request)
    called = request.header_text(options.type_header) if options.type_header else ""
    called = called or (body.text_of(*type_field.split(".")) if type_field else "")
    said = said or (body.text_of(*options.id_field.split(".")) if options.id_field else "")
    # Without an id the same body is the same event; a signed time tells two of them apart.
    otherwise = request.header(options.timestamp_header) + b"." + request.body
    return Accepted((Read(delivery_id(said, otherwise), called or options.event_type, body.text),))
