"""The body of a watch's function, in plpgsql. Pure: text in, text out.

It runs once a statement and reads the changed rows as tables, so a bulk change costs one insert. Old and new rows of an
update lie in the same order; numbering pairs them, also where a key changed or a row went to another partition.

The usual way takes every row as good: one without a usable tenant becomes a null where none may be, and then the
statement is run again the careful way, row by row decided. So what is usual pays nothing for what is rare. Whatever
else goes wrong becomes a warning: a watch never fails the transaction that changed the row.
"""

import re
from collections.abc import Sequence
from typing import Literal

from rowcast.capture.sql_text import free_name, indented, literal, quoted
from rowcast.capture.table_description import TableDescription
from rowcast.capture.watch import TOPIC_LIMIT_BYTES, ChangeKind, Watch, split_table, topic_columns, topic_parts

Side = Literal["o", "n"]
"""Alias of a statement's old rows, and of its new rows."""
_TABLES: dict[Side, str] = {"n": "new_rows", "o": "old_rows"}
_PAYLOAD_LIMIT_BYTES = 65_536
_HEADER_BYTES = 4
_TENANT_LIMIT_BYTES = 128
# The length apart from the pattern: a bounded repetition costs the server ten times as much.
_TENANT = "~ '^[A-Za-z0-9][A-Za-z0-9_.-]*$'"
_CONTROL = r"E'[\\x01-\\x1f\\x7f]'"
_PAST: dict[ChangeKind, str] = {"insert": "inserted", "update": "updated", "delete": "deleted"}
_WARN = """\
begin
    perform nextval('rowcast.capture_failures');
exception when others then null; -- not even counting may fail the transaction
end;
raise warning using message = {};"""


def event_module(table: str) -> str:
    """Give the module of a watched table's events: its name in lower-case letters, digits and `_`."""
    word = re.sub(r"[^a-z0-9_]", "_", table.lower())
    return word if re.match(r"[a-z]", word) else f"t_{word}"


def event_types(watch: Watch, kinds: Sequence[ChangeKind]) -> tuple[str, ...]:
    """Give the types of a watch's events, one for each kind of change."""
    module = watch.name or event_module(split_table(watch.table)[1])
    return tuple(f"{module}.{_PAST[kind]}" for kind in kinds)


def function_body(watch: Watch, table: TableDescription) -> str:
    """Give the plpgsql of the function that a table's statement triggers call."""
    branches = "\nels".join(_branch(kind, watch, table) for kind in watch.events)
    failed = _WARN.format(literal(f"capture.failed: changes of {_place(table)} are not captured: ") + " || sqlerrm")
    return f"""declare
    is_careful boolean;
begin
    foreach is_careful in array array[false, true] loop
        begin
            {indented(branches, 12)}
            end if;
            return null;
        exception
            when not_null_violation then
                if is_careful then
                    {indented(failed, 20)}
                end if;
            when others then
                {indented(failed, 16)}
                return null;
        end;
    end loop;
    return null;
end"""


def _branch(kind: ChangeKind, watch: Watch, table: TableDescription) -> str:
    pieces = [_insert(kind, watch, table), "if is_careful then"]
    if kind == "update":
        # A row that went from one tenant to another was deleted for the one and inserted for the other.
        moved: tuple[ChangeKind, ...] = ("delete", "insert")
        pieces += [
            f"    {indented(_insert(each, watch, table, is_move=True), 4)}" for each in moved if each in watch.events
        ]
    pieces += [f"    {indented(_complaint(_side(kind), watch, table), 4)}", "end if;"]
    return f"if tg_op = '{kind.upper()}' then\n    {indented(chr(10).join(pieces), 4)}"


def _insert(kind: ChangeKind, watch: Watch, table: TableDescription, *, is_move: bool = False) -> str:
    good = _is_good("p", watch)
    if kind == "update":
        good += " and not p.is_moved"
    (event_type,) = event_types(watch, (kind,))
    # Names and texts are quoted by `sql_text`; this is the one place that writes SQL, for people to review.
    return f"""insert into rowcast.event
    (id, tenant_id, aggregate_type, aggregate_id, event_type, occurred_at, payload, topic)
select rowcast.uuid7(), case when {good} then p.tenant end, {literal(table.name)}, p.key,
       {literal(event_type)}, clock_timestamp(), {_bounded(kind, watch, table)}, p.topic
from (
    {indented(_rows(kind, watch, table, is_pair=is_move or kind == "update"), 4)}
) as p
where (not is_careful or ({good})){" and p.is_moved" if is_move else ""};"""  # noqa: S608 - names are quoted


def _rows(kind: ChangeKind, watch: Watch, table: TableDescription, *, is_pair: bool) -> str:
    side = _side(kind)
    listed = [
        f"{_tenant(side, watch)} as tenant",
        f"{_key(side, watch, table)} as key",
        f"{_topic(side, watch)} as topic",
        *([f"{_tenant('n', watch)} is distinct from {_tenant('o', watch)} as is_moved"] if is_pair else []),
        *(f"{side}.{quoted(column)} as key_{place}" for place, column in enumerate(_key_names(watch, table))),
        f"{_payload(kind, table)} as payload",
    ]
    where = f"where {_is_changed(watch)}\n" if kind == "update" else ""
    source = _source(side, watch, table, is_pair=is_pair)
    # Without `offset 0` the planner would make each payload twice: once to measure it, once to write it.
    return f"select {_lines(listed)}\nfrom {source}\n{where}offset 0"


