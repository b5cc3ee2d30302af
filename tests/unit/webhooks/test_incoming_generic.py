"""Standard Webhooks, a described HMAC, and a secret that is sent along."""

import pytest

from rowcast.webhooks.asymmetric import new_private_key
from rowcast.webhooks.incoming import IncomingRequest, Question, Read, Refused, SourceOptions
from rowcast.webhooks.incoming_generic import (
    read_generic,
    read_standard,
    signed_content,
    verify_bearer,
    verify_hmac,
    verify_standard,
)
from rowcast.webhooks.signature import signed_headers, verification_key
from tests.unit.webhooks.senders import AT_S, NOW, SECRET, base64_hmac, request_of

BODY = b'{"id":7,"type":"thing.made","data":{"kind":"deep"}}'


def asked(request: IncomingRequest, *secrets: str, **options: str) -> Question:
    return Question(request=request, secrets=secrets or (SECRET,), options=SourceOptions(**options), now=NOW)  # type: ignore[arg-type]


def only(question: Question) -> Read:
    (read,) = read_generic(question).reads
    return read


def test_what_is_signed_with_a_private_key_is_verified_with_the_public_one() -> None:
    private = new_private_key(lambda count: b"n" * count)
    headers = signed_headers([private], message_id="msg_1", timestamp_s=AT_S, body=BODY)

    assert verify_standard(asked(request_of(BODY, headers), verification_key(private))) is None
    refused = verify_standard(asked(request_of(BODY + b" ", headers), verification_key(private)))
    assert isinstance(refused, Refused)
    assert refused.code == "auth.signature"


def test_a_message_of_either_family_of_headers_has_its_id_and_type() -> None:
    for family in ("webhook", "svix"):
        (read,) = read_standard(asked(request_of(BODY, {f"{family}-id": "msg_1"}))).reads

        assert read == Read("msg_1", "thing.made", BODY)


@pytest.mark.parametrize("algorithm", ["sha1", "sha256", "sha512"])
def test_an_hmac_is_computed_as_the_options_say(algorithm: str) -> None:
    signed = "mac " + base64_hmac(SECRET, BODY, algorithm)
    how = {"header": "X-Sign", "encoding": "base64", "prefix": "mac ", "algorithm": algorithm}

    assert verify_hmac(asked(request_of(BODY, {"X-Sign": signed}), **how)) is None
    assert verify_hmac(asked(request_of(BODY, {"X-Sign": signed[4:]}), **how)) is not None


@pytest.mark.parametrize(
    ("options", "content"),
    [
        ({}, b"BODY"),
        ({"timestamp_header": "X-Time"}, b"123.BODY"),
        (
            {"content": "{id}|{timestamp}|{body}{other}", "timestamp_header": "X-Time", "id_header": "X-Id"},
            b"9|123|BODY{other}",
        ),
        ({"content": "{body}", "timestamp_header": "X-Time"}, b"BODY"),
    ],
)
def test_what_is_signed_is_put_together_from_its_pieces(options: dict[str, str], content: bytes) -> None:
    assert signed_content(asked(request_of(b"BODY", {"X-Time": "123", "X-Id": "9"}), **options)) == content


def test_a_body_that_looks_like_a_piece_stays_a_body() -> None:
    assert signed_content(asked(request_of(b"{timestamp}", {"T": "1"}), timestamp_header="T")) == b"1.{timestamp}"


@pytest.mark.parametrize("value", [f"Bearer {SECRET}", f"bearer   {SECRET} "])
def test_a_bearer_token_is_a_secret(value: str) -> None:
    assert verify_bearer(asked(request_of(b"", {"Authorization": value}))) is None


@pytest.mark.parametrize("value", ["", "Bearer", "Bearer ", SECRET, f"Basic {SECRET}", "Bearer é", f"Bearer {SECRET}é"])
def test_another_bearer_token_is_refused(value: str) -> None:
    assert verify_bearer(asked(request_of(b"", {"Authorization": value}))) is not None


def test_a_secret_may_come_in_a_header_of_its_own() -> None:
    assert verify_bearer(asked(request_of(b"", {"X-Key": SECRET}), header="X-Key")) is None
    assert verify_bearer(asked(request_of(b"", {"Authorization": f"Bearer {SECRET}"}), header="X-Key")) is not None


@pytest.mark.parametrize(
    ("options", "called", "said"),
    [
        ({"type_field": "data.kind", "id_field": "id"}, "deep", "7"),
        ({"type_header": "X-Type", "id_header": "X-Id"}, "typed", "d-1"),
        ({"type_field": "no", "event_type": "constant", "id_header": "X-Id"}, "constant", "d-1"),
    ],
)
def test_type_and_id_are_where_the_options_say(options: dict[str, str], called: str, said: str) -> None:
    read = only(asked(request_of(BODY, {"X-Type": "typed", "X-Id": "d-1"}), **options))

    assert (read.called, read.delivery_id) == (called, said)


def test_without_an_id_a_signed_time_tells_two_deliveries_of_one_body_apart() -> None:
    def said(time: str) -> str:
        return only(asked(request_of(BODY, {"X-Time": time}), timestamp_header="X-Time")).delivery_id

    assert said("1") == said("1") != said("2")
