"""Commands about webhook endpoints."""

from typing import Annotated, Any

import typer

from rowcast.server.command import (
    Json,
    asked,
    parsed_headers,
    parsed_time,
    placed,
    run,
    secret_argument,
)
from rowcast.server.output import print_json, show_pairs, show_rows
from rowcast.server.webhook_desk import WebhookDesk, webhook_desk
from rowcast.server.wire import shown, shown_all
from rowcast.store.pool import Session
from rowcast.webhooks.endpoint import Endpoint
from rowcast.webhooks.endpoint_draft import EndpointChange, EndpointDraft, LogLevel, changed_draft, draft_of
from rowcast.webhooks.endpoint_stats import EndpointStats
from rowcast.webhooks.secrets_table import GRACE_S
from rowcast.webhooks.signature import Scheme
from rowcast.webhooks.transformation import TransformationChange, changed_transformation

Tenant = Annotated[str, typer.Option("--tenant", help="whose it is")]
Name = Annotated[str, typer.Argument(metavar="ENDPOINT", help="its id or its uid")]
Types = Annotated[list[str] | None, typer.Option("--event-type", help="a type or orders.*; none means all")]
Secret = Annotated[str, typer.Option(help="whsec_... to sign with; @file reads it; none means a new one")]
Description = Annotated[str | None, typer.Option(help="words for people")]
Uid = Annotated[str | None, typer.Option(help="a name of your own for it")]
Channels = Annotated[list[str] | None, typer.Option("--channel", help="only messages of this channel; again for more")]
Rate = Annotated[int | None, typer.Option("--throttle-rate", min=1, help="messages a second at most")]
Headers = Annotated[list[str] | None, typer.Option("--header", help="'name: value' to send; @file reads them")]
Ordered = Annotated[bool | None, typer.Option("--ordered/--unordered", help="one message at a time, in their order")]
Kept = Annotated[LogLevel | None, typer.Option("--log-level", help="what is kept of attempts")]
Signing = Annotated[Scheme, typer.Option("--scheme", help="how a new secret signs")]
Waits = Annotated[list[float] | None, typer.Option("--retry-wait-s", help="seconds after a failure; again for more")]
Template = Annotated[
    str | None, typer.Option(help="JSON template of the body in place of ours; @file reads it; '' takes it away")
]
Disabled = Annotated[bool | None, typer.Option("--disable/--enable", help="stop posting, or begin again")]

endpoints = typer.Typer(help="A tenant's webhook endpoints.", no_args_is_help=True)


@endpoints.command("create")
@placed
def create_endpoint(
    context: typer.Context,
    tenant: Tenant,
    url: Annotated[str, typer.Option(help="https://... to post to")],
    event_types: Types = None,
    description: Description = None,
    secret: Secret = "",
    uid: Uid = None,
    channels: Channels = None,
    throttle_rate: Rate = None,
    headers: Headers = None,
    is_ordered: Ordered = None,
    log_level: Kept = None,
    retry_waits_s: Waits = None,
    scheme: Signing = "v1",
    template: Template = None,
    is_json: Json = False,
) -> None:
    """Add an endpoint and print it with its secret."""
    place = asked(context, is_json)
    change = _change(
        event_types=event_types, description=description, uid=uid, channels=channels, throttle_rate=throttle_rate,
        is_ordered=is_ordered, log_level=log_level, retry_schedule_s=retry_waits_s,
    )  # fmt: skip
    new = EndpointDraft(url=url, secret=secret_argument(secret), signature_scheme=scheme)
    own, text = parsed_headers(headers or ()), None if template is None else secret_argument(template)

    async def command() -> dict[str, Any]:
        async with webhook_desk(place) as desk:
            async with desk.database.transaction() as session:
                made = await desk.endpoints.create(tenant, changed_draft(new, change), session=session)
                if own:
                    await desk.privates.set_headers(session, made, own)
                made = await _templated(desk, session, made, text)
            return {**shown(made), "secret": await desk.endpoints.secrets.current(tenant, made.id)}

    show_pairs(run(place, command), is_json=is_json)


@endpoints.command("list")
@placed
def list_endpoints(context: typer.Context, tenant: Tenant, is_json: Json = False) -> None:
    """List a tenant's endpoints."""
    place = asked(context, is_json)

    async def command() -> list[dict[str, Any]]:
        async with webhook_desk(place) as desk:
            return shown_all(await desk.endpoints.page(tenant, most=250))

    columns = ("id", "uid", "url", "eventTypes", "isDisabled", "createdAt")
    empty = f"{tenant} has no endpoint. Add one with 'rowcast endpoints create'."
    show_rows(run(place, command), columns, empty=empty, is_json=is_json)


@endpoints.command("show")
@placed
def show_endpoint(
    context: typer.Context,
    name: Name,
    tenant: Tenant,
    has_secret: Annotated[bool, typer.Option("--secret", help="also what its receiver verifies with")] = False,
    is_json: Json = False,
) -> None:
    """Show one endpoint; of its headers only the names."""
    place = asked(context, is_json)

    async def command() -> dict[str, Any]:
        async with webhook_desk(place) as desk:
            found = await desk.endpoint(tenant, name)
            own = {"headers": sorted(await desk.privates.headers(desk.database, found))}
            if has_secret:
                own["secret"] = await desk.endpoints.secrets.current(tenant, found.id)  # type: ignore[assignment]
            return {**shown(found), **own}

    show_pairs(run(place, command), is_json=is_json)


