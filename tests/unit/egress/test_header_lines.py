"""Headers that may be sent."""

import pytest

from rowcast.core.errors import InvalidInputError
from rowcast.egress.header_lines import header_lines


def test_headers_become_lines() -> None:
    assert header_lines({"webhook-id": "msg_1", "X-Empty": "", "X-Tab": "a\tb"}) == [
        "webhook-id: msg_1",
        "X-Empty;",
        "X-Tab: a\tb",
    ]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("", "x"),
        ("a b", "x"),
        ("a:", "x"),
        ("a\r\nb", "x"),
        ("ä", "x"),
        ("x" * 129, "x"),
        ("@file", "x"),
        ("Host", "x"),
        ("CONTENT-LENGTH", "1"),
        ("Transfer-Encoding", "chunked"),
        ("Connection", "close"),
        ("Expect", "100-continue"),
        ("Cookie", "a=b"),
        ("x", "a\r\nEvil: 1"),
        ("x", "a\nb"),
        ("x", "a\rb"),
        ("x", "a\x00b"),
        ("x", "ü"),
        ("x", "a" * 4097),
        ("x", "\x7f"),
        ("x", "a\n"),
    ],
)
def test_header_that_could_become_another_is_refused(name: str, value: str) -> None:
    with pytest.raises(InvalidInputError) as refusal:
        header_lines({name: value})

    assert refusal.value.code == "input.header"


def test_too_many_headers_are_refused() -> None:
    with pytest.raises(InvalidInputError):
        header_lines({f"x-{number}": "1" for number in range(65)})
