"""The migration that a watch becomes: one function and its statement triggers. Pure: text in, text out.

The triggers run once a statement and read its rows as two tables, so a bulk change costs one insert. Whatever goes wrong inside
becomes a warning: a watch never fails the transaction that changed the row.
"""

import hashlib
import re

from rowcast.capture.table import TableDescription
from rowcast.capture.watch import ChangeKind, Watch, split_table, topic_columns, topic_parts
from rowcast.core.errors import InvalidInputError

COMMENT_PREFIX = "rowcast watch "
_PAYLOAD_LIMIT_BYTES = 65_536
_TOPIC_LIMIT_BYTES = 246
_TENANT = "^[A-Za-z0-9][A-Za-z0-9_.-]{0,127}$"
_PAST = {"insert": "inserted", "update": "updated", "delete": "deleted"}
_REFERENCING = {
    "insert": "referencing new table as new_rows",
    "update": "referencing old table as old_rows new table as new_rows",
    "delete": "referencing old table as old_rows",
}
_ROWS = {
    "insert": "new_rows as n",
    # A statement's old and new rows lie in the same order; numbering pairs them even when a key changed.
    "update": """(select *, row_number() over () as rowcast_row from new_rows) as n
            join (select *, row_number() over () as rowcast_row from old_rows) as o on o.rowcast_row = n.rowcast_row""",
    "delete": "old_rows as o",
}


def watch_sql(watch: Watch, table: TableDescription) -> str:
    """Give the migration of a watch. Running it again changes nothing; running a changed one replaces the old.

    Raises:
        InvalidInputError: `input.watch`, when a column is not there, or the table has no primary key or is a view.
    """
    check_watch(watch, table)
    body = _function(watch, table)
    place = f"{quoted(table.schema)}.{quoted(table.name)}"
    pieces = [
        f"-- Watch {place}: {', '.join(watch.events)} -> topic {one_line(watch.topic)}",
        body,
        f"comment on function {_function_name(table)}() is {literal(COMMENT_PREFIX + _checksum(body, watch))};",
        f"revoke execute on function {_function_name(table)}() from public;",
        *(_trigger(kind, place, table, is_wanted=kind in watch.events) for kind in _PAST),
    ]
    return "\n".join(pieces) + "\n"


def unwatch_sql(table: TableDescription) -> str:
    """Give the migration that takes a watch away."""
    place = f"{quoted(table.schema)}.{quoted(table.name)}"
    drops = [f"drop trigger if exists {trigger_name(kind)} on {place};" for kind in _PAST]
    return "\n".join([*drops, f"drop function if exists {_function_name(table)}();"]) + "\n"


def watch_checksum(watch: Watch, table: TableDescription) -> str:
    """Give the words by which an installed watch is compared with the declared one."""
    return COMMENT_PREFIX + _checksum(_function(watch, table), watch)


def check_watch(watch: Watch, table: TableDescription) -> None:
    """Hold a watch against its table.

    Raises:
        InvalidInputError: `input.watch`.
    """
    named = (*watch.columns, *topic_columns(watch.topic), watch.tenant_column)
    missing = sorted({column for column in named if column not in table.columns})
    if missing:
        _refuse(table, f"it has no column {', '.join(missing)}")
    if table.kind not in ("r", "p"):
        _refuse(table, "only tables can be watched; watch the table behind a view")
    if not table.key:
        _refuse(table, "it has no primary key, which an event's aggregate id is made of; add one")


def function_name(schema: str, table: str) -> str:
    """Give the name of a watch's function: readable, and unique by a hash of the whole name."""
    whole = f"{schema}.{table}"
    word = re.sub(r"[^a-z0-9_]+", "_", whole.lower())[:40]
    return f"watch_{word}_{hashlib.sha256(whole.encode()).hexdigest()[:8]}"


def trigger_name(kind: str) -> str:
    """Give the name of a watch's trigger."""
    return f"rowcast_watch_{kind}"


def event_module(table: str) -> str:
    """Give the module of a watched table's events: its name in lower-case letters, digits and `_`."""
    word = re.sub(r"[^a-z0-9_]+", "_", table.lower()).strip("_")[:60]
    return word if word[:1].isalpha() else f"t_{word}"


def quoted(name: str) -> str:
    """Give an identifier that SQL reads as exactly this name."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """Give a string constant that SQL reads as exactly this text, whatever `standard_conforming_strings` says."""
    escaped = text.replace("\\", "\\\\").replace("'", "''")
    return f"E'{escaped}'" if "\\" in text else f"'{escaped}'"


def one_line(text: str) -> str:
    """Give a text that cannot end a comment."""
    return " ".join(text.split())


def _function_name(table: TableDescription) -> str:
    return f"rowcast.{function_name(table.schema, table.name)}"


def _function(watch: Watch, table: TableDescription) -> str:
    branches = "\n    els".join(_branch(kind, watch, table) for kind in watch.events)
    body = f"""begin
    {branches}
    end if;
    return null;
