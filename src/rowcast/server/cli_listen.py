"""The command that forwards a tenant's events to a URL on this machine, live."""

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated

import msgspec
import typer

from rowcast.core.codec import encode_json
from rowcast.core.errors import ConfigError, InvalidInputError, StoreError
from rowcast.core.event_pattern import checked_event_pattern
from rowcast.core.topic import checked_tenant_id
from rowcast.egress.client import open_client
from rowcast.outbox.tail import Tail
from rowcast.server.command import Json, Place, asked, placed, run, running_instance, secret_argument
from rowcast.server.dev_folder import development_keys
from rowcast.server.forwarding import Forwarded, Forwarder, check_local, choice, local_policy, local_resolver
from rowcast.server.output import cell
from rowcast.server.webhook_desk import WebhookDesk, webhook_desk
from rowcast.server.wire import shown
from rowcast.webhooks.endpoint import Endpoint, SigningEndpoint
from rowcast.webhooks.message_reader import MessageReader
from rowcast.webhooks.poster import Poster
from rowcast.webhooks.signature import checked_secret, new_secret, verification_key

Url = Annotated[str, typer.Argument(help="http://127.0.0.1:9000/hook, or another URL of this machine or its network")]
Tenant = Annotated[str, typer.Option("--tenant", help="whose events; none means that of the development server")]
Types = Annotated[
    list[str] | None, typer.Option("--event-type", "--event-types", help="a type or orders.*; none means all")
]
EndpointName = Annotated[str, typer.Option(help="id or uid: what this endpoint would get, signed as it would be")]
Secret = Annotated[
    str, typer.Option(help="whsec_... to sign with; @file reads it; none takes the development server's, or a new one")
]
Count = Annotated[int | None, typer.Option(min=1, help="end after so many posts")]


class Wanted(msgspec.Struct, frozen=True):
    """What the flags say."""

    url: str
    tenant_id: str
    event_types: tuple[str, ...]
    endpoint: str
    secret: str


def add_commands(application: typer.Typer) -> None:
    """Add the verb of this module."""
    application.command("listen")(placed(listen))


def listen(
    context: typer.Context,
    url: Url,
    tenant: Tenant = "",
    event_types: Types = None,
    endpoint: EndpointName = "",
    secret: Secret = "",
    count: Count = None,
    is_json: Json = False,
) -> None:
    """Post a tenant's events to a URL on this machine as they are committed, signed as webhooks are, until Ctrl-C."""
    place = asked(context, is_json)
    text = secret_argument(secret)

    async def command() -> None:
        wanted = Wanted(url, _tenant(place, tenant), _patterns(event_types), endpoint, text)
        left = count
        async with _forwarder(place, wanted) as forwarder:
            async for forwarded in forwarder.run(on_lost=_say_lost):
                _say(forwarded, is_json=is_json)
                left = None if left is None else left - 1
                if left == 0:
                    return

    run(place, command)


@asynccontextmanager
async def _forwarder(place: Place, wanted: Wanted) -> AsyncIterator[Forwarder]:
    """Give what forwards, and say so once it hears."""
    policy = local_policy(wanted.url)
    async with webhook_desk(place) as desk:
        resolver = local_resolver(desk.clock)
        async with open_client(clock=desk.clock, policy=policy, resolver=resolver) as client:
            await check_local(wanted.url, resolver)
            known = await desk.endpoint(wanted.tenant_id, wanted.endpoint) if wanted.endpoint else None
            endpoint = await _local(desk, wanted, known) if known else _own(place, wanted)
            tail = Tail(database=desk.database, tenant_id=wanted.tenant_id)
            await tail.begin()
            _say_begun(place, wanted, endpoint)
            messages = MessageReader(database=desk.database, clock=desk.clock)
            poster = Poster(client=client, clock=desk.clock, ring=desk.ring, policy=policy, messages=messages)
            yield Forwarder(
                tail=tail,
                poster=poster,
                endpoint=endpoint,
                tenant_id=wanted.tenant_id,
                choose=choice(endpoint=known, event_types=wanted.event_types, messages=messages),
                clock=desk.clock,
            )


def _own(place: Place, wanted: Wanted) -> SigningEndpoint:
    """Give an endpoint that is kept nowhere. With a development server its secret is the same each time."""
    secret = wanted.secret
    if not secret and running_instance(place) is not None:
        secret = development_keys(place.folder).webhook_secret
    return SigningEndpoint("listen", wanted.url, (checked_secret(secret) if secret else new_secret(),), False)


async def _local(desk: WebhookDesk, wanted: Wanted, known: Endpoint) -> SigningEndpoint:
    """Give what is posted to in the place of an endpoint that there is."""
    (signing,) = (await desk.endpoints.for_signing([(wanted.tenant_id, known.id)])).values()
    if signing.unopened:
        raise ConfigError(
            f"The secret of {known.id} cannot be opened. Name its key in secrets.keys.", code=signing.unopened
        )
    # Its own way of being known to its receiver may lead to a token URL elsewhere: nothing leaves this network.
    return msgspec.structs.replace(signing, url=wanted.url, is_disabled=False, sealed_authentication=None)


def _tenant(place: Place, named: str) -> str:
    if named:
        return checked_tenant_id(named)
    instance = running_instance(place)
    if instance is None:
        raise InvalidInputError("Say whose events with --tenant.", code="input.tenant_missing")
    return instance.tenant_id


def _patterns(texts: list[str] | None) -> tuple[str, ...]:
    words = [word for text in texts or () for word in text.replace(",", " ").split()]
    return tuple(checked_event_pattern(word) for word in words)


def _say_begun(place: Place, wanted: Wanted, endpoint: SigningEndpoint) -> None:
    key = verification_key(endpoint.secrets[0])
    if place.is_json:
        line = encode_json({"listening": wanted.url, "tenantId": wanted.tenant_id, "secret": key}).decode()
    else:
        line = f"Forwarding events of {wanted.tenant_id} to {wanted.url}. Ctrl-C ends it.\nThey verify with {key}"
    print(line, flush=True)


def _say(forwarded: Forwarded, *, is_json: bool) -> None:
    if is_json:
        print(encode_json(shown(forwarded)).decode(), flush=True)
        return
    at = forwarded.at.strftime("%H:%M:%S.%f")[:-3]
    event_type = cell(forwarded.event_type)
    print(
        f"{at}  {forwarded.code:<8}  {forwarded.latency_ms:>8.1f} ms  {event_type}  {forwarded.message_id}", flush=True
    )


def _say_lost(error: StoreError) -> None:
    print(f"rowcast: {error}\n         ({error.code}) It goes on where it was.", file=sys.stderr, flush=True)
