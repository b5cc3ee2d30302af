"""Targets of database webhooks: named in the settings, and kept as endpoints of the tenant that has the rows."""

from pathlib import Path

import msgspec

from rowcast.capture.trigger_body import event_module, event_types
from rowcast.capture.watch import EVERY_KIND, Watch, split_table
from rowcast.core.errors import ConfigError, NotFoundError
from rowcast.server.settings import Settings
from rowcast.server.webhook_desk import WebhookDesk
from rowcast.store.pool import Session
from rowcast.webhooks.endpoint import Endpoint
from rowcast.webhooks.endpoint_draft import EndpointChange, EndpointDraft, changed_draft, draft_of

DATABASE_TENANT = "database"
"""Whose the rows of a database webhook are, unless somebody says otherwise."""


class WebhookTarget(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One [[webhooks.target]] table. The file holds the value of the header `authorization`, not its name."""

    name: str
    url: str
    authorization_file: str = ""
    description: str = ""


class Receiver(msgspec.Struct, frozen=True):
    """What a database webhook posts to: the endpoint with this uid, or id where `url` is empty."""

    name: str
    url: str = ""
    authorization: str = ""
    description: str = ""

    def __repr__(self) -> str:
        """Give nothing that is secret."""
        return f"Receiver(name={self.name!r}, url={self.url!r})"


def webhook_targets(settings: Settings) -> dict[str, WebhookTarget]:
    """Give the targets of the settings by name.

    Raises:
        ConfigError: `config.target`.
    """
    try:
        targets = msgspec.convert(settings.webhooks.target, tuple[WebhookTarget, ...])
    except msgspec.ValidationError as error:
        raise ConfigError(f"A [[webhooks.target]] table cannot be used: {error}", code="config.target") from error
    named = {target.name: target for target in targets}
    if len(named) < len(targets):
        raise ConfigError("Two [[webhooks.target]] tables have one name.", code="config.target")
    return named


def receiver_of(text: str, watch: Watch, *, settings: Settings, authorization: str) -> Receiver:
    """Give what `--webhook` means: a URL, a target of the settings, or an endpoint that is there.

    Raises:
        ConfigError: `config.target`.
    """
    if "://" in text:
        return Receiver(own_name(watch), text, authorization, f"changes of {watch.table}")
    target = webhook_targets(settings).get(text)
    if target is None:
        return Receiver(text, authorization=authorization)
    return Receiver(text, target.url, authorization or _read(target), target.description)


async def keep_receiver(desk: WebhookDesk, receiver: Receiver, watch: Watch) -> Endpoint:
    """Make the endpoint, or change the one that has its name, so that it gets what the watch captures.

    Raises:
        NotFoundError: `input.not_found`, when the name is neither a target of the settings nor an endpoint.
        InvalidInputError: `input.url`, `egress.blocked` or `input.header`.
    """
    async with desk.database.transaction() as session:
        endpoint = await _kept(desk, session, receiver, watch)
        if receiver.authorization:
            headers = {"authorization": receiver.authorization}
            await desk.privates.change_headers(session, endpoint, headers, removed=())
    return endpoint


async def _kept(desk: WebhookDesk, session: Session, receiver: Receiver, watch: Watch) -> Endpoint:
    tenant_id = watch.tenant_id
    found = await desk.endpoints.find(session, tenant_id, receiver.name, is_held=True)
    if found is not None:
        draft = changed_draft(draft_of(found), _change(found, receiver, watch))
        return await desk.endpoints.update(tenant_id, found.id, draft, session=session)
    if not receiver.url:
        raise NotFoundError(
            f"{receiver.name[:80]!r} is no URL, no [[webhooks.target]] of the settings, and no endpoint of the tenant "
            f"{tenant_id}."
        )
    draft = EndpointDraft(
        url=receiver.url,
        uid=receiver.name,
        description=receiver.description,
        event_types=event_types(watch, watch.events),
    )
    return await desk.endpoints.create(tenant_id, draft, session=session)


def _change(found: Endpoint, receiver: Receiver, watch: Watch) -> EndpointChange:
    kept = [each for each in found.event_types or () if each not in event_types(watch, EVERY_KIND)]
    types = None if found.event_types is None else (*kept, *event_types(watch, watch.events))
    change = EndpointChange(event_types=types)
    return msgspec.structs.replace(change, url=receiver.url) if receiver.url else change


def own_name(watch: Watch) -> str:
    """Give the uid of the endpoint that is a watch's own: `watch.orders`, `watch.shop.orders`, `watch.order_status`."""
    schema, table = (event_module(part) for part in split_table(watch.table))
    place = table if schema == "public" else f"{schema}.{table}"
    return f"watch.{watch.name or place}"


def _read(target: WebhookTarget) -> str:
    if not target.authorization_file:
        return ""
    try:
        return Path(target.authorization_file).read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"The authorization_file of the target {target.name!r} cannot be read: {error}.", code="config.target"
        ) from error
