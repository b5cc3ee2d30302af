"""Senders of webhooks as tests need them: each signs a body in its own way, by its own library where it has one."""

import base64
import hashlib
import hmac
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import stripe
from slack_sdk.signature import SignatureVerifier
from standardwebhooks import Webhook
from twilio.request_validator import RequestValidator

from rowcast.webhooks.incoming import IncomingRequest, Question, SourceOptions

AT_S = 1_700_000_000
NOW = datetime.fromtimestamp(AT_S, UTC)
SECRET, OTHER = "a secret of these tests", "another secret of these tests"
STANDARD_SECRET = "whsec_" + base64.b64encode(b"s" * 32).decode()
STANDARD_OTHER = "whsec_" + base64.b64encode(b"o" * 32).decode()
PUBLIC_URL = "https://hooks.example.com/in/src_1"
JSON, FORM = "application/json", "application/x-www-form-urlencoded"


@dataclass(frozen=True)
class Sender:
    """One scheme's sender: what it signs with, and the headers of a body that it sends at a time."""

    scheme: str
    headers: Callable[[str, bytes, int], dict[str, str]]
    body: bytes = b'{"id":"evt_1","type":"thing.made","data":{"n":1.50}}'
    options: SourceOptions = field(default_factory=SourceOptions)
    media_type: str = JSON
    query: bytes = b""
    secrets: tuple[str, str] = (SECRET, OTHER)
    signature: str = ""
    timestamp: str = ""

    def request(self, *, secret: str = "", at_s: int = AT_S, body: bytes | None = None) -> IncomingRequest:
        """Give a genuine request."""
        text = self.body if body is None else body
        return request_of(text, self.headers(secret or self.secrets[0], text, at_s), self.media_type, self.query)

    def question(self, request: IncomingRequest, *, now: datetime = NOW, secrets: Any = None) -> Question:
        """Give a request with what it is held against."""
        return Question(request=request, secrets=secrets or self.secrets[:1], options=self.options, now=now)


def request_of(body: bytes, headers: dict[str, str], media_type: str = JSON, query: bytes = b"") -> IncomingRequest:
    """Give a request of these parts."""
    raw = {name.lower(): value.encode() for name, value in headers.items()}
    return IncomingRequest(body=body, headers={"content-type": media_type.encode(), **raw}, query=query)


def base64_hmac(secret: str, content: bytes, algorithm: str = "sha256") -> str:
    """Give what most senders put into a header."""
    return base64.b64encode(hmac.digest(secret.encode(), content, algorithm)).decode()


def _standard(secret: str, body: bytes, at_s: int) -> dict[str, str]:
    signed = Webhook(secret).sign("msg_1", datetime.fromtimestamp(at_s, UTC), body.decode())
    return {"webhook-id": "msg_1", "webhook-timestamp": str(at_s), "webhook-signature": signed}


def _stripe(secret: str, body: bytes, at_s: int) -> dict[str, str]:
    header = stripe.WebhookSignature.generate_signature_header(body.decode(), secret, at_s)
    return {"Stripe-Signature": header}


def _github(secret: str, body: bytes, at_s: int) -> dict[str, str]:
    signed = hmac.digest(secret.encode(), body, "sha256").hex()
    return {"X-Hub-Signature-256": f"sha256={signed}", "X-GitHub-Delivery": "72d3162e", "X-GitHub-Event": "issues"}


def _slack(secret: str, body: bytes, at_s: int) -> dict[str, str]:
    signed = SignatureVerifier(secret).generate_signature(timestamp=str(at_s), body=body)
    assert signed is not None
    return {"X-Slack-Signature": signed, "X-Slack-Request-Timestamp": str(at_s)}


def _shopify(secret: str, body: bytes, at_s: int) -> dict[str, str]:
    return {
        "X-Shopify-Hmac-SHA256": base64_hmac(secret, body), "X-Shopify-Webhook-Id": "b54557e4",
        "X-Shopify-Topic": "orders/create", "X-Shopify-Shop-Domain": "cakes.myshopify.com",
    }  # fmt: skip


def _twilio_form(secret: str, body: bytes, at_s: int) -> dict[str, str]:
    pairs = dict(pair.split("=") for pair in body.decode().split("&")) if body else {}
    return {"X-Twilio-Signature": RequestValidator(secret).compute_signature(PUBLIC_URL, pairs)}


