"""Keys of version 1a, held to the published vector."""

import base64
import traceback

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from rowcast.core.errors import InvalidInputError
from rowcast.webhooks.asymmetric import (
    checked_private_key,
    is_asymmetric,
    is_signed_by,
    new_private_key,
    public_key,
    signature_by,
)

PRIVATE = "whsk_6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbfVKIDij2HKpMKkioLlX0dRqSKJp4AJ6p9lMicMFs6Kvg=="
PUBLIC = "whpk_1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4="
CONTENT = b'msg_p5jXN8AQM9LWM0D4loKWxJek.1614265330.{"test": 2432232314}'
SIGNATURE = "hnO3f9T8Ytu9HwrXslvumlUpqtNVqkhqw/enGzPCXe5BdqzCInXqYXFymVJaA7AZdpXwVLPo3mNl8EM+m7TBAg=="


def test_the_published_vector_is_reproduced() -> None:
    assert public_key(PRIVATE) == PUBLIC
    assert signature_by(PRIVATE, CONTENT) == SIGNATURE
    assert is_signed_by(PUBLIC, CONTENT, SIGNATURE.encode())
    assert checked_private_key(PRIVATE) == PRIVATE


@given(st.binary(min_size=32, max_size=32), st.binary(max_size=300))
def test_what_a_key_signs_verifies_with_its_public_half_and_nothing_else_does(seed: bytes, content: bytes) -> None:
    private = new_private_key(lambda size: seed[:size])
    made = signature_by(private, content).encode()

    assert is_signed_by(public_key(private), content, made)
    assert is_signed_by(private, content, made)
    assert not is_signed_by(public_key(private), content + b".", made)
    assert is_signed_by(PUBLIC, content, made) == (private == PRIVATE)
    assert base64.b64decode(made) == Ed25519PrivateKey.from_private_bytes(seed).sign(content)


@given(st.binary(max_size=120))
def test_junk_is_no_signature(given: bytes) -> None:
    assert not is_signed_by(PUBLIC, CONTENT, given)


@pytest.mark.parametrize("place", range(0, 64, 7))
def test_a_signature_changed_by_one_bit_does_not_fit(place: int) -> None:
    changed = bytearray(base64.b64decode(SIGNATURE))
    changed[place] ^= 1

    assert not is_signed_by(PUBLIC, CONTENT, base64.b64encode(changed))


@pytest.mark.parametrize("cut", [0, 1, 32, 63])
def test_a_signature_that_is_cut_does_not_fit(cut: int) -> None:
    assert not is_signed_by(PUBLIC, CONTENT, base64.b64encode(base64.b64decode(SIGNATURE)[:cut]))


@pytest.mark.parametrize(
    "key",
    [
        "",
        "whsk_",
        PUBLIC,
        PRIVATE.removeprefix("whsk_"),
        PRIVATE[:-10],
        "whsk_" + base64.b64encode(b"k" * 64).decode(),
        "whsk_" + base64.b64encode(b"k" * 32).decode(),
        "whsk_!!!!",
        "whsk_ü",
    ],
)
def test_a_private_key_that_is_not_whole_is_refused_without_being_quoted(key: str) -> None:
    with pytest.raises(InvalidInputError) as refused:
        checked_private_key(key)

    shown = "".join(traceback.format_exception(refused.value))
    assert refused.value.code == "input.secret"
    assert len(key) < 20 or key[5:] not in shown


def test_a_public_key_cannot_sign() -> None:
    with pytest.raises(InvalidInputError):
        signature_by(PUBLIC, CONTENT)


def test_a_key_is_taken_without_its_padding() -> None:
    assert public_key(PRIVATE.rstrip("=")) == PUBLIC
    assert is_signed_by(PUBLIC.rstrip("="), CONTENT, SIGNATURE.encode())


def test_prefixes_tell_the_kinds_apart() -> None:
    assert [is_asymmetric(key) for key in (PRIVATE, PUBLIC, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "")] == [
        True,
        True,
        False,
        False,
    ]
