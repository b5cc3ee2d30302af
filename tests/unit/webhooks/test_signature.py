"""Standard Webhooks signatures, held to the public vectors and to the public library."""

import contextlib
import traceback
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook

from rowcast.core.clock import SystemClock
from rowcast.core.errors import InvalidInputError, InvalidSignatureError, RowcastError, StaleTimestampError
from rowcast.webhooks import signature
from rowcast.webhooks.asymmetric import new_private_key, public_key
from rowcast.webhooks.signature import (
    checked_secret,
    new_secret,
    scheme_of,
    secret_key,
    secret_text,
    sign,
    signed_headers,
    verification_key,
    verify,
)

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
OTHER = secret_text(b"o" * 32)
ID = "msg_p5jXN8AQM9LWM0D4loKWxJek"
TIMESTAMP = 1614265330
BODY = b'{"test": 2432232314}'
SIGNATURE = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
NOW = datetime.fromtimestamp(TIMESTAMP, UTC)
PRIVATE = "whsk_6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbfVKIDij2HKpMKkioLlX0dRqSKJp4AJ6p9lMicMFs6Kvg=="
PUBLIC = "whpk_1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4="
ED25519 = "v1a,hnO3f9T8Ytu9HwrXslvumlUpqtNVqkhqw/enGzPCXe5BdqzCInXqYXFymVJaA7AZdpXwVLPo3mNl8EM+m7TBAg=="


def headers(**changed: str) -> dict[str, str]:
    return {"webhook-id": ID, "webhook-timestamp": str(TIMESTAMP), "webhook-signature": SIGNATURE} | {
        f"webhook-{name}": value for name, value in changed.items()
    }


def test_public_vector_is_reproduced() -> None:
    assert sign([SECRET], message_id=ID, timestamp_s=TIMESTAMP, body=BODY) == SIGNATURE
    assert verify([SECRET], headers(), BODY, now=NOW) == ID


@given(key=st.binary(min_size=24, max_size=64), body=st.text(max_size=200))
def test_what_we_sign_verifies_with_the_public_library(key: bytes, body: str) -> None:
    secret, now = secret_text(key), SystemClock().now()
    made = signed_headers([OTHER, secret], message_id=ID, timestamp_s=int(now.timestamp()), body=body.encode())

    with contextlib.suppress(ValueError):  # the signature was taken; the library then insists on a JSON body
        Webhook(secret).verify(body, made)
    assert verify([secret], made, body.encode(), now=now) == ID


def test_what_the_public_library_signs_verifies_with_us() -> None:
    signature = Webhook(SECRET).sign(ID, NOW, BODY.decode())

    assert verify([SECRET], headers(signature=signature), BODY, now=NOW) == ID


@pytest.mark.parametrize("secret", [SECRET, SECRET.removeprefix("whsec_"), secret_text(b"x" * 25).rstrip("=")])
def test_secret_is_taken_with_and_without_prefix_and_padding(secret: str) -> None:
    assert len(secret_key(secret)) in (24, 25)


@pytest.mark.parametrize(
    "secret",
    ["", "whsec_", "whsec_!!!", secret_text(b"x" * 24)[:-8], "whsec_" + "A" * 100, "whsec_ü", "whsk_" + "A" * 32],
)
def test_malformed_secret_is_refused_without_being_quoted(secret: str) -> None:
    with pytest.raises(InvalidInputError) as refusal:
        secret_key(secret)

    assert refusal.value.code == "input.secret"
    shown = "".join(traceback.format_exception(refusal.value))
    assert len(secret) < 9 or secret.removeprefix("whsec_") not in shown


def test_every_secret_of_a_rotation_signs_and_any_verifies() -> None:
    made = signed_headers([SECRET, OTHER], message_id=ID, timestamp_s=TIMESTAMP, body=BODY)

    assert [verify([secret], made, BODY, now=NOW) for secret in (SECRET, OTHER)] == [ID, ID]
    assert verify([OTHER, SECRET], headers(), BODY, now=NOW) == ID