def _lines(listed: list[str]) -> str:
    return ",\n       ".join(listed)


def _source(side: Side, watch: Watch, table: TableDescription, *, is_pair: bool) -> str:
    """Give the changed rows, and beside them what a receiver may see of each, as `sn` and `so`."""
    place = quoted(free_name("place", table.columns))
    numbered = f"(select *, row_number() over () as {place} from {{}}) as {{}}"  # noqa: S608 - the name is quoted
    pair = f"{numbered.format('new_rows', 'n')} join {numbered.format('old_rows', 'o')} on n.{place} = o.{place}"
    single = "new_rows as n" if side == "n" else "old_rows as o"
    sides: tuple[Side, ...] = ("n", "o") if is_pair else (side,)
    seen = [f"lateral (select {_columns(each, watch.columns)}) as s{each}" for each in sides]
    return _lines([pair if is_pair else single, *seen])


def _complaint(side: Side, watch: Watch, table: TableDescription) -> str:
    """Say so where rows had to be left out."""
    tenant = watch.tenant_column or watch.tenant_id
    words = literal(
        f"capture.tenant: a change of {_place(table)} is not captured: its tenant ({tenant}) or its topic is no usable "
        "word"
    )
    rows = f"{_tenant(side, watch)} as tenant, {_topic(side, watch)} as topic from {_TABLES[side]} as {side}"
    is_bad = f"({_is_good('p', watch)}) is not true"
    return f"""if exists (select 1 from (select {rows}) as p where {is_bad}) then
    {indented(_WARN.format(words), 4)}
end if;"""  # noqa: S608 - names are quoted


def _is_good(row: str, watch: Watch) -> str:
    """A topic that holds nothing but the tenant is good when the tenant is."""
    columns = topic_columns(watch.topic)
    words = "".join(text for text, is_column in topic_parts(watch.topic) if not is_column)
    longest = len(words.encode()) + len(columns) * _TENANT_LIMIT_BYTES
    good = f"{row}.tenant {_TENANT} and length({row}.tenant) <= {_TENANT_LIMIT_BYTES}"
    if set(columns) <= {watch.tenant_column} and longest <= TOPIC_LIMIT_BYTES:
        return good
    return f"{good} and octet_length({row}.topic) between 1 and {TOPIC_LIMIT_BYTES} and {row}.topic !~ {_CONTROL}"


def _bounded(kind: ChangeKind, watch: Watch, table: TableDescription) -> str:
    """A row too big for an event is told by its key, and so is one whose JSON the database could not read again."""
    limits = [f"pg_column_size(p.payload) > {_PAYLOAD_LIMIT_BYTES + _HEADER_BYTES}"]
    if set(table.risky).intersection(watch.columns):
        limits += [r"strpos(p.payload::text, E'\\u0000') > 0"]
    keys = ", ".join(f"{literal(name)}, p.key_{place}" for place, name in enumerate(_key_names(watch, table)))
    shown = f"json_build_object({keys})"
    pair = f"'record', null, 'old_record', {shown}" if kind == "delete" else f"'record', {shown}, 'old_record', null"
    short = f"json_build_object({_head(kind, table)}, {pair}, 'truncated', true)"
    return f"\n       case when {' or '.join(limits)}\n            then {short}\n            else p.payload end"


def _is_changed(watch: Watch) -> str:
    """Compares the stored images: every type has one, also those without an `=`."""
    new, old = _columns("n", watch.named_columns), _columns("o", watch.named_columns)
    return f"row({new})::record *<> row({old})::record"


def _payload(kind: ChangeKind, table: TableDescription) -> str:
    pair = f"'record', {_record('n', kind)}, 'old_record', {_record('o', kind)}"
    return f"json_build_object({_head(kind, table)}, {pair})"


def _record(side: Side, kind: ChangeKind) -> str:
    is_there = kind == "update" or _side(kind) == side
    return f"row_to_json(s{side}.*)" if is_there else "null"


def _head(kind: ChangeKind, table: TableDescription) -> str:
    return f"'schema', {literal(table.schema)}, 'table', {literal(table.name)}, 'operation', '{kind.upper()}'"


def _side(kind: ChangeKind) -> Side:
    return "o" if kind == "delete" else "n"


def _columns(side: Side, columns: tuple[str, ...]) -> str:
    return ", ".join(f"{side}.{quoted(column)}" for column in columns)


def _tenant(side: Side, watch: Watch) -> str:
    if watch.tenant_id:
        return f"{literal(watch.tenant_id)}::text"
    return f"{side}.{quoted(watch.tenant_column)}::text"


def _topic(side: Side, watch: Watch) -> str:
    if not watch.topic:
        return "null::text"
    pieces = [
        f"{side}.{quoted(text)}::text" if is_column else literal(text) for text, is_column in topic_parts(watch.topic)
    ]
    return " || ".join(pieces)


def _key_names(watch: Watch, table: TableDescription) -> tuple[str, ...]:
    return watch.key or table.key


def _key(side: Side, watch: Watch, table: TableDescription) -> str:
    return " || ',' || ".join(f"coalesce({side}.{quoted(name)}::text, '')" for name in _key_names(watch, table))


def _place(table: TableDescription) -> str:
    return f"{table.schema}.{table.name}"
