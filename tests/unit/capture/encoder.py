"""A naive encoder of the stream's messages, byte by byte as the protocol's page says, to hold the decoder against."""

from collections.abc import Sequence

from rowcast.capture.pgoutput import (
    UNCHANGED,
    Begin,
    Commit,
    Delete,
    Insert,
    LogicalMessage,
    Message,
    Origin,
    Relation,
    Truncate,
    Type,
    Update,
    Value,
)


def number(value: int, size: int) -> bytes:
    return (value % (1 << (8 * size))).to_bytes(size, "big")


def word(text: str) -> bytes:
    return text.encode() + b"\0"


def row(values: Sequence[Value]) -> bytes:
    return number(len(values), 2) + b"".join(map(_value, values))


def _value(value: Value) -> bytes:
    if value is None:
        return b"n"
    if isinstance(value, bytes):
        return b"t" + number(len(value), 4) + value
    assert value is UNCHANGED
    return b"u"


def relation(told: Relation) -> bytes:
    columns = b"".join(
        number(column.is_key, 1) + word(column.name) + number(column.type_oid, 4) + number(column.modifier, 4)
        for column in told.columns
    )
    head = b"R" + number(told.oid, 4) + word(told.schema) + word(told.table) + told.replica_identity.encode()
    return head + number(len(told.columns), 2) + columns


def encode(told: Message) -> bytes:  # noqa: PLR0912 - one branch for each kind of message
    match told:
        case Relation():
            return relation(told)
        case Begin():
            return b"B" + number(told.commit_lsn, 8) + number(told.committed_at_us, 8) + number(told.xid, 4)
        case Commit():
            return b"C\0" + number(told.commit_lsn, 8) + number(told.end_lsn, 8) + number(told.committed_at_us, 8)
        case Insert():
            return b"I" + number(told.relation.oid, 4) + b"N" + row(told.new)
        case Update():
            old = b"" if told.old is None else (b"O" if told.is_old_whole else b"K") + row(told.old)
            return b"U" + number(told.relation.oid, 4) + old + b"N" + row(told.new)
        case Delete():
            return b"D" + number(told.relation.oid, 4) + (b"O" if told.is_old_whole else b"K") + row(told.old)
        case Truncate():
            options = told.is_cascade + 2 * told.is_identity_restarted
            oids = b"".join(number(each.oid, 4) for each in told.relations)
            return b"T" + number(len(told.relations), 4) + number(options, 1) + oids
        case LogicalMessage():
            head = b"M" + number(told.is_transactional, 1) + number(told.lsn, 8) + word(told.prefix)
            return head + number(len(told.content), 4) + told.content
        case Origin():
            return b"O" + number(told.commit_lsn, 8) + word(told.name)
        case Type():
            return b"Y" + number(told.oid, 4) + word(told.schema) + word(told.name)
