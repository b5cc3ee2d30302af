"""Sealed values open with their key and in their place only."""

import base64
import itertools

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given
from hypothesis import strategies as st

from rowcast.core.errors import ConfigError, RowcastError, StoreError
from rowcast.webhooks.sealing import KeyRing, SealKey, key_name, parse_key, written_key

OLD, NEW = SealKey("old", b"o" * 32), SealKey("new", b"n" * 32)
CONTEXT = "endpoint ep_1"


def ring(*keys: SealKey) -> KeyRing:
    counter = itertools.count()
    return KeyRing(keys, noise=lambda count: next(counter).to_bytes(count, "big"))


@given(st.binary(max_size=300), st.text(max_size=40))
def test_what_is_sealed_opens_again_in_the_same_context(data: bytes, context: str) -> None:
    sealed = ring(NEW).seal(data, context=context)

    assert ring(NEW).open(sealed, context=context) == data


@given(st.binary(min_size=8, max_size=60), st.data())
def test_a_changed_or_cut_value_never_opens(data: bytes, choice: st.DataObject) -> None:
    sealed = ring(NEW).seal(data, context=CONTEXT)
    cut = sealed[: choice.draw(st.integers(min_value=0, max_value=len(sealed) - 1))]
    place = choice.draw(st.integers(min_value=1, max_value=len(sealed) - 1))
    changed = bytearray(sealed)
    changed[place] ^= choice.draw(st.integers(min_value=1, max_value=255))

    for bad in (cut, bytes(changed)):
        with pytest.raises(RowcastError) as refused:
            ring(NEW).open(bad, context=CONTEXT)
        assert refused.value.code in ("store.sealed", "config.seal_key")


@given(st.text(max_size=20))
def test_a_value_does_not_open_in_another_place(context: str) -> None:
    sealed = ring(NEW).seal(b"secret", context=CONTEXT)

    if context != CONTEXT:
        with pytest.raises(StoreError) as refused:
            ring(NEW).open(sealed, context=context)
        assert refused.value.code == "store.sealed"


@given(st.binary(max_size=80))
def test_junk_is_refused_and_nothing_else_is_raised(junk: bytes) -> None:
    if junk[:1] != b"\x00":
        with pytest.raises(RowcastError):
            ring(NEW, OLD).open(junk, context=CONTEXT)


def test_the_form_is_version_name_nonce_and_aes_gcm_as_another_implementation_reads_it() -> None:
    sealed = ring(NEW).seal(b"secret", context=CONTEXT)

    head, nonce, body = sealed[:5], sealed[5:17], sealed[17:]
    assert head == b"\x01\x03new"
    assert AESGCM(NEW.key).decrypt(nonce, body, head + CONTEXT.encode()) == b"secret"


def test_the_first_key_seals_and_every_key_opens() -> None:
    older = ring(OLD).seal(b"secret", context=CONTEXT)
    newer = ring(NEW, OLD).seal(b"secret", context=CONTEXT)

    assert (key_name(older), key_name(newer)) == ("old", "new")
    assert ring(NEW, OLD).open(older, context=CONTEXT) == b"secret"


def test_a_value_of_a_key_that_is_not_in_the_ring_names_the_key() -> None:
    sealed = ring(OLD).seal(b"secret", context=CONTEXT)

    with pytest.raises(ConfigError, match="'old'") as refused:
        ring(NEW).open(sealed, context=CONTEXT)

    assert refused.value.code == "config.seal_key"
    assert ring(OLD).open(sealed, context=CONTEXT) == b"secret"


def test_a_key_of_the_same_name_and_other_bytes_does_not_open_it() -> None:
    sealed = ring(OLD).seal(b"secret", context=CONTEXT)

    with pytest.raises(StoreError):
        ring(SealKey("old", b"x" * 32)).open(sealed, context=CONTEXT)


def test_a_ring_without_keys_keeps_values_as_they_are_and_any_ring_reads_them() -> None:
    kept = ring().seal(b"secret", context=CONTEXT)

    assert kept == b"\x00secret"
    assert key_name(kept) is None
    assert ring().open(kept, context=CONTEXT) == ring(NEW).open(kept, context=CONTEXT) == b"secret"


def test_the_same_secret_is_never_sealed_into_the_same_bytes() -> None:
    keys = ring(NEW)

    assert keys.seal(b"secret", context=CONTEXT) != keys.seal(b"secret", context=CONTEXT)


@given(st.binary(min_size=32, max_size=32))
def test_a_key_is_read_back_from_its_written_form_with_or_without_padding(key: bytes) -> None:
    written = written_key(SealKey("2026-11", key))

    assert parse_key(written) == parse_key(written.rstrip("=")) == SealKey("2026-11", key)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "name",
        "name:",
        ":" + base64.b64encode(b"k" * 32).decode(),
        "Name:" + base64.b64encode(b"k" * 32).decode(),
        "a" * 33 + ":" + base64.b64encode(b"k" * 32).decode(),
        "name:" + base64.b64encode(b"k" * 31).decode(),
        "name:" + base64.b64encode(b"k" * 33).decode(),
        "name:not base64 of anything at all, but long enough",
    ],
)
def test_a_key_that_cannot_be_used_is_refused_without_being_quoted(text: str) -> None:
    with pytest.raises(ConfigError) as refused:
        parse_key(text)

    assert refused.value.code == "config.seal_keys"
    assert base64.b64encode(b"k" * 31).decode() not in str(refused.value)


def test_two_keys_of_one_name_are_refused() -> None:
    with pytest.raises(ConfigError) as refused:
        ring(OLD, SealKey("old", b"x" * 32))

    assert refused.value.code == "config.seal_keys"


def test_neither_keys_nor_rings_show_their_bytes() -> None:
    assert "oooo" not in repr(OLD)
    assert "oooo" not in repr(vars(KeyRing)) + repr(ring(OLD))
