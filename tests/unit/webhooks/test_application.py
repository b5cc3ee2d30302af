"""Applications as values."""

from datetime import UTC, datetime

import pytest

from rowcast.core.errors import InvalidFieldError
from rowcast.webhooks.application import (
    Application,
    ApplicationChange,
    ApplicationDraft,
    changed,
    checked_draft,
    checked_rate,
    draft_of,
    is_uid,
    tenant_of,
)

AT = datetime(2026, 6, 19, tzinfo=UTC)
DRAFT = ApplicationDraft(name="Acme", uid="acme", throttle_rate=5, metadata={"a": "b"})


@pytest.mark.parametrize("uid", ["acme", "a", "A-b_c.d", "-x", "0" * 256, "apple"])
def test_words_can_be_uids(uid: str) -> None:
    assert checked_draft(ApplicationDraft(name="x", uid=uid)).uid == uid


@pytest.mark.parametrize(
    "uid", ["", "app_1", "a b", "ü", "a/b", "0" * 257, "a\x00", "a\n", "\N{ARABIC-INDIC DIGIT THREE}"]
)
def test_what_could_be_taken_for_an_id_or_is_no_word_is_no_uid(uid: str) -> None:
    assert not is_uid(uid, prefix="app_")
    with pytest.raises(InvalidFieldError) as refusal:
        checked_draft(ApplicationDraft(name="x", uid=uid))

    assert refusal.value.place == ("body", "uid")


@pytest.mark.parametrize("name", ["", " ", "x" * 257])
def test_an_application_has_a_name(name: str) -> None:
    with pytest.raises(InvalidFieldError) as refusal:
        checked_draft(ApplicationDraft(name=name))

    assert refusal.value.place == ("body", "name")


@pytest.mark.parametrize("rate", [0, -1, 2**31, 2**70])
def test_a_rate_is_a_number_that_can_be_kept(rate: int) -> None:
    with pytest.raises(InvalidFieldError):
        checked_rate(rate)
    assert (checked_rate(None), checked_rate(1)) == (None, 1)


def test_a_change_keeps_what_it_does_not_name_and_unsets_what_it_names_null() -> None:
    assert changed(DRAFT, ApplicationChange()) == DRAFT
    assert changed(DRAFT, ApplicationChange(uid=None, throttle_rate=None)) == ApplicationDraft(
        name="Acme", metadata={"a": "b"}
    )
    assert changed(DRAFT, ApplicationChange(name="New", metadata={})).name == "New"


def test_a_draft_is_what_can_be_said_of_an_application() -> None:
    made = Application(
        id="app_1", tenant_id="t", uid="acme", name="Acme", throttle_rate=5, metadata={"a": "b"}, created_at=AT,
        changed_at=AT,
    )  # fmt: skip

    assert draft_of(made) == DRAFT


@pytest.mark.parametrize(
    ("uid", "expected"), [("acme", "acme"), (None, "app_1"), ("-acme", "app_1"), ("_x", "app_1"), ("a" * 129, "app_1")]
)
def test_an_application_is_the_tenant_of_its_uid_where_that_can_name_one(uid: str | None, expected: str) -> None:
    assert tenant_of(uid, "app_1") == expected
