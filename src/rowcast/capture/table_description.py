"""A table as its catalogue describes it: what a watch is held against. Pure."""

import msgspec


class TableDescription(msgspec.Struct, frozen=True):
    """A table as it stands. `key` is its primary key in order; `kind` is `r` (table), `p` (partitioned) or no table.

    `risky` names the columns whose JSON form may hold U+0000, which PostgreSQL stores and then cannot read: `json`, and
    whatever is made of other types.
    """

    schema: str
    name: str
    kind: str
    columns: tuple[str, ...]
    key: tuple[str, ...]
    risky: tuple[str, ...] = ()
