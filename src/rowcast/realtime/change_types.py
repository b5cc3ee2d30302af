"""What is known of a changed table: its key, the types of its columns, and what a role may see of it. Pure."""

from collections.abc import Iterable, Mapping
from typing import Literal

import msgspec

Family = Literal["base", "array", "composite", "enum", "other"]
TEXT_BASES = frozenset({"text", "varchar", "bpchar", "name", "citext"})


class ColumnType(msgspec.Struct, frozen=True):
    """A type: its own name, and the name of what it is behind its domains.

    `element` is there for arrays, `fields` for composite types.
    """

    name: str
    base: str
    family: Family = "base"
    element: "ColumnType | None" = None
    fields: tuple[tuple[str, "ColumnType"], ...] = ()
    is_text: bool = False


class Collation(msgspec.Struct, frozen=True):
    """How texts of a column compare.

    `is_bytewise`: in the order of their bytes. `is_deterministic`: equal only when they are the same text.
    `folds_ascii`: upper and lower case of ASCII letters are those of English.
    """

    is_bytewise: bool = False
    is_deterministic: bool = True
    folds_ascii: bool = True


class TableFacts(msgspec.Struct, frozen=True):
    """A table. `is_guarded`: it has row-level security. `ancestors`: the tables that it is a partition of."""

    oid: int
    schema: str
    name: str
    is_guarded: bool
    key: list[str]
    ancestors: list[int]


class ColumnFacts(msgspec.Struct, frozen=True):
    """A column as filters see it."""

    name: str
    kind: ColumnType
    collation: Collation
    shown_type: str


class RoleFacts(msgspec.Struct, frozen=True):
    """What a role may see of a table. `is_checked`: each row is asked about.

    `reads_all`: every column, also one that has another name by now; otherwise those that are `readable` today.
    """

    is_checked: bool
    readable: frozenset[str]
    reads_all: bool = False

    def columns_of(self, names: Iterable[str]) -> frozenset[str]:
        """Give which of some columns may be read."""
        return frozenset(names) if self.reads_all else self.readable.intersection(names)


class Literals(msgspec.Struct, frozen=True):
    """The operands of a condition as PostgreSQL writes them."""

    texts: tuple[str, ...]


class Published(msgspec.Struct, frozen=True):
    """A table that a subscription may name."""

    oid: int
    schema: str
    name: str


class TypeRow(msgspec.Struct, frozen=True):
    """A type as the catalogue describes it."""

    oid: int
    name: str
    base: str
    kind: str
    category: str
    is_builtin: bool
    element_oid: int
    field_names: list[str]
    field_oids: list[int]


UNKNOWN_TYPE = ColumnType("text", "unknown", "other")


def needed_oids(rows: Mapping[int, TypeRow]) -> set[int]:
    """Give the types that the known ones are made of and that are not known yet."""
    wanted = {oid for row in rows.values() for oid in (row.element_oid, *row.field_oids) if oid}
    return wanted - rows.keys()


def build_type(oid: int, rows: Mapping[int, TypeRow], depth: int = 0) -> ColumnType:
    """Give a type with all that it is made of."""
    row = rows.get(oid)
    if row is None or depth > 8:
        return UNKNOWN_TYPE
    if row.element_oid:
        return ColumnType(row.name, row.base, "array", build_type(row.element_oid, rows, depth + 1))
    if row.kind == "c":
        pairs = zip(row.field_names, row.field_oids, strict=True)
        fields = tuple((name, build_type(each, rows, depth + 1)) for name, each in pairs)
        return ColumnType(row.name, row.base, "composite", fields=fields)
    if row.kind == "e":
        return ColumnType(row.name, row.base, "enum")
    family: Family = "base" if row.is_builtin and row.kind == "b" else "other"
    return ColumnType(row.name, row.base, family, is_text=row.category == "S")
