"""Quoting; that the server reads it so is shown in the integration tests of triggers."""

from hypothesis import given
from hypothesis import strategies as st

from rowcast.capture.sql_text import dollar_quoted, free_name, indented, literal, one_line, quoted


@given(st.text())
def test_a_quoted_name_ends_only_where_it_should(name: str) -> None:
    inner = quoted(name)[1:-1]

    assert inner.replace('""', "") == inner.replace('""', "").replace('"', "")
    assert inner.replace('""', '"') == name


@given(st.text())
def test_a_literal_is_read_back_under_both_rules_for_backslashes(text: str) -> None:
    written = literal(text)
    inner = written[2:-1] if written.startswith("E") else written[1:-1]

    assert ("\\" in text) == written.startswith("E")
    assert inner.replace("\\\\", "\\").replace("''", "'") == text


@given(st.lists(st.sampled_from(["$rowcast0$", "$rowcast1$", "$", "x"])).map("".join))
def test_a_body_cannot_end_its_own_quotes(body: str) -> None:
    tag = dollar_quoted(body).split("\n")[0]

    assert dollar_quoted(body) == f"{tag}\n{body}\n{tag}"
    assert tag not in body


def test_a_comment_stays_on_its_line() -> None:
    assert one_line("a\n; drop table b\r\n\u2028c") == "a ; drop table b c"


def test_a_free_name_is_one_that_the_table_does_not_use() -> None:
    assert free_name("place", ("a", "place", "place_")) == "place__"


def test_further_lines_begin_further_right() -> None:
    assert indented("a\nb", 2) == "a\n  b"
