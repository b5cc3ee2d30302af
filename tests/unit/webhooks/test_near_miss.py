"""Why a message does not verify, told to whoever looks for it."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rowcast.webhooks.asymmetric import new_private_key, public_key
from rowcast.webhooks.near_miss import near_miss
from rowcast.webhooks.signature import secret_text, signed_headers

SECRET, OTHER = secret_text(b"s" * 32), secret_text(b"o" * 32)
NOW = datetime(2026, 11, 21, tzinfo=UTC)
BODY = '{"type": "orders.confirmed", "data": {"name": "Zoë", "total": 12.5}}'.encode()


def headers(body: bytes, secret: str = SECRET) -> dict[str, str]:
    return signed_headers([secret], message_id="msg_1", timestamp_s=int(NOW.timestamp()), body=body)


@pytest.mark.parametrize(
    ("sent", "came", "sentence"),
    [
        (BODY, BODY + b"\n", "A line end was added"),
        (BODY, BODY + b"\r\n", "A line end was added"),
        (BODY + b"\n", BODY, "is missing"),
        (b"{\n}", b"{\r\n}", "were changed"),
        (BODY, BODY.replace(b": ", b":").replace(b", ", b","), "written anew"),
        (BODY.replace(b": ", b":").replace(b", ", b","), BODY, "written anew"),
        (BODY.replace("ë".encode(), b"\\u00eb"), BODY, "written anew"),
    ],
)
def test_what_happened_to_the_body_is_told(sent: bytes, came: bytes, sentence: str) -> None:
    assert sentence in near_miss([OTHER, SECRET], headers(sent), came, now=NOW)


def test_another_secret_and_another_body_are_no_near_miss() -> None:
    assert near_miss([OTHER], headers(BODY), BODY, now=NOW) == ""
    assert near_miss([SECRET], headers(BODY), b'{"a": 1}', now=NOW) == ""
    assert near_miss([SECRET], {}, BODY, now=NOW) == ""


def test_a_key_of_the_other_version_is_told() -> None:
    private = new_private_key(lambda size: b"k" * size)

    assert near_miss([SECRET], headers(BODY, private), BODY, now=NOW) == (
        "The signatures are of version v1a, the key is for v1."
    )
    assert "the key is for v1a" in near_miss([public_key(private)], headers(BODY), BODY, now=NOW)


@given(st.binary(max_size=200), st.text(max_size=40))
def test_any_body_and_signature_are_looked_at_without_a_fault(body: bytes, signature: str) -> None:
    near_miss([SECRET], {**headers(b""), "webhook-signature": signature}, body, now=NOW)
