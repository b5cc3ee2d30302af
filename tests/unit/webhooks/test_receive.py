"""What an application calls when a webhook comes in."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from standardwebhooks import Webhook
from svix.webhooks import Webhook as SvixWebhook

from rowcast import errors, verify_webhook
from rowcast.webhooks.asymmetric import new_private_key, public_key
from rowcast.webhooks.signature import secret_text, signed_headers

SECRET, OTHER = secret_text(b"s" * 32), secret_text(b"o" * 32)
BODY = b'{"type": "orders.confirmed"}'


def headers(*secrets: str, at: datetime | None = None) -> dict[str, str]:
    moment = at or datetime.now(UTC)
    return signed_headers(secrets or [SECRET], message_id="msg_1", timestamp_s=int(moment.timestamp()), body=BODY)


def test_a_message_gives_its_id() -> None:
    assert verify_webhook(SECRET, headers(), BODY) == "msg_1"


@pytest.mark.parametrize("library", [Webhook, SvixWebhook])
def test_what_other_libraries_sign_is_received(library: Any) -> None:
    now = datetime.now(UTC)
    made = headers() | {"webhook-signature": library(SECRET).sign("msg_1", now, BODY.decode())}

    assert verify_webhook(SECRET, made, BODY, now=now) == "msg_1"


@pytest.mark.parametrize("library", [Webhook, SvixWebhook])
def test_what_we_sign_is_received_by_other_libraries_during_a_rotation_too(library: Any) -> None:
    made = headers(OTHER, new_private_key(), SECRET)

    for secret in (SECRET, OTHER):
        library(secret).verify(BODY, made)


def test_the_old_and_the_new_secret_are_given_together() -> None:
    assert [verify_webhook([OTHER, SECRET], headers(each), BODY) for each in (SECRET, OTHER)] == ["msg_1", "msg_1"]


def test_a_public_key_is_a_secret_like_any_other() -> None:
    private = new_private_key()

    assert verify_webhook([SECRET, public_key(private)], headers(private), BODY) == "msg_1"
    with pytest.raises(errors.InvalidSignatureError):
        verify_webhook(public_key(new_private_key()), headers(private), BODY)


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(errors.InvalidSignatureError):
        verify_webhook(OTHER, headers(), BODY)
    with pytest.raises(errors.StaleTimestampError):
        verify_webhook(SECRET, headers(at=datetime.now(UTC) - timedelta(hours=1)), BODY)


@pytest.mark.parametrize("body", [BODY.decode(), {"type": "orders.confirmed"}, None, bytearray(BODY)])
def test_a_body_that_was_parsed_is_refused_with_what_to_do(body: Any) -> None:
    with pytest.raises(errors.UsageError, match="as they came in") as refused:
        verify_webhook(SECRET, headers(), body)

    assert refused.value.code == "usage.body"
