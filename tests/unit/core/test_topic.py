import re
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rowcast.core.errors import InvalidInputError, InvalidTopicError
from rowcast.core.ids import TENANT_ID_PATTERN
from rowcast.core.topic import (
    TOPIC_LIMIT_BYTES,
    Topic,
    checked_event_type,
    checked_tenant_id,
    checked_topic,
    module_of,
    parse_topic,
    topic_name,
)

TENANT_IDS = st.from_regex(TENANT_ID_PATTERN, fullmatch=True)
MODULES = st.from_regex(re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,60}"), fullmatch=True)


@given(TENANT_IDS, st.none() | MODULES)
def test_a_topic_that_was_made_is_parsed_back(tenant_id: str, module: str | None) -> None:
    assert parse_topic(topic_name(tenant_id, module)) == (tenant_id, module)
    assert str(Topic(tenant_id, module)) == topic_name(tenant_id, module)


@given(st.text(string.printable, max_size=40))
def test_a_topic_that_can_be_parsed_is_the_one_that_is_made_of_its_parts(text: str) -> None:
    try:
        parsed = parse_topic(text)
    except InvalidTopicError:
        return

    assert str(parsed) == text


@given(st.tuples(TENANT_IDS, st.none() | MODULES), st.tuples(TENANT_IDS, st.none() | MODULES))
def test_no_two_tenants_or_modules_share_a_topic(one: tuple[str, str | None], other: tuple[str, str | None]) -> None:
    assert (topic_name(*one) == topic_name(*other)) == (one == other)


@pytest.mark.parametrize(
    "topic",
    [
        "",
        "tenant",
        "tenant:",
        "tenant::orders",
        "Tenant:acme",
        "tenant:acme:",
        "tenant:acme:-orders",
        "tenant:acme:orders:x",
        "tenant:a b",
        "tenant:acme\n",
        "tenant:acme:orders\n",
        " tenant:acme",
        "orders:acme",
        "tenant:é",
        "tenant:*",
        "tenant:acme:*",
        "realtime:tenant:acme",
        "tenant:" + "x" * 129,
    ],
)
def test_a_topic_that_names_no_tenant_is_refused(topic: str) -> None:
    with pytest.raises(InvalidTopicError) as refused:
        parse_topic(topic)

    assert refused.value.code == "input.topic"


@pytest.mark.parametrize("module", ["", "-orders", "orders.confirmed", "a:b", "a b", "é", "orders\n"])
def test_a_module_that_is_no_single_word_makes_no_topic(module: str) -> None:
    with pytest.raises(InvalidTopicError):
        topic_name("acme", module)


def test_a_missing_tenant_has_a_code_of_its_own() -> None:
    with pytest.raises(InvalidInputError) as refused:
        topic_name("")

    assert refused.value.code == "input.tenant_missing"


@pytest.mark.parametrize("tenant_id", ["a:b", "a b", "a\n", "*", "-a", "é", "x" * 129, "a\x00"])
def test_a_tenant_id_that_could_not_stand_in_a_topic_is_refused(tenant_id: str) -> None:
    with pytest.raises(InvalidInputError) as refused:
        checked_tenant_id(tenant_id)

    assert refused.value.code == "input.tenant"


@pytest.mark.parametrize(
    "event_type",
    [
        "orders.confirmed",
        "a.b",
        "shop_2.order_confirmed.v1",
        "orders.2nd",
        "a." + "b" * 126,
        "orders",
        "Orders.Confirmed",
        "user-created",
        "1.x",
        "orders._x",
        "orders.-x",
    ],
)
def test_words_with_dots_between_them_are_an_event_type(event_type: str) -> None:
    assert checked_event_type(event_type) == event_type


@pytest.mark.parametrize(
    "event_type",
    [
        "",
        "orders.",
        "-orders",
        ".orders",
        "orders..x",
        "orders.confirmed\n",
        "orders confirmed",
        "orders:confirmed",
        "é.x",
        "a." + "b" * 127,
        "orders.*",
    ],
)
def test_anything_else_is_no_event_type(event_type: str) -> None:
    with pytest.raises(InvalidInputError) as refused:
        checked_event_type(event_type)

    assert refused.value.code == "input.event_type"


def test_the_module_is_the_word_before_the_first_dot() -> None:
    assert module_of("orders.lines.added") == "orders"
    assert module_of("Signup-done") == "Signup-done"


def test_a_module_of_something_else_is_refused() -> None:
    with pytest.raises(InvalidInputError):
        module_of("orders.")


@pytest.mark.parametrize("topic", ["orders:acme", "x", "räume:ä", "a" * 246, "room 1/2?"])
def test_any_printable_text_of_the_right_length_is_a_topic(topic: str) -> None:
    assert checked_topic(topic) == topic


@pytest.mark.parametrize("topic", ["", "a\nb", "a\x00", "a\x7f", "a" * 247, "é" * 124, "\ud800" * 90])
def test_an_empty_controlled_or_long_topic_is_refused(topic: str) -> None:
    with pytest.raises(InvalidTopicError):
        checked_topic(topic)


def test_the_longest_topic_fits_a_binary_frame_with_its_prefix() -> None:
    assert len("realtime:" + checked_topic("a" * 246)) == TOPIC_LIMIT_BYTES


def test_the_longest_tenant_with_the_longest_module_is_still_a_topic() -> None:
    assert checked_topic(topic_name("t" * 128, "m" * 110))
    with pytest.raises(InvalidTopicError):
        topic_name("t" * 128, "m" * 111)
