"""Every scheme against its sender's own library, and against whoever changes a byte."""

from datetime import timedelta
from typing import Any

import msgspec
import pytest
import stripe
from hypothesis import given
from hypothesis import strategies as st
from slack_sdk.signature import Clock, SignatureVerifier
from standardwebhooks import Webhook
from twilio.request_validator import RequestValidator, get_signature_algorithm

from rowcast.core.errors import InvalidInputError
from rowcast.webhooks.incoming import Accepted, Answer, IncomingRequest, Refused
from rowcast.webhooks.incoming_schemes import SCHEMES, judge
from rowcast.webhooks.incoming_signing import digest
from rowcast.webhooks.signature import signed_headers
from tests.unit.webhooks.senders import (
    AT_S,
    LOOSE_BODIES,
    NOW,
    PUBLIC_URL,
    SECRET,
    SENDERS,
    STANDARD_SECRET,
    TWILIO_JSON_QUERY,
    Sender,
    request_of,
)

TIMED = ["standard", "stripe", "slack", "mailchimp", "hmac"]
ALL = list(SENDERS)


class FrozenClock(Clock):
    """Slack's library at the time at which the tests' senders sign."""

    def now(self) -> float:
        return float(AT_S)


def answer_of(sender: Sender, request: IncomingRequest, **more: Any) -> Answer:
    return judge(SCHEMES[sender.scheme], sender.question(request, **more))


def is_taken(sender: Sender, request: IncomingRequest, **more: Any) -> bool:
    return isinstance(answer_of(sender, request, **more), Accepted)


def with_header(request: IncomingRequest, name: str, value: bytes) -> IncomingRequest:
    return msgspec.structs.replace(request, headers={**request.headers, name.lower(): value})


def changed_at(text: bytes, place: int, by: int) -> bytes:
    changed = bytearray(text)
    changed[place % len(text)] ^= by
    return bytes(changed)


def test_every_scheme_has_a_sender_in_the_tests() -> None:
    assert {sender.scheme for sender in SENDERS.values()} == set(SCHEMES)


@pytest.mark.parametrize("name", ALL)
def test_what_the_sender_signs_is_taken(name: str) -> None:
    sender = SENDERS[name]

    answer = answer_of(sender, sender.request())

    assert isinstance(answer, Accepted), answer
    assert answer.reads


@pytest.mark.parametrize("name", ALL)
def test_any_active_secret_may_have_signed_and_no_other(name: str) -> None:
    sender = SENDERS[name]
    old, new = sender.secrets

    assert is_taken(sender, sender.request(secret=old), secrets=(new, old))
    assert is_taken(sender, sender.request(secret=new), secrets=(new, old))
    assert answer_of(sender, sender.request(secret=old), secrets=(new,)) == refused_for(sender, "auth.signature")


def refused_for(sender: Sender, code: Any) -> Refused:
    answer = answer_of(sender, sender.request(secret=sender.secrets[1]))
    assert isinstance(answer, Refused)
    assert answer.code == code
    return answer


@pytest.mark.parametrize("name", ALL)
@given(place=st.integers(min_value=0, max_value=500), by=st.integers(min_value=1, max_value=255))
def test_any_changed_byte_of_body_signature_or_time_is_refused(name: str, place: int, by: int) -> None:
    sender = SENDERS[name]
    good = sender.request()
    body = msgspec.structs.replace(good, body=changed_at(good.body, place, by))
    signed = with_header(good, sender.signature, changed_at(good.header(sender.signature), place, by))
    spoilt = [signed] if sender.scheme in LOOSE_BODIES and name != "twilio with JSON" else [signed, body]
    if sender.timestamp:
        spoilt.append(with_header(good, sender.timestamp, changed_at(good.header(sender.timestamp), place, by)))

    for request in spoilt:
        if is_same_bearer(sender, good, request):
            continue
        assert isinstance(answer_of(sender, request), Refused)


def is_same_bearer(sender: Sender, good: IncomingRequest, request: IncomingRequest) -> bool:
    """The word `Bearer` may be written in any case."""
    return sender.scheme == "bearer" and request.header("authorization").lower() == good.header("authorization").lower()


@pytest.mark.parametrize("name", ALL)
@given(junk=st.binary(max_size=80))
def test_junk_in_a_header_is_refused_and_never_a_fault(name: str, junk: bytes) -> None:
    sender = SENDERS[name]
    good = sender.request()

    for header in filter(None, (sender.signature, sender.timestamp, "X-Twilio-Webhooks-Signature-Settings")):
        answer = answer_of(sender, with_header(good, header, junk))
        assert isinstance(answer, Refused) or header not in (sender.signature, sender.timestamp)


@pytest.mark.parametrize("name", ALL)
def test_a_request_without_its_signature_is_refused(name: str) -> None:
    sender = SENDERS[name]
    good = sender.request()
    bare = msgspec.structs.replace(
        good, headers={key: value for key, value in good.headers.items() if key != sender.signature.lower()}
    )

    answer = answer_of(sender, bare)

    assert isinstance(answer, Refused)
    assert answer.code in ("auth.missing", "auth.signature")


