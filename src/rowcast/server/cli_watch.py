"""The command that watches a table, and tells drift."""

from pathlib import Path
from typing import Annotated

import typer

from rowcast.capture.drift import Drift, check_watches
from rowcast.capture.watch import EVERY_KIND, Watch
from rowcast.core.errors import InvalidInputError
from rowcast.server.command import Place, asked, command_database, loaded_settings, run
from rowcast.server.output import ExitCode, print_json, print_rows
from rowcast.server.plugins import load_packs
from rowcast.server.watches import declared_watches, install_watches, watch_script


def watch(
    context: typer.Context,
    table: Annotated[str | None, typer.Argument(help="table or schema.table; none means all that are declared")] = None,
    topic: Annotated[str, typer.Option(help="such as 'orders:{org_id}'")] = "",
    columns: Annotated[str, typer.Option(help="comma-separated: what may leave the database")] = "",
    events: Annotated[str, typer.Option(help="comma-separated: insert, update, delete")] = ",".join(EVERY_KIND),
    tenant: Annotated[
        str, typer.Option(help="the column that names the tenant; the first one in the topic where none is given")
    ] = "",
    out: Annotated[Path | None, typer.Option(help="write the migration to this file")] = None,
    is_applied: Annotated[bool, typer.Option("--apply", help="run it now instead of printing it")] = False,
    is_check: Annotated[
        bool, typer.Option("--check", help="compare the declared watches with the installed triggers")
    ] = False,
    is_json: Annotated[bool, typer.Option("--json", help="print JSON")] = False,
) -> None:
    """Write the migration that makes a table's changes events, or tell drift."""
    place = asked(context, is_json)
    if is_check:
        _print_drift(run(place, lambda: _drift(place)), is_json=is_json)
        return

    async def command() -> str:
        chosen = _chosen(place, table, topic=topic, columns=columns, events=events, tenant=tenant)
        async with command_database(place) as database:
            if is_applied:
                await install_watches(database, chosen)
            async with database.connection() as connection:
                return await watch_script(connection, chosen)

    script = run(place, command)
    if out is not None:
        out.write_text(script, "utf-8")
        print(f"Written to {out}. Review it, then run it with your migrations.")
    elif is_json:
        print_json({"sql": script, "applied": is_applied})
    else:
        print("The triggers are installed." if is_applied else script)


def _chosen(
    place: Place, table: str | None, *, topic: str, columns: str, events: str, tenant: str
) -> tuple[Watch, ...]:
    if table is None:
        settings = loaded_settings(place).settings
        return declared_watches(settings, load_packs(settings.packs))
    kinds = tuple(_words(events))
    if not set(kinds) <= set(EVERY_KIND):
        raise InvalidInputError(f"--events takes {', '.join(EVERY_KIND)}, not {events!r}.", code="input.watch")
    return (Watch(table=table, topic=topic, columns=tuple(_words(columns)), events=kinds, tenant=tenant),)  # type: ignore[arg-type]


def _words(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]


async def _drift(place: Place) -> tuple[Drift, ...]:
    settings = loaded_settings(place).settings
    declared = declared_watches(settings, load_packs(settings.packs))
    async with command_database(place) as database:
        return await check_watches(database, declared)


def _print_drift(found: tuple[Drift, ...], *, is_json: bool) -> None:
    rows = [{"table": drift.table, "kind": drift.kind, "advice": drift.advice} for drift in found]
    print_json({"data": rows}) if is_json else print_rows(
        rows, ("table", "kind", "advice"), empty="Every declared watch is installed as declared."
    )
    if found:
        raise typer.Exit(ExitCode.DRIFT)
