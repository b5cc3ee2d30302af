"""How Stripe, GitHub, Slack, Shopify, Mailchimp, Xero and Ably sign, and what they tell. Pure."""

from urllib.parse import parse_qsl

from rowcast.webhooks.incoming import Accepted, Challenge, IncomingRequest, Question, Read, Refused
from rowcast.webhooks.incoming_body import Body, delivery_id, read_body
from rowcast.webhooks.incoming_signing import digest, fits_any, keys_of, listed_items, misfit, missing, stale


def verify_stripe(question: Question) -> Refused | None:
    """Give the refusal of what Stripe has not signed; the key is the whole text of the secret."""
    return _verify_listed(question, "Stripe-Signature")


def read_stripe(question: Question) -> Accepted:
    """Give the one event, by its own id and type."""
    body = read_body(question.request)
    return _one(question, body, said=body.text_of("id"), called=body.text_of("type"))


def verify_github(question: Question) -> Refused | None:
    """Give the refusal of what GitHub has not signed."""
    return _verify_body(question, "X-Hub-Signature-256", prefix=b"sha256=", encoding="hex")


def read_github(question: Question) -> Accepted:
    """Give the one event: its name, and which action where there are several."""
    request = question.request
    body = read_body(request, inner="payload")
    called = f"{request.header_text('x-github-event')}.{body.text_of('action')}"
    return _one(question, body, said=request.header_text("x-github-delivery"), called=called)


def verify_slack(question: Question) -> Refused | None:
    """Give the refusal of what Slack has not signed."""
    request = question.request
    given, timestamp = request.header("x-slack-signature"), request.header("x-slack-request-timestamp")
    if not (given and timestamp):
        return missing("X-Slack-Signature", "X-Slack-Request-Timestamp")
    content = b"v0:" + timestamp + b":" + request.body
    wanted = [b"v0=" + digest(key, content) for key in keys_of(question.secrets)]
    return stale(timestamp, question.now) if fits_any([given], wanted) else misfit()


def read_slack(question: Question) -> Accepted | Challenge:
    """Give the inner event, a command or an interaction; or the challenge by which Slack looks who we are."""
    body = read_body(question.request, inner="payload")
    if body.text_of("type") == "url_verification":
        return Challenge(body.text_of("challenge"))
    called = body.text_of("event", "type") or body.text_of("command") or body.text_of("type")
    return _one(question, body, said=body.text_of("event_id") or body.text_of("trigger_id"), called=called)


def verify_shopify(question: Question) -> Refused | None:
    """Give the refusal of what Shopify has not signed; the key is the app's client secret."""
    return _verify_body(question, "X-Shopify-Hmac-SHA256", encoding="base64")


def read_shopify(question: Question) -> Accepted:
    """Give the one event: its topic."""
    request = question.request
    said, called = request.header_text("x-shopify-webhook-id"), request.header_text("x-shopify-topic")
    return _one(question, read_body(request), said=said, called=called)


def verify_mailchimp(question: Question) -> Refused | None:
    """Give the refusal of what Mailchimp has not signed or, for older hooks, of a URL without the secret."""
    name = question.options.url_secret
    if not name:
        return _verify_listed(question, "X-Mailchimp-Signature")
    given = [value.encode("latin-1") for key, value in _query_pairs(question.request) if key == name]
    if not given:
        return missing(f"the secret as {name!r} in the URL")
    return None if fits_any(given, keys_of(question.secrets)) else misfit()


def read_mailchimp(question: Question) -> Accepted:
    """Give the one event of a form; it has no id, so the same form is the same event."""
    body = read_body(question.request)
    return _one(question, body, said="", called=body.text_of("type"))


def verify_xero(question: Question) -> Refused | None:
    """Give the refusal of what Xero has not signed; in its intent to receive some are wrong on purpose."""
    return _verify_body(question, "x-xero-signature", encoding="base64")


def read_xero(question: Question) -> Accepted:
    """Give the events of a batch, none in an intent to receive; a sequence number belongs to each."""
    body = read_body(question.request)
    first = body.fields.get("firstEventSequence")
    start = first if isinstance(first, int) else 0
    return Accepted(tuple(_xero_read(item, start + place) for place, item in enumerate(body.items("events"))))


def verify_ably(question: Question) -> Refused | None:
    """Give the refusal of what Ably has not signed; the key is what stands after the colon of an API key."""
    keys = tuple(secret.rpartition(":")[2] for secret in question.secrets)
    return _verify_body(question, "X-Ably-Signature", encoding="base64", secrets=keys)


def read_ably(question: Question) -> Accepted:
    """Give the items of a batch."""
    items = read_body(question.request).items("items")
    return Accepted(tuple(_ably_read(item) for item in items))


def _xero_read(item: Body, sequence: int) -> Read:
    called = f"{item.text_of('eventCategory')}.{item.text_of('eventType')}"
    return Read(delivery_id("", f"{sequence}:".encode() + item.text), called, item.text)


def _ably_read(item: Body) -> Read:
    return Read(delivery_id("", item.text), item.text_of("name") or item.text_of("source"), item.text)


def _one(question: Question, body: Body, *, said: str, called: str) -> Accepted:
    return Accepted((Read(delivery_id(said, question.request.body), called, body.text),))


def _verify_body(
    question: Question, header: str, *, encoding: str, prefix: bytes = b"", secrets: tuple[str, ...] | None = None
) -> Refused | None:
    """Hold one header against the digest of the raw body."""
    given = question.request.header(header)
    if not given:
        return missing(header)
    keys = keys_of(question.secrets if secrets is None else secrets)
    wanted = [prefix + digest(key, question.request.body, encoding=encoding) for key in keys]
    return None if fits_any([given], wanted) else misfit()


def _verify_listed(question: Question, header: str) -> Refused | None:
    """Hold a header `t=...,v1=...` against the digest of time and body; any `v1` may be the one."""
    items = listed_items(question.request.header(header))
    if not (items.get(b"t") and items.get(b"v1")):
        return missing(header)
    timestamp = items[b"t"][0]
    content = timestamp + b"." + question.request.body
    wanted = [digest(key, content) for key in keys_of(question.secrets)]
    if not fits_any(items[b"v1"], wanted):
        return misfit()
    return stale(timestamp, question.now, is_future_bounded=False)


def _query_pairs(request: IncomingRequest) -> list[tuple[str, str]]:
    """Give names and values of the query, every byte a character, so that nothing in it can fail."""
    return parse_qsl(request.query.decode("latin-1"), keep_blank_values=True, encoding="latin-1")