def test_the_public_vector_of_ed25519_is_reproduced() -> None:
    assert sign([PRIVATE], message_id=ID, timestamp_s=TIMESTAMP, body=BODY) == ED25519
    assert verify([PUBLIC], headers(signature=ED25519), BODY, now=NOW) == ID
    assert verify([PRIVATE], headers(signature=ED25519), BODY, now=NOW) == ID


def test_secrets_of_both_versions_sign_one_message_and_each_receiver_finds_its_own() -> None:
    made = signed_headers([PRIVATE, SECRET], message_id=ID, timestamp_s=TIMESTAMP, body=BODY)

    assert made["webhook-signature"] == f"{ED25519} {SIGNATURE}"
    assert [verify([key], made, BODY, now=NOW) for key in (PUBLIC, SECRET)] == [ID, ID]


@given(st.integers(min_value=0, max_value=10**6), st.data())
def test_no_changed_or_cut_message_verifies_in_either_version(place: int, choice: st.DataObject) -> None:
    made = signed_headers([PRIVATE, SECRET], message_id=ID, timestamp_s=TIMESTAMP, body=BODY)
    place %= len(BODY)
    changed = bytearray(BODY)
    changed[place] ^= choice.draw(st.integers(min_value=1, max_value=255))
    signatures = made["webhook-signature"].split(" ")
    cut = " ".join(item[: choice.draw(st.integers(min_value=0, max_value=len(item) - 1))] for item in signatures)

    for given_headers, body in ((made, bytes(changed)), (made, BODY[:place]), (headers(signature=cut), BODY)):
        with pytest.raises(InvalidSignatureError):
            verify([PUBLIC, SECRET], given_headers, body, now=NOW)


@pytest.mark.parametrize("signature", [f"v1,{ED25519[4:]}", f"v1a,{SIGNATURE[3:]}"])
def test_an_item_of_one_version_never_counts_as_the_other(signature: str) -> None:
    with pytest.raises(InvalidSignatureError):
        verify([PUBLIC, SECRET], headers(signature=signature), BODY, now=NOW)


def test_a_public_key_used_as_a_shared_secret_verifies_nothing() -> None:
    # Who knows the public key could otherwise sign with it.
    forged = sign([PUBLIC.replace("whpk_", "whsec_")], message_id=ID, timestamp_s=TIMESTAMP, body=BODY)

    with pytest.raises(InvalidSignatureError):
        verify([PUBLIC], headers(signature=forged), BODY, now=NOW)
    with pytest.raises(InvalidSignatureError):
        verify([PUBLIC], headers(signature=forged.replace("v1,", "v1a,")), BODY, now=NOW)


def test_a_new_secret_is_of_the_version_asked_for_and_shows_receivers_what_they_need() -> None:
    shared, private = new_secret(), new_secret(scheme="v1a")

    assert (scheme_of(shared), scheme_of(private), scheme_of(public_key(private))) == ("v1", "v1a", "v1a")
    assert (verification_key(shared), verification_key(private)) == (shared, public_key(private))
    assert [checked_secret(each) for each in (shared, private)] == [shared, private]
    assert new_private_key(lambda size: b"n" * size) == new_secret(lambda size: b"n" * size, "v1a")


def test_both_header_families_carry_the_same_values() -> None:
    made = signed_headers([SECRET], message_id=ID, timestamp_s=TIMESTAMP, body=BODY)

    assert set(made) == {
        f"{family}-{part}" for family in ("webhook", "svix") for part in ("id", "timestamp", "signature")
    }
    assert all(made[f"webhook-{part}"] == made[f"svix-{part}"] for part in ("id", "timestamp", "signature"))
    assert (
        verify([SECRET], {name.upper(): value for name, value in made.items() if "svix" in name}, BODY, now=NOW) == ID
    )


