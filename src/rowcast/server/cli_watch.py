"""The command that watches a table, and tells drift."""

from pathlib import Path
from typing import Annotated

import typer

from rowcast.capture.drift import Drift, check_watches
from rowcast.capture.watch import EVERY_KIND, Watch
from rowcast.core.errors import InvalidInputError
from rowcast.server.command import Json, Place, asked, command_database, command_packs, loaded_settings, run
from rowcast.server.output import ExitCode, print_json, show_rows
from rowcast.server.watches import declared_watches, install_watches, watch_script

Table = Annotated[str | None, typer.Argument(help="table or schema.table; none means all that are declared")]
Columns = Annotated[str, typer.Option(help="comma-separated: what may leave the database")]
Kinds = Annotated[str, typer.Option("--events", help="comma-separated: insert, update, delete")]
Tenant = Annotated[str, typer.Option(help="the column that names the tenant; by default the topic's first one")]
Out = Annotated[Path | None, typer.Option(help="write the migration to this file", dir_okay=False)]
Applied = Annotated[bool, typer.Option("--apply", help="run it now instead of printing it")]
Checked = Annotated[bool, typer.Option("--check", help="compare the declared watches with the installed triggers")]


def watch(
    context: typer.Context,
    table: Table = None,
    topic: Annotated[str, typer.Option(help="such as 'orders:{org_id}'")] = "",
    columns: Columns = "",
    kinds: Kinds = ",".join(EVERY_KIND),
    tenant: Tenant = "",
    out: Out = None,
    is_applied: Applied = False,
    is_check: Checked = False,
    is_json: Json = False,
) -> None:
    """Write the migration that makes a table's changes events, or tell drift."""
    place = asked(context, is_json)
    if is_check:
        _print_drift(run(place, lambda: _drift(place)), is_json=is_json)
        return

    async def command() -> str:
        named = None if table is None else _named(table, topic=topic, columns=columns, kinds=kinds, tenant=tenant)
        return await _script(place, (named,) if named else _declared(place), is_applied=is_applied)

    script = run(place, command)
    if out is not None:
        _write(out, script)
    if is_json:
        print_json({"sql": script, "applied": is_applied, "file": out})
    elif out is not None:
        print(f"Written to {out}. Review it, then run it with your migrations.")
    else:
        print("The triggers are installed." if is_applied else script)


async def _script(place: Place, watches: tuple[Watch, ...], *, is_applied: bool) -> str:
    """Give the migration for `watches`, and run it where that is asked for."""
    async with command_database(place) as database:
        if is_applied:
            await install_watches(database, watches)
        async with database.connection() as connection:
            return await watch_script(connection, watches)


def _named(table: str, *, topic: str, columns: str, kinds: str, tenant: str) -> Watch:
    chosen = tuple(_words(kinds))
    if not set(chosen) <= set(EVERY_KIND):
        raise InvalidInputError(f"--events takes {', '.join(EVERY_KIND)}, not {kinds!r}.", code="input.watch")
    return Watch(table=table, topic=topic, columns=tuple(_words(columns)), events=chosen, tenant=tenant)  # type: ignore[arg-type]


def _declared(place: Place) -> tuple[Watch, ...]:
    """Give what packs and settings declare.

    Raises:
        InvalidInputError: `input.watch`, when that is nothing.
    """
    watches = declared_watches(loaded_settings(place).settings, command_packs(place))
    if not watches:
        raise InvalidInputError(
            "No watch is declared. Name a table with --topic and --columns, or write a [[watch]] table in "
            "rowcast.toml.",
            code="input.watch",
        )
    return watches


def _words(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]


def _write(out: Path, script: str) -> None:
    try:
        out.write_text(script, "utf-8")
    except OSError as error:
        raise typer.BadParameter(f"{out} cannot be written: {error.strerror}") from error


async def _drift(place: Place) -> tuple[Drift, ...]:
    watches = declared_watches(loaded_settings(place).settings, command_packs(place))
    async with command_database(place) as database:
        return await check_watches(database, watches)


def _print_drift(found: tuple[Drift, ...], *, is_json: bool) -> None:
    rows = [{"table": drift.table, "kind": drift.kind, "advice": drift.advice} for drift in found]
    empty = "Every declared watch is installed as declared."
    show_rows(rows, ("table", "kind", "advice"), empty=empty, is_json=is_json)
    if found:
        raise typer.Exit(ExitCode.DRIFT)
