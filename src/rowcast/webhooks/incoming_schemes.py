"""The table of schemes: how each sender is verified, read and answered, and which options it takes. Pure."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

import msgspec

from rowcast.webhooks import incoming_generic as generic
from rowcast.webhooks import incoming_twilio as twilio
from rowcast.webhooks import incoming_vendors as vendors
from rowcast.webhooks.incoming import Accepted, Answer, Challenge, Question, Read, Refused
from rowcast.webhooks.incoming_body import delivery_id, with_headers

_EVERYWHERE = frozenset({"kept_headers", "once_by"})
_WHERE_TO_LOOK = frozenset({"id_header", "id_field", "type_header", "type_field", "event_type"})
_SIGNED_HOW = frozenset({"header", "algorithm", "encoding", "prefix", "timestamp_header", "content"})


class Thanks(msgspec.Struct, frozen=True):
    """What a sender gets for a genuine request: always 200."""

    body: bytes = b""
    media_type: str = "text/plain"


class Scheme(msgspec.Struct, frozen=True, kw_only=True):
    """How one kind of sender is dealt with."""

    verify: Callable[[Question], Refused | None]
    read: Callable[[Question], Accepted | Challenge]
    thanks: Thanks = Thanks()
    options: frozenset[str] = frozenset()
    needed: frozenset[str] = frozenset()
    kept_headers: tuple[str, ...] = ()
    is_looked_at: bool = False
    """Whether a GET is answered: so the sender looks whether the URL is there."""

    @property
    def known_options(self) -> frozenset[str]:
        """Give the options that mean something here."""
        return self.options | self.needed | _EVERYWHERE


SCHEMES: Mapping[str, Scheme] = MappingProxyType(
    {
        "ably": Scheme(verify=vendors.verify_ably, read=vendors.read_ably),
        "bearer": Scheme(verify=generic.verify_bearer, read=generic.read_generic, options=_WHERE_TO_LOOK | {"header"}),
        "github": Scheme(verify=vendors.verify_github, read=vendors.read_github),
        "hmac": Scheme(
            verify=generic.verify_hmac,
            read=generic.read_generic,
            options=_WHERE_TO_LOOK | _SIGNED_HOW,
            needed=frozenset({"header"}),
        ),
        "mailchimp": Scheme(
            verify=vendors.verify_mailchimp,
            read=vendors.read_mailchimp,
            options=frozenset({"url_secret"}),
            is_looked_at=True,
        ),
        "shopify": Scheme(
            verify=vendors.verify_shopify, read=vendors.read_shopify, kept_headers=("x-shopify-shop-domain",)
        ),
        "slack": Scheme(verify=vendors.verify_slack, read=vendors.read_slack),
        "standard": Scheme(
            verify=generic.verify_standard,
            read=generic.read_standard,
            options=frozenset({"type_header", "type_field", "event_type"}),
        ),
        "stripe": Scheme(verify=vendors.verify_stripe, read=vendors.read_stripe),
        "twilio": Scheme(
            verify=twilio.verify_twilio,
            read=twilio.read_twilio,
            needed=frozenset({"public_url"}),
            thanks=Thanks(b"<Response/>", "text/xml"),
        ),
        "xero": Scheme(verify=vendors.verify_xero, read=vendors.read_xero),
    }
)


def judge(scheme: Scheme, question: Question) -> Answer:
    """Give what a request is: refused, a challenge, or genuine and what it tells.

    Raises:
        InvalidInputError: `input.not_json`, when it is genuine and cannot be an event.
    """
    refused = scheme.verify(question)
    if refused is not None:
        return refused
    answer = scheme.read(question)
    if isinstance(answer, Challenge):
        return answer
    return Accepted(tuple(_finished(scheme, question, read) for read in answer.reads))


def _finished(scheme: Scheme, question: Question, read: Read) -> Read:
    options = question.options
    names = (*scheme.kept_headers, *options.kept_headers)
    payload = with_headers(read.payload, question.request, names) if names else read.payload
    once = delivery_id("", read.payload) if options.once_by == "body" else read.delivery_id
    return Read(once, read.called, payload)