exception when others then
    -- The row's own transaction must go on; what was not captured is said here and can be emitted by hand.
    raise warning 'capture.failed: a change of {_in_text(table.schema)}.{_in_text(table.name)} was not captured: %', sqlerrm;
    return null;
end"""
    tag = _tag(body)
    return f"""create or replace function {_function_name(table)}() returns trigger
language plpgsql security definer
set search_path = pg_catalog
as {tag}
{body}
{tag};"""


def _branch(kind: ChangeKind, watch: Watch, table: TableDescription) -> str:
    row = "o" if kind == "delete" else "n"
    changed = "\n          and r.record::text is distinct from r.old_record::text" if kind == "update" else ""
    rows = "old_rows" if kind == "delete" else "new_rows"
    tenant = f"{row}.{quoted(watch.tenant_column)}::text"
    return f"""if tg_op = {literal(kind.upper())} then
        insert into rowcast.event (id, tenant_id, aggregate_type, aggregate_id, event_type, version, occurred_at, payload, topic)
        select rowcast.uuid7(), r.tenant, {literal(table.name)}, r.key, {literal(f"{event_module(table.name)}.{_PAST[kind]}")}, 1,
               clock_timestamp(),
               case when octet_length(r.payload::text) <= {_PAYLOAD_LIMIT_BYTES} then r.payload else r.short end, r.topic
        from (
            select {tenant} as tenant, {_key(row, table)} as key, {_topic(row, watch)} as topic,
                   c.record, c.old_record, {_payload(kind, table)} as payload, {_short(kind, row, table)} as short
            from {_ROWS[kind]},
            lateral (select {_record("n", watch, is_there=kind != "delete")} as record,
                            {_record("o", watch, is_there=kind != "insert")} as old_record) as c
        ) as r
        where r.tenant ~ {literal(_TENANT)} and octet_length(r.topic) <= {_TOPIC_LIMIT_BYTES}{changed};
        if exists (select 1 from {rows} as {row} where {tenant} is null or {tenant} !~ {literal(_TENANT)}
                   or coalesce(octet_length({_topic(row, watch)}), 1000) > {_TOPIC_LIMIT_BYTES}) then
            raise warning 'capture.no_tenant: a change of {_in_text(table.schema)}.{_in_text(table.name)} has no usable tenant or topic';
        end if;"""


def _record(row: str, watch: Watch, *, is_there: bool) -> str:
    if not is_there:
        return "null::json"
    columns = ", ".join(f"{row}.{quoted(column)}" for column in watch.columns)
    return f"(select row_to_json(listed) from (select {columns}) as listed)"


def _payload(kind: ChangeKind, table: TableDescription) -> str:
    return f"json_build_object({_head(kind, table)}, 'record', c.record, 'old_record', c.old_record)"


def _short(kind: ChangeKind, row: str, table: TableDescription) -> str:
    """A row too big for an event is told by its key; the receiver fetches it."""
    keys = ", ".join(f"{row}.{quoted(column)}" for column in table.key)
    listed = f"(select row_to_json(listed) from (select {keys}) as listed)"
    pair = f"'record', null, 'old_record', {listed}" if kind == "delete" else f"'record', {listed}, 'old_record', null"
    return f"json_build_object({_head(kind, table)}, {pair}, 'truncated', true)"


def _head(kind: ChangeKind, table: TableDescription) -> str:
    return f"'schema', {literal(table.schema)}, 'table', {literal(table.name)}, 'operation', {literal(kind.upper())}"


def _key(row: str, table: TableDescription) -> str:
    return " || ',' || ".join(f"{row}.{quoted(column)}::text" for column in table.key)


def _topic(row: str, watch: Watch) -> str:
    return " || ".join(
        f"{row}.{quoted(text)}::text" if is_column else literal(text) for text, is_column in topic_parts(watch.topic)
    )


def _trigger(kind: str, place: str, table: TableDescription, *, is_wanted: bool) -> str:
    if not is_wanted:
        return f"drop trigger if exists {trigger_name(kind)} on {place};"
    return (
        f"create or replace trigger {trigger_name(kind)} after {kind} on {place}\n"
        f"    {_REFERENCING[kind]} for each statement execute function {_function_name(table)}();"
    )


def _in_text(name: str) -> str:
    """Give a name as a part of a plpgsql message in single quotes, where `%` stands for a value."""
    return name.replace("'", "''").replace("%", "%%").replace("\\", "\\\\")


def _tag(body: str) -> str:
    """Give a dollar quote that the body does not hold."""
    number = 0
    while f"$rowcast{number}$" in body:
        number += 1
    return f"$rowcast{number}$"


def _checksum(body: str, watch: Watch) -> str:
    return hashlib.sha256(f"{body}\n{','.join(sorted(watch.events))}".encode()).hexdigest()[:16]


def _refuse(table: TableDescription, why: str) -> None:
    raise InvalidInputError(f"The table {table.schema}.{table.name} cannot be watched: {why}.", code="input.watch")