@pytest.mark.parametrize("name", TIMED)
def test_a_request_is_refused_when_it_comes_again_after_the_window(name: str) -> None:
    sender = SENDERS[name]

    assert is_taken(sender, sender.request(), now=NOW + timedelta(seconds=300))
    answer = answer_of(sender, sender.request(), now=NOW + timedelta(seconds=301))

    assert isinstance(answer, Refused)
    assert answer.code == "auth.timestamp"


@pytest.mark.parametrize("name", TIMED)
def test_a_clock_that_is_ahead_is_borne_for_five_minutes_and_by_stripe_and_mailchimp_for_longer(name: str) -> None:
    sender = SENDERS[name]

    assert is_taken(sender, sender.request(at_s=AT_S + 300))
    assert is_taken(sender, sender.request(at_s=AT_S + 301)) == (name in ("stripe", "mailchimp"))


@pytest.mark.parametrize("name", ["github", "shopify", "twilio", "xero", "ably", "bearer"])
def test_senders_that_sign_no_time_are_taken_at_any_time(name: str) -> None:
    assert is_taken(SENDERS[name], SENDERS[name].request(), now=NOW + timedelta(days=3))


@given(body=st.dictionaries(st.text(max_size=5), st.text(max_size=20), max_size=4))
def test_what_we_compute_verifies_with_the_senders_own_libraries(body: dict[str, str]) -> None:
    text = msgspec.json.encode(body)
    key, timestamp = SECRET.encode(), str(AT_S)
    ours = digest(key, f"{timestamp}.".encode() + text).decode()
    slack = "v0=" + digest(key, f"v0:{timestamp}:".encode() + text).decode()

    assert stripe.WebhookSignature.verify_header(text, f"t={timestamp},v1={ours}", SECRET)
    assert SignatureVerifier(SECRET, FrozenClock()).is_valid(text, timestamp, slack)


@given(body=st.binary(max_size=60), settings=st.sampled_from(["", "key=k,algorithm=HMAC_SHA256", "algorithm=MD5"]))
def test_twilios_validator_and_ours_judge_alike(body: bytes, settings: str) -> None:
    sender = SENDERS["twilio with JSON"]
    text = sender.body if len(body) % 2 else body
    good = with_header(sender.request(), "X-Twilio-Webhooks-Signature-Settings", settings.encode())
    request = msgspec.structs.replace(good, body=text)
    url, given_value = f"{PUBLIC_URL}?{TWILIO_JSON_QUERY.decode()}", good.header("X-Twilio-Signature").decode()
    algorithm = get_signature_algorithm(settings)

    if text.isascii():
        theirs = RequestValidator(SECRET).validate(url, text.decode(), given_value, algorithm)
        assert is_taken(sender, request) == theirs


def test_the_public_library_of_standard_webhooks_reads_what_we_sign_and_so_do_we() -> None:
    sender = SENDERS["standard"]
    headers = signed_headers([STANDARD_SECRET], message_id="msg_2", timestamp_s=AT_S, body=sender.body)

    assert Webhook(STANDARD_SECRET).sign("msg_2", NOW, sender.body.decode()) == headers["webhook-signature"]
    assert is_taken(sender, request_of(sender.body, headers))


def test_headers_that_are_kept_stand_beside_what_the_sender_wrote() -> None:
    sender = SENDERS["shopify"]

    answer = answer_of(sender, sender.request())

    assert isinstance(answer, Accepted)
    assert answer.reads[0].payload == (
        b'{"id":"evt_1","type":"thing.made","data":{"n":1.50},'
        b'"webhookHeaders":{"x-shopify-shop-domain":"cakes.myshopify.com"}}'
    )


def test_a_source_that_goes_by_the_body_takes_the_same_body_once_whatever_id_comes_with_it() -> None:
    sender = SENDERS["github"]
    by_body = msgspec.structs.replace(sender.options, once_by="body")
    ids = set()

    for said in (b"one", b"two"):
        request = with_header(sender.request(), "X-GitHub-Delivery", said)
        answer = judge(SCHEMES["github"], msgspec.structs.replace(sender.question(request), options=by_body))
        assert isinstance(answer, Accepted)
        ids.add(answer.reads[0].delivery_id)

    assert len(ids) == 1


@pytest.mark.parametrize("name", ["github", "stripe", "xero", "ably", "hmac", "bearer"])
@pytest.mark.parametrize("body", [b"\xff\xfe", b"{", b'{"a":"\xff"}', b"[" * 60_000, b'{"a":"\\ud800"}'])
def test_a_genuine_body_that_is_no_json_is_refused_as_such(name: str, body: bytes) -> None:
    sender = SENDERS[name]
    headers = {**sender.request().headers}
    if name == "stripe":
        headers["stripe-signature"] = b"t=%d,v1=" % AT_S + digest(SECRET.encode(), b"%d." % AT_S + body)
    else:
        headers |= {key.lower(): value.encode() for key, value in sender.headers(sender.secrets[0], body, AT_S).items()}

    with pytest.raises(InvalidInputError) as refusal:
        answer_of(sender, IncomingRequest(body=body, headers=headers))

    assert refusal.value.code == "input.not_json"