def _twilio_json(secret: str, body: bytes, at_s: int) -> dict[str, str]:
    url = f"{PUBLIC_URL}?{TWILIO_JSON_QUERY.decode()}"
    signed = RequestValidator(secret).compute_signature(url, {}, "HMAC_SHA256")
    settings = "key=webhooks_sharedkey_1,algorithm=HMAC_SHA256"
    return {"X-Twilio-Signature": signed, "X-Twilio-Webhooks-Signature-Settings": settings}


def _ably(secret: str, body: bytes, at_s: int) -> dict[str, str]:
    return {"X-Ably-Key": secret.partition(":")[0], "X-Ably-Signature": base64_hmac(secret.partition(":")[2], body)}


def _xero(secret: str, body: bytes, at_s: int) -> dict[str, str]:
    return {"x-xero-signature": base64_hmac(secret, body)}


def _mailchimp(secret: str, body: bytes, at_s: int) -> dict[str, str]:
    signed = hmac.digest(secret.encode(), f"{at_s}.".encode() + body, "sha256").hex()
    return {"X-Mailchimp-Signature": f"t={at_s},v1={signed}"}


def _hmac(secret: str, body: bytes, at_s: int) -> dict[str, str]:
    signed = hmac.digest(secret.encode(), f"v0:{at_s}:".encode() + body, "sha512").hex()
    return {"X-Signature": f"hash={signed}", "X-Time": str(at_s), "X-Id": "42"}


def _bearer(secret: str, body: bytes, at_s: int) -> dict[str, str]:
    return {"Authorization": f"Bearer {secret}"}


_TWILIO_BODY = b'{"EventType":"onMessageAdded"}'
TWILIO_JSON_QUERY = b"bodySHA256=" + hashlib.sha256(_TWILIO_BODY).hexdigest().encode()
_HMAC_OPTIONS = SourceOptions(
    header="X-Signature", algorithm="sha512", prefix="hash=", timestamp_header="X-Time",
    content="v0:{timestamp}:{body}", id_header="X-Id", type_field="type",
)  # fmt: skip
_TWILIO_OPTIONS = SourceOptions(public_url=PUBLIC_URL)

SENDERS = {
    "standard": Sender(
        "standard", _standard, secrets=(STANDARD_SECRET, STANDARD_OTHER), signature="webhook-signature",
        timestamp="webhook-timestamp",
    ),
    "stripe": Sender("stripe", _stripe, signature="Stripe-Signature"),
    "github": Sender("github", _github, body=b'{"action":"opened"}', signature="X-Hub-Signature-256"),
    "slack": Sender(
        "slack", _slack, body=b'{"type":"event_callback","event_id":"Ev1","event":{"type":"app_mention"}}',
        signature="X-Slack-Signature", timestamp="X-Slack-Request-Timestamp",
    ),
    "shopify": Sender("shopify", _shopify, signature="X-Shopify-Hmac-SHA256"),
    "twilio": Sender(
        "twilio", _twilio_form, body=b"MessageSid=SM1&MessageStatus=delivered&To=15551234", media_type=FORM,
        options=_TWILIO_OPTIONS, signature="X-Twilio-Signature",
    ),
    "twilio with JSON": Sender(
        "twilio", _twilio_json, body=_TWILIO_BODY, options=_TWILIO_OPTIONS, query=TWILIO_JSON_QUERY,
        signature="X-Twilio-Signature",
    ),
    "ably": Sender(
        "ably", _ably, secrets=("app.key:a secret of Ably", "app.new:another of Ably"), signature="X-Ably-Signature",
        body=b'{"items":[{"name":"channel.message","data":{"n":1.50}},{"source":"channel.presence"}]}',
    ),
    "xero": Sender(
        "xero", _xero, signature="x-xero-signature",
        body=b'{"events":[{"eventCategory":"INVOICE","eventType":"UPDATE","resourceId":"r1"}],"firstEventSequence":7}',
    ),
    "mailchimp": Sender(
        "mailchimp", _mailchimp, body=b"type=subscribe&data%5Bemail%5D=a%40b.example", media_type=FORM,
        signature="X-Mailchimp-Signature",
    ),
    "hmac": Sender("hmac", _hmac, options=_HMAC_OPTIONS, signature="X-Signature", timestamp="X-Time"),
    "bearer": Sender("bearer", _bearer, signature="Authorization"),
}  # fmt: skip

# What of a request its sender does not bind to the signature: Twilio signs what a form says, not how it is written.
LOOSE_BODIES = {"twilio", "bearer"}
