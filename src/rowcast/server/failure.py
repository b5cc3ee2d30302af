"""What ended a command: the refusal inside a group of errors, or a fault of ours. Pure."""

import traceback
from collections.abc import Iterator

from rowcast.core.errors import ConfigError, RowcastError

# SQLSTATE: undefined_table, invalid_schema_name, undefined_function.
_NOT_THERE = ("42P01", "3F000", "42883")


def refusal_in(error: BaseException) -> RowcastError | None:
    """Give the one refusal that explains `error`; None where there is a fault of ours in it.

    Tasks fail in groups, and the neighbours of the one that failed are cancelled. What only the operator can correct is
    told first.
    """
    leaves = tuple(_schema_refusal(leaf) or leaf for leaf in _leaves(error))
    refusals = [leaf for leaf in leaves if isinstance(leaf, RowcastError)]
    if not refusals or len(refusals) < len(leaves):
        return None
    return next((refusal for refusal in refusals if isinstance(refusal, ConfigError)), refusals[0])


def crash_text(error: BaseException) -> str:
    """Give what to print of a fault of ours: where it happened, and what to do with it."""
    leaf = next((leaf for leaf in _leaves(error) if not isinstance(leaf, RowcastError)), error)
    where = "".join(traceback.format_exception(leaf)).rstrip()
    what = f"This is a fault in rowcast or in a pack ({type(leaf).__name__})"
    return f"{where}\nrowcast: {what}. Report it with the lines above."


def _schema_refusal(error: BaseException) -> ConfigError | None:
    """Give the refusal for a database that never had our tables: a command may be the first that looks at it."""
    if getattr(error, "sqlstate", None) not in _NOT_THERE or "rowcast." not in str(error):
        return None
    return ConfigError("The database does not have rowcast's tables. Run 'rowcast migrate'.", code="config.schema")


def _leaves(error: BaseException) -> Iterator[BaseException]:
    if not isinstance(error, BaseExceptionGroup):
        yield error
        return
    for inner in error.exceptions:
        yield from _leaves(inner)
