"""What is shown has no secrets, no hidden characters and few words."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rowcast.observe.words import OTHER, REDACTED, LabelWords, clean, escape, redact


@pytest.mark.parametrize(
    "text",
    [
        "postgresql://app:hunter2hunter2@db/shop",
        "https://:hunter2hunter2@db/shop",
        "Authorization: Bearer hunter2hunter2",
        "Basic hunter2hunter2==",
        "whsec_hunter2hunter2",
        "sk_hunter2hunter2",
        "xoxb-hunter2hunter2",
        "eyJhunter2hunter2.eyJodW50ZXIy.hunter2",
        "mail to hunter2@example.org failed",
    ],
)
def test_a_secret_inside_a_text_is_redacted(text: str) -> None:
    assert "hunter2" not in redact(text)
    assert REDACTED in redact(text)


@pytest.mark.parametrize(
    "text", ["http_503", "crash:KeyError", "https://db.example/path?x=1", "2026-01-01T00:00:00Z", ""]
)
def test_an_ordinary_text_stays(text: str) -> None:
    assert redact(text) == text


@pytest.mark.parametrize(
    "key", ["password", "apiKey", "API_KEY", "webhook_secret", "authorization", "to_email", "payload"]
)
def test_what_stands_under_a_secret_key_is_redacted(key: str) -> None:
    assert clean(key, "plain") == REDACTED
    assert clean(key, "plain " * 20) == REDACTED


def test_sizes_under_such_keys_are_no_secrets() -> None:
    assert clean("payload_bytes", 70_000) == 70_000


@given(st.text())
def test_an_escaped_text_is_one_visible_line(text: str) -> None:
    escaped = escape(text)

    assert len(escaped.splitlines()) <= 1
    assert not any(character < " " or character == "\x7f" for character in escaped)


@pytest.mark.parametrize("hidden", ["\r", "\n", "\x1b[31m", "\u202e", "\u2028", "\x9b", "\ufeff"])
def test_a_character_that_moves_or_hides_is_written_out(hidden: str) -> None:
    assert hidden not in escape(f"a{hidden}b")
    assert f"\\u{ord(hidden[0]):04x}" in escape(f"a{hidden}b")


def test_a_long_text_is_cut() -> None:
    assert len(str(clean("error", "x" * 10_000))) == 500


def test_a_label_has_few_words_and_one_for_the_rest() -> None:
    words = LabelWords(limit=3)

    seen = [words.word(f"tenant{number}") for number in range(1000)]

    assert seen[:3] == ["tenant0", "tenant1", "tenant2"]
    assert set(seen[3:]) == {OTHER}
    assert words.word("tenant1") == "tenant1"


@pytest.mark.parametrize(
    ("value", "word"),
    [
        ("http_503", "http_5xx"),
        ("http_404", "http_4xx"),
        ("crash:KeyError", "crash"),
        (True, "true"),
        (None, ""),
        ("a b", OTHER),
    ],
)
def test_a_label_word_names_the_class_of_a_value(value: str | bool | None, word: str) -> None:
    assert LabelWords().word(value) == word
