"""The migration that a watch becomes: one function and its statement triggers, to be reviewed and run again. Pure."""

import hashlib
import re

import msgspec

from rowcast.capture.sql_text import dollar_quoted, literal, one_line, quoted
from rowcast.capture.table_description import TableDescription
from rowcast.capture.trigger_body import function_body
from rowcast.capture.watch import EVERY_KIND, ChangeKind, Watch
from rowcast.core.errors import InvalidInputError

COMMENT_PREFIX = "rowcast watch "
_REFERENCING: dict[ChangeKind, str] = {
    "insert": "referencing new table as new_rows",
    "update": "referencing old table as old_rows new table as new_rows",
    "delete": "referencing old table as old_rows",
}
# Whoever installs a watch owns its function, and the function writes events with its owner's rights.
_GUARD = """\
do $$
begin
    if not (select pg_has_role(nspowner, 'usage') from pg_namespace where nspname = 'rowcast') then
        raise exception 'auth.denied: only the owner of the rowcast schema may install a watch; run this as that role'
            using errcode = 'RC403';
    end if;
end
$$;"""


class InstalledWatch(msgspec.Struct, frozen=True):
    """What an installed watch must look like: the function's source and its comment."""

    source: str
    comment: str


def watch_sql(watch: Watch, table: TableDescription, *, is_replica_identity_full: bool = False) -> str:
    """Give the migration of a watch. Running it again changes nothing; running a changed one replaces the old.

    Args:
        watch: What is declared.
        table: What the catalogue says of its table.
        is_replica_identity_full: Also let the log hold whole old rows: for readers of raw row changes, not for this.
    Raises:
        InvalidInputError: `input.watch`, when a column is not there, or the table has no key or is no table.
    """
    check_watch(watch, table)
    place, function = _place(table), _function_name(table, watch.part)
    pieces = [
        f"-- Watch {one_line(place)}: {', '.join(watch.events)} -> {_target(watch)}.",
        f"-- The tenant is {one_line(watch.tenant_column) or literal(watch.tenant_id)}.",
        f"-- May leave the database: {one_line(', '.join(watch.columns))}.",
        "-- Reviewed by people, run by any tool, and run again without harm. Written by `rowcast watch`.",
        _GUARD,
        _function(watch, table),
        f"comment on function {function}() is {literal(_comment(watch, table))};",
        f"revoke execute on function {function}() from public;",
        *(_trigger(kind, table, watch) for kind in EVERY_KIND),
        *([f"alter table {place} replica identity full;"] if is_replica_identity_full else []),
    ]
    return "\n".join(pieces) + "\n"


def unwatch_sql(table: TableDescription, part: str = "") -> str:
    """Give the migration that takes a watch away: the one that has this `Watch.part`."""
    drops = [f"drop trigger if exists {trigger_name(kind, part)} on {_place(table)};" for kind in EVERY_KIND]
    return "\n".join([*drops, f"drop function if exists {_function_name(table, part)}();"]) + "\n"


def installed_watch(watch: Watch, table: TableDescription) -> InstalledWatch:
    """Give what the catalogue holds once the migration has run."""
    return InstalledWatch(f"\n{function_body(watch, table)}\n", _comment(watch, table))


def check_watch(watch: Watch, table: TableDescription) -> None:
    """Hold a watch against its table.

    Raises:
        InvalidInputError: `input.watch`.
    """
    if table.kind not in ("r", "p"):
        _refuse(table, "only tables can be watched; watch the table behind a view")
    missing = missing_columns(watch, table)
    if missing:
        _refuse(table, f"it has no column {', '.join(missing)}")
    if any(character < " " for name in (table.schema, table.name, *watch.named_columns) for character in name):
        _refuse(table, "its name or a column's holds a control character; rename it")
    if not (watch.key or table.key):
        _refuse(table, "it has no primary key; add one, or declare `key`: the columns that tell its rows apart")


def missing_columns(watch: Watch, table: TableDescription) -> tuple[str, ...]:
    """Give the columns that a watch names and its table has not."""
    return tuple(column for column in watch.named_columns if column not in table.columns)


def function_name(schema: str, table: str, part: str = "") -> str:
    """Give the name of a watch's function: readable, and unique by a hash of the whole name and `Watch.part`."""
    whole = f"{quoted(schema)}.{quoted(table)} {part}".rstrip()
    word = re.sub(r"[^a-z0-9_]+", "_", f"{schema}_{table}".lower())[:40]
    return f"watch_{word}_{_short_hash(whole)}"


def trigger_name(kind: str, part: str = "") -> str:
    """Give the name of a watch's trigger; that of a `Watch.part` tells it from the others of the table."""
    return f"rowcast_watch_{kind}_{_short_hash(part)}" if part else f"rowcast_watch_{kind}"


def _short_hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def _target(watch: Watch) -> str:
    return f"topic {one_line(watch.topic)}" if watch.topic else "no topic"


def _function(watch: Watch, table: TableDescription) -> str:
    # Without nested loops: the plan of a one-row update is kept, and would take hours for an update of a million rows.
    return f"""create or replace function {_function_name(table, watch.part)}() returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set enable_nestloop = off
as {dollar_quoted(function_body(watch, table))};"""


def _trigger(kind: ChangeKind, table: TableDescription, watch: Watch) -> str:
    name = trigger_name(kind, watch.part)
    if kind not in watch.events:
        return f"drop trigger if exists {name} on {_place(table)};"
    return (
        f"create or replace trigger {name} after {kind} on {_place(table)}\n"
        f"    {_REFERENCING[kind]} for each statement execute function {_function_name(table, watch.part)}();"
    )


def _comment(watch: Watch, table: TableDescription) -> str:
    whole = "\n".join([_function(watch, table), *sorted(watch.events)])
    return f"{COMMENT_PREFIX}{table.schema}.{table.name} {hashlib.sha256(whole.encode()).hexdigest()[:16]}"


def _function_name(table: TableDescription, part: str) -> str:
    return f"rowcast.{function_name(table.schema, table.name, part)}"


def _place(table: TableDescription) -> str:
    return f"{quoted(table.schema)}.{quoted(table.name)}"


def _refuse(table: TableDescription, why: str) -> None:
    raise InvalidInputError(f"The table {table.schema}.{table.name} cannot be watched: {why}.", code="input.watch")
