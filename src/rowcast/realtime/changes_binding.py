"""A binding of `postgres_changes` as the client wrote it: what it names, and what is said against it. Pure."""

import msgspec

from rowcast.realtime.change_filter import Condition, Conditions, FilterFault, inspect_words, parse_filter
from rowcast.realtime.change_source import Binding

SUBSCRIBED = "Subscribed to PostgreSQL"
_UNABLE = "Unable to subscribe to changes with given parameters. "
_ANY = ("*", "", None)


class Wanted(msgspec.Struct, frozen=True):
    """What a binding asks for. None stands for any schema or table."""

    number: int
    event: str
    schema: str | None
    table: str | None
    conditions: Conditions = ()
    select: frozenset[str] | None = None


def read_binding(binding: Binding) -> Wanted | FilterFault:
    """Give what a binding asks for, or the text that refuses it."""
    if not binding.schema and not binding.table:
        return FilterFault(
            "No subscription params provided. Please provide at least a `schema` or `table` to subscribe to: "
            f"{_listed(binding, ())}"
        )
    conditions = parse_filter(binding.filter)
    if isinstance(conditions, FilterFault):
        return conditions
    # Only a table: the schema is public.
    schema = binding.schema or "public"
    wanted = Wanted(
        binding.id,
        binding.event.upper(),
        None if schema == "*" else schema,
        None if binding.table in _ANY else binding.table,
        conditions,
        frozenset(binding.select) if binding.select is not None else None,
    )
    if wanted.select is not None and (wanted.schema is None or wanted.table is None):
        return FilterFault(
            "Column selection is not supported for wildcard subscriptions. Provide an explicit schema and table name."
        )
    return wanted


def not_published(binding: Binding, wanted: Wanted) -> str:
    """Give the text for a table that is not there or not in the publication."""
    listed = _listed(binding, wanted.conditions)
    return f"{_UNABLE}Please check Realtime is enabled for the given connect parameters: {listed}"


def refused(binding: Binding, wanted: Wanted, why: str) -> str:
    """Give the text for what the database, or the check in its place, says against a binding."""
    listed = _listed(binding, wanted.conditions)
    return f"{_UNABLE}An exception happened so please check your connect parameters: {listed}. Exception: {why}"


def gap_text(reason: str) -> str:
    """Give the text that announces that changes may be missing."""
    return f"Changes may be missing: {reason}. Load again what you show."


def rest_text(table: str, why: str) -> str:
    """Give the text for an audience that hears nothing of a table for a while."""
    return f"Changes of {table} are not told for now, the row-level security of this channel's token failed: {why}"


def _listed(binding: Binding, conditions: Conditions) -> str:
    filters = ", ".join(map(_inspected, conditions))
    select = "nil" if binding.select is None else inspect_words(list(binding.select))
    named = {"event": binding.event, "schema": binding.schema or "public", "table": binding.table or "*"}
    words = ", ".join(f"{name}: {value[:200]}" for name, value in named.items())
    return f"[{words}, filters: [{filters[:500]}], select: {select[:500]}]"


def _inspected(condition: Condition) -> str:
    operator = f"not.{condition.operator}" if condition.is_negated else condition.operator
    words = inspect_words([condition.column, operator, ",".join(condition.operands)])
    return "{" + words[1:-1] + "}"
