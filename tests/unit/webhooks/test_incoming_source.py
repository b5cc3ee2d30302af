"""What a source may be, and how its secrets follow one another."""

import os
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rowcast.core.errors import InvalidInputError, LimitExceededError
from rowcast.webhooks.incoming import SourceOptions
from rowcast.webhooks.incoming_schemes import SCHEMES
from rowcast.webhooks.incoming_source import (
    SourceDraft,
    SourceSecret,
    active_at,
    checked_draft,
    made_secret,
    options_of,
    parsed_secrets,
    rotated,
    written_secrets,
)
from tests.unit.webhooks.senders import NOW, PUBLIC_URL, SECRET, STANDARD_SECRET

HOUR = timedelta(hours=1)


def draft(**more: Any) -> SourceDraft:
    return SourceDraft(**({"name": "stripe", "scheme": "stripe", "secrets": (SECRET,)} | more))


@pytest.mark.parametrize(
    "good",
    [
        draft(),
        draft(scheme="standard", secrets=(STANDARD_SECRET,)),
        draft(scheme="hmac", options=SourceOptions(header="X-Sign", kept_headers=("X-A",), once_by="body")),
        draft(scheme="twilio", options=SourceOptions(public_url=PUBLIC_URL)),
        draft(scheme="mailchimp", options=SourceOptions(url_secret="key")),
        draft(name="a" * 40, secrets=(SECRET,) * 10),
    ],
)
def test_what_a_source_can_be_is_taken(good: SourceDraft) -> None:
    assert checked_draft(good) == good


@pytest.mark.parametrize(
    ("bad", "code"),
    [
        (draft(name="Stripe"), "input.source"),
        (draft(name=""), "input.source"),
        (draft(name="a.b"), "input.source"),
        (draft(name="a" * 41), "input.source"),
        (draft(scheme="stripes"), "input.source"),
        (draft(secrets=(SECRET,) * 11), "input.source"),
        (draft(options=SourceOptions(header="X-Sign")), "input.source"),
        (draft(scheme="hmac"), "input.source"),
        (draft(scheme="twilio"), "input.source"),
        (draft(scheme="twilio", options=SourceOptions(public_url="hooks.example.com")), "input.source"),
        (draft(scheme="twilio", options=SourceOptions(public_url="https://[")), "input.source"),
        (draft(scheme="hmac", options=SourceOptions(header="X\n")), "input.source"),
        (draft(scheme="hmac", options=SourceOptions(header="X" * 201)), "input.source"),
        (draft(options=SourceOptions(kept_headers=("x",) * 11)), "input.source"),
        (draft(scheme="hmac", options=SourceOptions(header="X", content="{timestamp}.{id}")), "input.source"),
        (
            draft(scheme="hmac", options=SourceOptions(header="X", content="{body}", timestamp_header="T")),
            "input.source",
        ),
        (draft(secrets=("short",)), "input.secret"),
        (draft(secrets=("eight characters\n",)), "input.secret"),
        (draft(scheme="standard"), "input.secret"),
        (draft(scheme="standard", secrets=("whpk_AAAA",)), "input.secret"),
    ],
)
def test_what_a_source_cannot_be_is_refused_without_its_secret(bad: SourceDraft, code: str) -> None:
    with pytest.raises(InvalidInputError) as refusal:
        checked_draft(bad)

    assert refusal.value.code == code
    assert SECRET not in str(refusal.value)


def test_options_come_as_json_and_an_unknown_one_is_refused() -> None:
    assert options_of({"header": "X", "keptHeaders": ["a"]}) == SourceOptions(header="X", kept_headers=("a",))
    for value in ({"headers": "X"}, {"algorithm": "md5"}, [], None):
        with pytest.raises(InvalidInputError) as refusal:
            options_of(value)
        assert refusal.value.code == "input.source"


@pytest.mark.parametrize("scheme", list(SCHEMES))
def test_a_secret_is_made_only_for_who_takes_ours(scheme: str) -> None:
    if scheme in ("bearer", "hmac", "standard"):
        made = made_secret(scheme, os.urandom)
        options = SourceOptions(header="X-Sign") if scheme == "hmac" else SourceOptions()
        assert checked_draft(draft(scheme=scheme, secrets=(made,), options=options)).secrets == (made,)
        assert made != made_secret(scheme, os.urandom)
    else:
        with pytest.raises(InvalidInputError):
            made_secret(scheme, os.urandom)


def test_the_others_stay_valid_until_the_grace_ends_and_never_longer_than_before() -> None:
    secrets = (SourceSecret("one"), SourceSecret("two"), SourceSecret("soon", NOW + HOUR), SourceSecret("gone", NOW))

    after = rotated(secrets, "new", now=NOW, grace_s=7200)

    assert after == (
        SourceSecret("new"), SourceSecret("one", NOW + 2 * HOUR), SourceSecret("two", NOW + 2 * HOUR),
        SourceSecret("soon", NOW + HOUR),
    )  # fmt: skip
    assert [each.text for each in active_at(after, NOW + HOUR)] == ["new", "one", "two"]
    assert [each.text for each in active_at(after, NOW + 2 * HOUR)] == ["new"]


def test_a_rotation_without_grace_ends_all_others_at_once() -> None:
    assert rotated((SourceSecret("one"), SourceSecret("two")), "new", now=NOW, grace_s=0) == (SourceSecret("new"),)


def test_a_secret_that_was_there_is_first_again_and_does_not_end() -> None:
    assert rotated((SourceSecret("one"),), "one", now=NOW, grace_s=60) == (SourceSecret("one"),)


@pytest.mark.parametrize("grace_s", [-1, 604_801, float("nan")])
def test_a_grace_that_is_none_is_refused(grace_s: float) -> None:
    with pytest.raises(InvalidInputError) as refusal:
        rotated((SourceSecret("one"),), "new", now=NOW, grace_s=grace_s)

    assert refusal.value.code == "input.grace"


def test_ten_others_are_the_most() -> None:
    secrets = tuple(SourceSecret(f"s{number}", NOW + HOUR * (number + 1)) for number in range(10))

    with pytest.raises(LimitExceededError) as refusal:
        rotated(secrets, "new", now=NOW)

    assert (refusal.value.code, refusal.value.retry_after_s) == ("limit.secrets", 3600.0)
    assert len(rotated(secrets[1:], "new", now=NOW)) == 10


@given(st.lists(st.text(max_size=8), max_size=4))
def test_secrets_are_written_and_read_back_and_never_shown(texts: list[str]) -> None:
    secrets = tuple(SourceSecret(text, NOW) for text in texts)

    assert parsed_secrets(written_secrets(secrets)) == secrets
    assert all("text" not in repr(secret) for secret in secrets)
