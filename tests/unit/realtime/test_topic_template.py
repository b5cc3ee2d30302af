"""Templates of topics: a topic fits as a whole, part by part, or not at all."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rowcast.core.errors import InvalidInputError
from rowcast.realtime.topic_template import parse_template

PART = st.text(st.characters(exclude_characters=":"), min_size=1, max_size=12)


def test_a_topic_that_fits_gives_its_parameters() -> None:
    assert parse_template("orders:{shop}:{id}").match("orders:s1:42") == {"shop": "s1", "id": "42"}
    assert parse_template("lobby").match("lobby") == {}


@pytest.mark.parametrize(
    "topic",
    [
        "",
        "orders",
        "orders:",
        "orders:1:2",
        "orders:1:",
        ":orders:1",
        "xorders:1",
        "ORDERS:1",
        "orders::1",
        "orders :1",
    ],
)
def test_a_topic_that_only_begins_ends_or_looks_like_it_does_not_fit(topic: str) -> None:
    assert parse_template("orders:{id}").match(topic) is None


@given(PART, PART)
def test_a_parameter_is_the_whole_part_and_nothing_appended_passes(text: str, more: str) -> None:
    template = parse_template("orders:{id}")

    assert template.match(f"orders:{text}") == {"id": text}
    assert template.match(f"orders:{text}:{more}") is None
    assert parse_template("orders:1").match(f"orders:1{more}") is None


@pytest.mark.parametrize(
    "template",
    ["", "orders:x{id}", "orders:{id}x", "orders:{}", "orders:{Id}", "orders:{id", "orders:{a}{b}", "orders:{id}:{id}",
     "{id}", "{kind}:{id}", "tenant:{id}", "a\nb", "x" * 250],
)  # fmt: skip
def test_a_template_that_would_mean_more_than_it_says_is_refused(template: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        parse_template(template)

    assert caught.value.code == "input.topic_template"