@pytest.mark.parametrize("seconds", [-300, -299, 0, 300])
def test_timestamp_within_five_minutes_is_fresh(seconds: int) -> None:
    assert verify([SECRET], headers(), BODY, now=NOW + timedelta(seconds=seconds)) == ID


@pytest.mark.parametrize("seconds", [-301, 301, 86_400])
def test_timestamp_beyond_five_minutes_is_stale(seconds: int) -> None:
    with pytest.raises(StaleTimestampError):
        verify([SECRET], headers(), BODY, now=NOW + timedelta(seconds=seconds))


@pytest.mark.parametrize("timestamp", ["-1", "1e9", "1614265330.0", " 1614265330", "01614265330", "٣", "9" * 5000, "x"])
def test_timestamp_that_is_no_whole_number_is_refused(timestamp: str) -> None:
    with pytest.raises(StaleTimestampError):
        verify([SECRET], headers(timestamp=timestamp), BODY, now=NOW)


@pytest.mark.parametrize(
    "signature",
    [
        "v1",
        "v1,",
        "x",
        ",",
        "v1,!!!",
        "v1a," + SIGNATURE[3:],
        "v2," + SIGNATURE[3:],
        SIGNATURE[3:],
        "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OF=",
        SIGNATURE.lower(),
        "v1,ü",
        "v1,\udcff",
        " ".join(["v1,x"] * 32 + [SIGNATURE]),
        SIGNATURE + "\x00",
    ],
)
def test_signature_that_does_not_fit_is_refused(signature: str) -> None:
    with pytest.raises(InvalidSignatureError):
        verify([SECRET], headers(signature=signature), BODY, now=NOW)


@pytest.mark.parametrize("signature", [f"v1a,zzz {SIGNATURE}", f"x {SIGNATURE} v1,other", f"  {SIGNATURE}"])
def test_fitting_item_counts_among_others(signature: str) -> None:
    assert verify([SECRET], headers(signature=signature), BODY, now=NOW) == ID


@pytest.mark.parametrize("change", [{"id": "msg_other"}, {"id": ""}, {"signature": ""}, {"timestamp": ""}])
def test_missing_or_altered_header_is_refused(change: dict[str, str]) -> None:
    with pytest.raises(InvalidSignatureError):
        verify([SECRET], headers(**change), BODY, now=NOW)


@pytest.mark.parametrize("body", [BODY + b" ", BODY.replace(b": ", b":"), b"", b"\xff"])
def test_body_altered_by_a_byte_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidSignatureError):
        verify([SECRET], headers(), body, now=NOW)


def test_a_stranger_makes_no_more_work_than_a_few_readings_of_the_body(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[int] = []
    monkeypatch.setattr(signature, "is_signed_by", lambda _, content, __: bool(read.append(len(content))))
    keys = [public_key(new_private_key()) for _ in range(10)]
    given = " ".join(f"v1a,{number:086d}==" for number in range(32))

    with pytest.raises(InvalidSignatureError):
        verify(keys, headers(signature=given), b"x" * 1_000_000, now=NOW)

    # Each of the 320 pairs would read all of it, for seconds.
    assert sum(read) <= 8_388_608
    assert len(read) >= 4


def test_nothing_verifies_without_a_secret() -> None:
    with pytest.raises(InvalidSignatureError):
        verify([], headers(), BODY, now=NOW)


@given(
    st.dictionaries(st.sampled_from(["webhook-id", "webhook-timestamp", "webhook-signature", "Svix-Id"]), st.text()),
    st.binary(),
)
def test_any_headers_are_verified_or_refused(given_headers: dict[str, Any], body: bytes) -> None:
    with pytest.raises(RowcastError):
        verify([SECRET], given_headers, body, now=NOW)


def test_new_secret_is_thirty_two_bytes_of_noise() -> None:
    assert secret_key(new_secret(lambda size: b"n" * size)) == b"n" * 32
    assert new_secret() != new_secret()
