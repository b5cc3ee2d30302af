"""The command that watches a table, posts its changes where that is asked for, and tells drift."""

import sys
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from rowcast.capture.drift import Drift, check_watches
from rowcast.capture.watch import EVERY_KIND, Watch
from rowcast.core.errors import InvalidInputError
from rowcast.server.command import (
    Json,
    Place,
    asked,
    command_database,
    command_packs,
    loaded_settings,
    run,
    secret_argument,
)
from rowcast.server.output import ExitCode, print_json, print_pairs, show_rows
from rowcast.server.watches import declared_watches, install_watches, watch_script
from rowcast.server.webhook_desk import webhook_desk
from rowcast.server.webhook_targets import DATABASE_TENANT, keep_receiver, receiver_of
from rowcast.server.wire import shown

Table = Annotated[str | None, typer.Argument(help="table or schema.table; none means all that are declared")]
Topic = Annotated[str, typer.Option(help="such as 'orders:{org_id}'; with a tenant it may be left out")]
Columns = Annotated[str, typer.Option(help="comma-separated: what may leave the database")]
Kinds = Annotated[str, typer.Option("--events", "--on", help="comma-separated: insert, update, delete")]
Tenant = Annotated[str, typer.Option(help="the column that names the tenant; by default the topic's first one")]
TenantId = Annotated[str, typer.Option("--tenant-id", help="the tenant of every row, in place of a column")]
Name = Annotated[str, typer.Option(help="begins the types of the events, in place of the table's name")]
Webhook = Annotated[
    str,
    typer.Option(metavar="URL|NAME", help="post the changes there: a URL, a target of the settings, or an endpoint"),
]
Authorization = Annotated[str, typer.Option("--authorization-header", help="'Bearer ...' to send; @file reads it")]
Out = Annotated[Path | None, typer.Option(help="write the migration to this file", dir_okay=False)]
Applied = Annotated[bool, typer.Option("--apply", help="run it now instead of printing it")]
Checked = Annotated[bool, typer.Option("--check", help="compare the declared watches with the installed triggers")]


class Said(msgspec.Struct, frozen=True, kw_only=True):
    """What the flags say of one watch."""

    table: str | None
    topic: str
    columns: str
    kinds: str
    tenant: str
    tenant_id: str
    name: str
    webhook: str
    authorization: str


def watch(
    context: typer.Context,
    table: Table = None,
    topic: Topic = "",
    columns: Columns = "",
    kinds: Kinds = ",".join(EVERY_KIND),
    tenant: Tenant = "",
    tenant_id: TenantId = "",
    name: Name = "",
    webhook: Webhook = "",
    authorization: Authorization = "",
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
    said = Said(
        table=table,
        topic=topic,
        columns=columns,
        kinds=kinds,
        tenant=tenant,
        tenant_id=tenant_id,
        name=name,
        webhook=webhook,
        authorization=secret_argument(authorization),
    )
    is_final = is_applied or out is not None
    script, endpoint = run(place, lambda: _done(place, said, is_final=is_final, is_applied=is_applied))
    if out is not None:
        _write(out, script)
    if is_json:
        print_json({"sql": script, "applied": is_applied, "file": out, "endpoint": endpoint})
    else:
        _print_done(script, out=out, is_applied=is_applied)
        _print_endpoint(endpoint, is_asked=bool(webhook))


async def _done(place: Place, said: Said, *, is_final: bool, is_applied: bool) -> tuple[str, dict[str, Any] | None]:
    """Give the migration and the endpoint, if one is asked for; none is made for a migration that is only shown."""
    watches = _declared(place) if said.table is None else (_named(said.table, said),)
    _check_posting(said, watches)
    async with command_database(place) as database, database.connection() as connection:
        script = await watch_script(connection, watches)
    # First the endpoint, whose URL may be refused; a change that nobody is told of yet is no harm.
    endpoint = await _kept_endpoint(place, said, watches[0]) if said.webhook and is_final else None
    if is_applied:
        async with command_database(place) as database:
            await install_watches(database, watches)
    return script, endpoint


async def _kept_endpoint(place: Place, said: Said, watched: Watch) -> dict[str, Any]:
    settings = loaded_settings(place).settings
    receiver = receiver_of(said.webhook, watched, settings=settings, authorization=said.authorization)
    async with webhook_desk(place) as desk:
        endpoint = await keep_receiver(desk, receiver, watched)
        return {**shown(endpoint), "secret": await desk.endpoints.secrets.current(watched.tenant_id, endpoint.id)}


def _named(table: str, said: Said) -> Watch:
    chosen = tuple(_words(said.kinds))
    if not set(chosen) <= set(EVERY_KIND):
        raise InvalidInputError(f"--events takes {', '.join(EVERY_KIND)}, not {said.kinds!r}.", code="input.watch")
    is_everybodys = bool(said.webhook) and not (said.topic or said.tenant or said.tenant_id)
    return Watch(
        table=table,
        topic=said.topic,
        columns=tuple(_words(said.columns)),
        events=chosen,  # type: ignore[arg-type]
        tenant=said.tenant,
        tenant_id=DATABASE_TENANT if is_everybodys else said.tenant_id,
        name=said.name,
    )


def _check_posting(said: Said, watches: tuple[Watch, ...]) -> None:
    """Refuse what nobody would be told of.

    Raises:
        InvalidInputError: `input.watch`.
    """
    if said.authorization and not said.webhook:
        raise InvalidInputError("--authorization-header goes with --webhook.", code="input.watch")
    if said.webhook and said.table is None:
        raise InvalidInputError("--webhook goes with the name of one table.", code="input.watch")
    if said.webhook and not watches[0].tenant_id:
        raise InvalidInputError(
            "An endpoint belongs to one tenant, and these rows to many. Leave --topic and --tenant out, and one "
            "receiver gets the rows of all; or give each tenant an endpoint with 'rowcast endpoints create'.",
            code="input.watch",
        )


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


def _print_done(script: str, *, out: Path | None, is_applied: bool) -> None:
    if out is not None:
        print(f"Written to {out}. Review it, then run it with your migrations.")
    else:
        print("The triggers are installed." if is_applied else script)


def _print_endpoint(endpoint: dict[str, Any] | None, *, is_asked: bool) -> None:
    if endpoint is not None:
        print(f"Changes are events of the tenant {endpoint['tenantId']}, and posted to this endpoint:")
        print_pairs(endpoint)
    elif is_asked:
        print("The endpoint is made with --apply, or with --out.", file=sys.stderr)


def _print_drift(found: tuple[Drift, ...], *, is_json: bool) -> None:
    rows = [{"table": drift.table, "kind": drift.kind, "advice": drift.advice} for drift in found]
    empty = "Every declared watch is installed as declared."
    show_rows(rows, ("table", "kind", "advice"), empty=empty, is_json=is_json)
    if found:
        raise typer.Exit(ExitCode.DRIFT)
