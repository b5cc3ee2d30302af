"""The decoder against a naive encoder, and against everything that is no message."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rowcast.capture.pgoutput import (
    UNCHANGED,
    Begin,
    Column,
    Commit,
    Decoder,
    Delete,
    Insert,
    LogicalMessage,
    Message,
    Origin,
    Relation,
    Truncate,
    Type,
    Update,
)
from rowcast.core.errors import StoreError
from tests.unit.capture.encoder import encode

words = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=20)
u32 = st.integers(0, 2**32 - 1)
u64 = st.integers(0, 2**64 - 1)
i64 = st.integers(-(2**63), 2**63 - 1)
values = st.one_of(st.none(), st.just(UNCHANGED), st.binary(max_size=300))
columns = st.lists(
    st.builds(Column, words, u32, st.booleans(), st.integers(-1, 2**31 - 1)), min_size=0, max_size=12
).map(tuple)
relations = st.builds(Relation, u32, words, words, st.sampled_from("dnfi"), columns)


@st.composite
def changes(draw: st.DrawFn) -> tuple[Relation, Message]:
    """A table and one message about it."""
    relation = draw(relations)
    row = st.lists(values, min_size=len(relation.columns), max_size=len(relation.columns))
    kind = draw(st.sampled_from(["insert", "update", "delete", "truncate"]))
    if kind == "insert":
        return relation, Insert(relation, draw(row))
    if kind == "update":
        old = draw(st.one_of(st.none(), row))
        return relation, Update(relation, old, draw(row), old is not None and draw(st.booleans()))
    if kind == "delete":
        return relation, Delete(relation, draw(row), draw(st.booleans()))
    return relation, Truncate((relation,) * draw(st.integers(0, 4)), draw(st.booleans()), draw(st.booleans()))


messages = st.one_of(
    st.builds(Begin, u64, i64, u32),
    st.builds(Commit, u64, u64, i64),
    st.builds(LogicalMessage, st.booleans(), u64, words, st.binary(max_size=100)),
    st.builds(Origin, u64, words),
    st.builds(Type, u32, words, words),
    relations,
)


@given(messages, st.binary(max_size=30))
def test_what_is_encoded_is_decoded_behind_any_header(told: Message, header: bytes) -> None:
    assert Decoder().decode(header + encode(told), len(header)) == told


@given(changes())
def test_a_change_is_decoded_once_its_table_is_announced(change: tuple[Relation, Message]) -> None:
    relation, told = change
    decoder = Decoder()

    assert decoder.decode(encode(relation)) == relation
    assert decoder.decode(encode(told)) == told


@given(changes(), st.data())
def test_a_message_that_is_cut_or_longer_is_refused(change: tuple[Relation, Message], data: st.DataObject) -> None:
    relation, told = change
    decoder = Decoder()
    decoder.decode(encode(relation))
    text = encode(told)
    end = data.draw(st.integers(0, len(text) - 1))

    for wrong in (text[:end], text + b"x"):
        with pytest.raises(StoreError) as refused:
            decoder.decode(wrong)
        assert refused.value.code == "store.replication_message"


@given(changes(), st.data())
def test_a_message_with_any_byte_changed_is_a_message_or_a_refusal(
    change: tuple[Relation, Message], data: st.DataObject
) -> None:
    relation, told = change
    decoder = Decoder()
    decoder.decode(encode(relation))
    text = bytearray(encode(told))
    text[data.draw(st.integers(0, len(text) - 1))] = data.draw(st.integers(0, 255))

    try:
        decoder.decode(bytes(text))
    except StoreError as error:
        assert error.code == "store.replication_message"


@given(st.binary(max_size=200))
def test_noise_is_refused_and_nothing_else_is_raised(text: bytes) -> None:
    try:
        Decoder().decode(text)
    except StoreError as error:
        assert error.code == "store.replication_message"


@pytest.mark.parametrize(
    "text",
    [
        b"R\0\0\0\x01s\0t\0d\xff\xff",
        b"T\xff\xff\xff\xff\0",
        b"M\0" + b"\0" * 8 + b"p\0\xff\xff\xff\xff",
        b"S\0\0\0\x01\x01",
        b"",
    ],
    ids=["65535 columns", "4 billion tables", "4 GiB of content", "a transaction in progress", "nothing"],
)
def test_a_length_that_lies_is_refused_at_once(text: bytes) -> None:
    with pytest.raises(StoreError) as refused:
        Decoder().decode(text)

    assert refused.value.code == "store.replication_message"


def test_a_value_that_claims_four_gigabytes_is_refused() -> None:
    decoder = Decoder()
    decoder.decode(encode(Relation(1, "s", "t", "d", (Column("a", 25, False),))))

    with pytest.raises(StoreError):
        decoder.decode(b"I\0\0\0\x01N\0\x01t\xff\xff\xff\xffabc")


def test_a_table_that_changed_its_shape_is_read_in_the_new_one() -> None:
    decoder = Decoder()
    before = Relation(1, "s", "t", "d", (Column("a", 25, True),))
    after = Relation(1, "s", "t", "d", (Column("a", 25, True), Column("b", 25, False)))
    decoder.decode(encode(before))
    assert decoder.decode(encode(Insert(before, [b"1"]))) == Insert(before, [b"1"])
    decoder.decode(encode(after))

    assert decoder.decode(encode(Insert(after, [b"1", None]))) == Insert(after, [b"1", None])
    with pytest.raises(StoreError):
        decoder.decode(encode(Insert(before, [b"1"])))


def test_the_catalogues_own_schema_comes_as_an_empty_word() -> None:
    assert Decoder().decode(b"Y\0\0\0\x17\0int4\0") == Type(23, "pg_catalog", "int4")
