"""Commands about the keys that seal what is secret."""

import os
import sys
from typing import Annotated

import typer

from rowcast.core.clock import SystemClock
from rowcast.server.command import Json, asked, command_database, placed, run
from rowcast.server.key_ring import command_ring
from rowcast.server.output import ExitCode, print_json, show_rows
from rowcast.server.wire import shown, shown_all
from rowcast.webhooks.resealing import Resealed, Resealer, SealedCount
from rowcast.webhooks.sealing import KEY_BYTES, SealKey, parse_key, written_key

secrets = typer.Typer(help="The keys that seal what is secret.", no_args_is_help=True)


@secrets.command("new-key")
@placed
def new_key(
    context: typer.Context,
    name: Annotated[str, typer.Option(help="what every value names it by; none means key- and today")] = "",
    is_json: Json = False,
) -> None:
    """Print a new key for `secrets.keys`; it is kept nowhere."""
    place = asked(context, is_json)
    chosen = name or f"key-{SystemClock().now().date().isoformat()}"

    async def command() -> str:
        return written_key(parse_key(written_key(SealKey(chosen, os.urandom(KEY_BYTES)))))

    key = run(place, command)
    print_json({"name": chosen, "key": key}) if is_json else print(key)


@secrets.command("rotate")
@placed
def rotate(context: typer.Context, is_json: Json = False) -> None:
    """Seal everything anew with the first key; may be stopped and begun again."""
    place = asked(context, is_json)

    def progress(sealed: int) -> None:
        if not is_json:
            print(f"sealed so far: {sealed}", file=sys.stderr)

    async def command() -> Resealed:
        ring = command_ring(place)
        async with command_database(place) as database:
            return await Resealer(database=database, ring=ring).run(progress=progress)

    done = run(place, command)
    print_json(shown(done)) if is_json else print(_sentence(done))
    if done.unopened:
        raise typer.Exit(ExitCode.REFUSED)


@secrets.command("status")
@placed
def status(context: typer.Context, is_json: Json = False) -> None:
    """Say how many values each key has sealed; a key that has none may be taken away."""
    place = asked(context, is_json)

    async def command() -> tuple[tuple[str, ...], tuple[SealedCount, ...]]:
        ring = command_ring(place)
        async with command_database(place) as database:
            return ring.names, await Resealer(database=database, ring=ring).counts()

    names, counts = run(place, command)
    if is_json:
        print_json({"keys": names, "data": shown_all(counts)})
        return
    print("Keys, the one that seals first:", ", ".join(names) or "none, so nothing is sealed")
    rows = [{"place": each.place, "key": each.key or "not sealed", "values": each.values} for each in counts]
    show_rows(rows, ("place", "key", "values"), empty="Nothing is kept that would be sealed.", is_json=False)


def _sentence(done: Resealed) -> str:
    kept = f"Could not be opened: {done.unopened}; 'rowcast secrets status' names their keys." if done.unopened else ""
    return f"Sealed anew with the key {done.first_key}: {done.sealed}. {kept}".rstrip()
