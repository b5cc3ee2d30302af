"""Twilio's signatures: its published vector, ports, both algorithms, and bodies that nothing signs."""

from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twilio.request_validator import RequestValidator

from rowcast.webhooks.incoming import Question, Read, SourceOptions
from rowcast.webhooks.incoming_twilio import called_urls, read_twilio, verify_twilio
from tests.unit.webhooks.senders import FORM, NOW, PUBLIC_URL, SECRET, TWILIO_JSON_QUERY, request_of

VECTOR_BODY = b"CallSid=CA1234567890ABCDE&Caller=%2B14158675309&Digits=1234&From=%2B14158675309&To=%2B18005551212"


def is_verified(
    body: bytes, headers: dict[str, str], *, query: bytes = b"", url: str = PUBLIC_URL, media_type: str = FORM
) -> bool:
    request = request_of(body, headers, media_type, query)
    options = SourceOptions(public_url=url)
    return verify_twilio(Question(request=request, secrets=("12345", SECRET), options=options, now=NOW)) is None


def test_twilios_published_vector_is_verified() -> None:
    url, headers = "https://mycompany.com/myapp.php", {"X-Twilio-Signature": "RSOYDt4T1cUTdK1PDd93/VVr8B8="}

    assert is_verified(VECTOR_BODY, headers, query=b"foo=1&bar=2", url=url)
    assert not is_verified(VECTOR_BODY, headers, query=b"foo=1&bar=3", url=url)
    assert not is_verified(VECTOR_BODY + b"4", headers, query=b"foo=1&bar=2", url=url)


@pytest.mark.parametrize(
    "signed_for", ["https://h.example/in/s", "https://h.example:443/in/s", "https://h.example:8443/in/s"]
)
@pytest.mark.parametrize("configured", ["https://h.example/in/s", "https://h.example:8443/in/s"])
def test_a_port_may_be_signed_or_not(signed_for: str, configured: str) -> None:
    signed = RequestValidator(SECRET).compute_signature(signed_for, {"a": "1"})

    ours = is_verified(b"a=1", {"X-Twilio-Signature": signed}, url=configured)

    assert ours == RequestValidator(SECRET).validate(configured, {"a": "1"}, signed)


def test_a_query_of_the_configured_url_gives_way_to_the_one_that_came() -> None:
    assert called_urls("http://h.example/in/s?x=1#y", b"z=2") == [
        b"http://h.example/in/s?z=2",
        b"http://h.example:80/in/s?z=2",
    ]


@given(fields=st.dictionaries(st.text("abcé ", min_size=1, max_size=3), st.text(max_size=6).filter(str.isprintable)))
def test_a_form_is_signed_field_by_field_in_any_order(fields: dict[str, str]) -> None:
    signed = RequestValidator(SECRET).compute_signature(PUBLIC_URL, fields, "HMAC_SHA256")
    headers = {"X-Twilio-Signature": signed, "X-Twilio-Webhooks-Signature-Settings": "key=k, algorithm=hmac_sha256"}
    body = urlencode(list(reversed(fields.items()))).encode()

    assert is_verified(body, headers)
    assert not is_verified(body + b"&more=1", headers)
    assert not is_verified(body, {"X-Twilio-Signature": signed})


def test_a_body_that_nothing_signs_is_refused() -> None:
    bare = {"X-Twilio-Signature": RequestValidator(SECRET).compute_signature(PUBLIC_URL, {})}
    hashed = {
        "X-Twilio-Signature": RequestValidator(SECRET).compute_signature(
            f"{PUBLIC_URL}?{TWILIO_JSON_QUERY.decode()}", {}
        )
    }

    assert is_verified(b"", bare)
    assert not is_verified(b'{"a":1}', bare, media_type="application/json")
    assert not is_verified(b"", hashed, query=TWILIO_JSON_QUERY)
    assert not is_verified(b"&", hashed, query=TWILIO_JSON_QUERY)


@pytest.mark.parametrize(
    ("body", "called"),
    [
        (b"MessageSid=SM1&MessageStatus=sent", "message.sent"),
        (b"SmsSid=SM1&SmsStatus=received", "message.received"),
        (b"CallSid=CA1&CallStatus=ringing", "call.ringing"),
        (b"EventType=onMessageAdded&CallStatus=x", "onMessageAdded"),
        (b"x=1", ""),
    ],
)
def test_the_type_is_what_happened_to_a_message_or_a_call(body: bytes, called: str) -> None:
    request = request_of(body, {"I-Twilio-Idempotency-Token": "t-1"}, FORM)
    question = Question(request=request, secrets=(), options=SourceOptions(), now=NOW)

    (read,) = read_twilio(question).reads

    assert isinstance(read, Read)
    assert (read.called, read.delivery_id) == (called, "t-1")
