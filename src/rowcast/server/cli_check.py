"""Commands that check: watch and doctor."""

from typing import Annotated

import typer

from rowcast.core.clock import SystemClock
from rowcast.server.cli_watch import watch
from rowcast.server.command import asked, command_database, loaded_settings, run
from rowcast.server.doctor import Finding, examine
from rowcast.server.output import ExitCode, print_json, print_rows
from rowcast.server.plugins import load_packs
from rowcast.server.watches import declared_watches


def add_commands(application: typer.Typer) -> None:
    """Add the verbs of this module."""
    application.command("watch")(watch)
    application.command("doctor")(doctor)


def doctor(context: typer.Context, is_json: Annotated[bool, typer.Option("--json", help="print JSON")] = False) -> None:
    """Examine the database and this machine; each finding comes with its fix."""
    place = asked(context, is_json)

    async def command() -> tuple[Finding, ...]:
        settings = loaded_settings(place).settings
        watches = declared_watches(settings, load_packs(settings.packs))
        async with command_database(place) as database:
            return await examine(database, watches=watches, clock=SystemClock())

    rows = [
        {"check": item.check, "verdict": item.verdict, "found": item.found, "fix": item.fix}
        for item in run(place, command)
    ]
    print_json({"data": rows}) if is_json else print_rows(rows, ("check", "verdict", "found", "fix"), empty="")
    if any(row["verdict"] == "fail" for row in rows):
        raise typer.Exit(ExitCode.REFUSED)