@endpoints.command("update")
@placed
def update_endpoint(
    context: typer.Context,
    name: Name,
    tenant: Tenant,
    url: Annotated[str | None, typer.Option(help="https://... to post to")] = None,
    event_types: Types = None,
    description: Description = None,
    uid: Uid = None,
    channels: Channels = None,
    throttle_rate: Rate = None,
    headers: Headers = None,
    without: Annotated[list[str] | None, typer.Option("--without-header", help="a header to send no longer")] = None,
    is_ordered: Ordered = None,
    log_level: Kept = None,
    retry_waits_s: Waits = None,
    is_disabled: Disabled = None,
    template: Template = None,
    is_json: Json = False,
) -> None:
    """Change what is given of an endpoint; the rest stays."""
    place = asked(context, is_json)
    change = _change(
        url=url, event_types=event_types, description=description, uid=uid, channels=channels,
        throttle_rate=throttle_rate, is_ordered=is_ordered, log_level=log_level, retry_schedule_s=retry_waits_s,
        is_disabled=is_disabled,
    )  # fmt: skip
    own, text = parsed_headers(headers or ()), None if template is None else secret_argument(template)

    async def command() -> dict[str, Any]:
        async with webhook_desk(place) as desk, desk.database.transaction() as session:
            found = await desk.endpoints.named(session, tenant, name, is_held=True)
            draft = changed_draft(draft_of(found), change)
            changed = await desk.endpoints.update(tenant, found.id, draft, session=session)
            if own or without:
                await desk.privates.change_headers(session, changed, own, removed=without or ())
            return shown(await _templated(desk, session, changed, text))

    show_pairs(run(place, command), is_json=is_json)


@endpoints.command("delete")
@placed
def delete_endpoint(context: typer.Context, name: Name, tenant: Tenant, is_json: Json = False) -> None:
    """Remove an endpoint."""
    place = asked(context, is_json)

    async def command() -> str:
        async with webhook_desk(place) as desk:
            found = await desk.endpoint(tenant, name)
            await desk.endpoints.delete(tenant, found.id)
            return found.id

    removed = run(place, command)
    print_json({"removed": removed}) if is_json else print(f"{removed} removed")


@endpoints.command("rotate")
@placed
def rotate_secret(
    context: typer.Context,
    name: Name,
    tenant: Tenant,
    secret: Secret = "",
    grace_s: Annotated[float, typer.Option("--grace-s", help="how long the old one signs beside it")] = GRACE_S,
    is_json: Json = False,
) -> None:
    """Put a new secret into use and print what its receiver verifies with."""
    place = asked(context, is_json)
    key = secret_argument(secret) or None

    async def command() -> dict[str, Any]:
        async with webhook_desk(place) as desk:
            found = await desk.endpoint(tenant, name)
            return {"secret": await desk.endpoints.secrets.rotate(tenant, found.id, key=key, grace_s=grace_s)}

    show_pairs(run(place, command), is_json=is_json)


@endpoints.command("stats")
@placed
def show_stats(
    context: typer.Context,
    name: Name,
    tenant: Tenant,
    since: Annotated[str, typer.Option(help="count from this time on, ISO 8601")] = "",
    until: Annotated[str, typer.Option(help="and before this one")] = "",
    is_json: Json = False,
) -> None:
    """Count an endpoint's messages and attempts by what became of them."""
    place = asked(context, is_json)
    times = {"since": parsed_time(since) if since else None, "until": parsed_time(until) if until else None}

    async def command() -> list[dict[str, Any]]:
        async with webhook_desk(place) as desk:
            found = await desk.endpoint(tenant, name)
            counted = EndpointStats()
            messages = await counted.messages(desk.database, found, **times)
            attempts = await counted.attempts(desk.database, found, **times)
            return [{"of": "messages", **shown(messages)}, {"of": "attempts", **shown(attempts)}]

    columns = ("of", "success", "pending", "sending", "fail", "canceled")
    show_rows(run(place, command), columns, empty="", is_json=is_json)


async def _templated(desk: WebhookDesk, session: Session, endpoint: Endpoint, template: str | None) -> Endpoint:
    """Give the endpoint with the template that was said; None changes nothing, an empty text takes it away."""
    if template is None:
        return endpoint
    kept = await desk.endpoints.transformation(session, endpoint)
    change = TransformationChange(code=template or None, enabled=bool(template))
    made = changed_transformation(kept, change, now=desk.clock.now())
    await desk.endpoints.set_transformation(session, endpoint, made)
    return await desk.endpoints.named(session, endpoint.tenant_id, endpoint.id)


def _change(**said: Any) -> EndpointChange:
    """Give what was said; what was not said stays as it is."""
    given: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in said.items() if value is not None
    }
    return EndpointChange(**given)
