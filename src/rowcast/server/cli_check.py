"""Commands that check: watch and doctor."""

import typer

from rowcast.core.clock import SystemClock
from rowcast.server.cli_watch import watch
from rowcast.server.command import Json, asked, command_database, command_packs, loaded_settings, placed, run
from rowcast.server.doctor import Finding, examine
from rowcast.server.key_ring import command_ring
from rowcast.server.output import ExitCode, show_rows
from rowcast.server.watches import declared_watches


def add_commands(application: typer.Typer) -> None:
    """Add the verbs of this module."""
    application.command("watch")(placed(watch))
    application.command("doctor")(placed(doctor))


def doctor(context: typer.Context, is_json: Json = False) -> None:
    """Examine the database and this machine; each finding comes with its fix."""
    place = asked(context, is_json)

    async def command() -> tuple[Finding, ...]:
        watches = declared_watches(loaded_settings(place).settings, command_packs(place))
        ring = command_ring(place)
        async with command_database(place) as database:
            return await examine(database, watches=watches, clock=SystemClock(), ring=ring)

    found = run(place, command)
    rows = [{"check": item.check, "verdict": item.verdict, "found": item.found, "fix": item.fix} for item in found]
    show_rows(rows, ("check", "verdict", "found", "fix"), empty="", is_json=is_json)
    if any(item.verdict == "fail" for item in found):
        raise typer.Exit(ExitCode.REFUSED)
