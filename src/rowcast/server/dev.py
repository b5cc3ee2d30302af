"""`rowcast dev`: a database, a sample shop, a live page and a webhook catcher, from one command."""

import asyncio
import os
import random
import webbrowser
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from importlib import import_module
from pathlib import Path
from socket import socket
from typing import Any

import msgspec
from litestar import Router as Routes

from rowcast.core.clock import SystemClock
from rowcast.core.pack import Pack
from rowcast.delivery.history import History
from rowcast.observe.health import Health
from rowcast.observe.metrics import Metrics
from rowcast.realtime.authorize import Authorizer, sign_token
from rowcast.server.app import App, open_app
from rowcast.server.dev_folder import (
    DATABASE_FOLDER,
    DEVELOPMENT_JWT_SECRET,
    DEVELOPMENT_TENANT_ID,
    DevelopmentKeys,
    development_keys,
    prepare_folder,
)
from rowcast.server.dev_page import dev_page
from rowcast.server.embedded import EmbeddedPostgres
from rowcast.server.instance import Instance, remove_instance, write_instance
from rowcast.server.key_ring import sealed_by
from rowcast.server.keys import SCOPES, keep_key
from rowcast.server.local_only import is_local
from rowcast.server.parts import api_routes, health_watch, told, user_routes
from rowcast.server.plugins import load_packs
from rowcast.server.ports import bind
from rowcast.server.routes_dev import LiveConfig, dev_routes
from rowcast.server.serve import Server
from rowcast.server.settings import Loaded, Settings
from rowcast.server.tokens import open_tokens
from rowcast.server.watches import declared_watches, install_present_watches
from rowcast.store.migrate import migrate_database
from rowcast.webhooks.catcher import Catcher
from rowcast.webhooks.endpoint_draft import EndpointDraft

_TOKEN_S = 10 * 365 * 86_400
_EXAMPLE = "update orders set status = 'shipped' where id = 1"


class DevelopmentOptions(msgspec.Struct, frozen=True):
    """What the flags of `rowcast dev` say."""

    folder: Path
    is_sampled: bool = True
    is_moving: bool = True
    is_opened: bool = True


async def run_development(loaded: Loaded, options: DevelopmentOptions) -> None:
    """Run until Ctrl-C; leaves nothing running and keeps the data.

    Raises:
        ConfigError: `config.data_locked`, `config.data_folder`, `config.port_in_use`, ...
    """
    folder = prepare_folder(options.folder)
    keys = development_keys(folder)
    metrics = Metrics()
    async with AsyncExitStack() as stack:
        stack.enter_context(told(_quiet(loaded.settings), metrics))
        url = await stack.enter_async_context(_database(loaded.settings, folder))
        server = loaded.settings.server
        listener = stack.enter_context(bind(server.host, server.port, is_next_allowed=True))
        instance = _instance(listener, url, keys, options)
        settings = sealed_by(_open_to_catcher(loaded.settings, listener), keys.seal_key)
        packs = load_packs(settings.packs, beside=(_sample_shop().pack,) if options.is_sampled else ())
        await migrate_database(url)
        is_alone = loaded.settings.database.url is None
        app = await stack.enter_async_context(open_app(settings, database_url=url, packs=packs, is_alone=is_alone))
        await _prepare(app, instance, keys, packs)
        await _serve(app, listener, instance, keys, options=options, metrics=metrics)


def _sample_shop() -> Any:
    """Give the module of the sample shop. Importing it declares its event types, which only its users shall see."""
    return import_module("rowcast.server.sample_shop")


async def _serve(
    app: App,
    listener: socket,
    instance: Instance,
    keys: DevelopmentKeys,
    *,
    options: DevelopmentOptions,
    metrics: Metrics,
) -> None:
    health = Health(clock=SystemClock())
    catcher = Catcher(clock=SystemClock(), secrets=(keys.webhook_secret,))
    shown = dev_routes(config=_live_config(instance), catcher=catcher, history=History(database=app.database))
    settings = app.settings
    async with open_tokens(settings, secret=DEVELOPMENT_JWT_SECRET, clock=app.clock, health=health) as tokens:
        authorizer = tokens.authorizer
        routes = (*api_routes(app, health=health, metrics=metrics), *user_routes(app, authorizer=authorizer), shown)
        routes = (*routes, *await _shim_routes(app, authorizer))
        server = Server(
            app, health=health, listener=listener, authorizer=authorizer, routes=routes, is_welcome=is_local
        )
        duties = [health_watch(app, health=health, metrics=metrics).run, *tokens.duties]
        if options.is_sampled and options.is_moving:
            duties.append(lambda: _sample_shop().run_shop(app.database, noise=random.random))
        try:
            await server.run(duties=duties, ready=lambda: _announce(app, instance, options, listener))
        finally:
            remove_instance(options.folder)
            print("\nStopped. The data stay in", instance.data_folder, flush=True)


async def _shim_routes(app: App, authorizer: Authorizer) -> Sequence[Routes]:
    """Give the routes for suites of the stock clients, where they are asked for."""
    if not app.settings.server.shim:
        return ()
    # By name and only here: nothing that `rowcast serve` loads reaches the test tools.
    shim = import_module("rowcast.testing.shim")
    routes: Sequence[Routes] = await shim.open_shim(
        app.database, secret=DEVELOPMENT_JWT_SECRET, authorizer=authorizer, clock=app.clock
    )
    return routes


async def _announce(app: App, instance: Instance, options: DevelopmentOptions, listener: socket) -> None:
    write_instance(options.folder, instance)
    asked, port = app.settings.server.port, listener.getsockname()[1]
    if asked not in (0, port):
        print(f"Port {asked} is taken; this server listens on {port}.", flush=True)
    print(dev_page(instance, example=_EXAMPLE if instance.is_sampled else None), flush=True)
    if options.is_opened:
        await asyncio.to_thread(webbrowser.open, instance.live_url)


@asynccontextmanager
async def _database(settings: Settings, folder: Path) -> AsyncIterator[str]:
    """Give the database that the settings name, or one of our own in the data folder."""
    if settings.database.url is not None:
        yield settings.database.url.get_secret_value()
        return
    async with EmbeddedPostgres(folder / DATABASE_FOLDER) as server:
        yield server.dsn


def _quiet(settings: Settings) -> Settings:
    """Keep the terminal for the page of URLs: only warnings are logged, unless something else was asked for."""
    if "level" in settings.log.model_fields_set:
        return settings
    return settings.model_copy(update={"log": settings.log.model_copy(update={"level": "warning"})})


def _open_to_catcher(settings: Settings, listener: socket) -> Settings:
    """Let webhooks reach the built-in catcher, and nothing else inside."""
    host, port = listener.getsockname()[:2]
    allowed = (*settings.webhooks.allow_private, f"{_reachable(host)}:{port}")
    webhooks = settings.webhooks.model_copy(
        update={"allow_http": True, "allow_private": allowed, "rate_per_minute": 6000}
    )
    return settings.model_copy(update={"webhooks": webhooks})


def _instance(listener: socket, url: str, keys: DevelopmentKeys, options: DevelopmentOptions) -> Instance:
    host, port = listener.getsockname()[:2]
    at = f"{_reachable(host)}:{port}"
    return Instance(
        pid=os.getpid(),
        api_url=f"http://{at}",
        websocket_url=f"ws://{at}/realtime/v1",
        live_url=f"http://{at}/live",
        catcher_url=f"http://{at}/catcher",
        database_url=url,
        anon_key=_token("anon", None),
        service_key=_token("service_role", None),
        user_token=_token("authenticated", DEVELOPMENT_TENANT_ID),
        api_key=keys.api_key,
        tenant_id=DEVELOPMENT_TENANT_ID,
        data_folder=str(options.folder.resolve()),
        is_sampled=options.is_sampled,
    )


def _reachable(host: str) -> str:
    return "127.0.0.1" if host in ("0.0.0.0", "") else f"[{host}]" if ":" in host else host  # noqa: S104 - compared, not bound


def _token(role: str, tenant_id: str | None) -> str:
    expires = int(SystemClock().now().timestamp()) + _TOKEN_S
    claims: dict[str, object] = {"role": role, "iss": "rowcast-dev", "exp": expires}
    return sign_token(claims | ({"tenant_id": tenant_id, "sub": "ada"} if tenant_id else {}), DEVELOPMENT_JWT_SECRET)


def _live_config(instance: Instance) -> LiveConfig:
    return LiveConfig(
        realtime_url=instance.websocket_url,
        anon_key=instance.anon_key,
        token=instance.user_token,
        tenant_id=DEVELOPMENT_TENANT_ID,
        topics=(f"orders:{DEVELOPMENT_TENANT_ID}", f"tenant:{DEVELOPMENT_TENANT_ID}"),
        example=_EXAMPLE,
    )


async def _prepare(app: App, instance: Instance, keys: DevelopmentKeys, packs: tuple[Pack, ...]) -> None:
    """Make what the page shows: the API key, the shop's table, the declared watches, the endpoint of the catcher."""
    await keep_key(app.database, id="rk_dev", text=keys.api_key, name="rowcast dev", scopes=SCOPES)
    if instance.is_sampled:
        await _sample_shop().prepare_shop(app.database)
    for table in await install_present_watches(app.database, declared_watches(app.settings, packs)):
        print(
            f"The table {table} is declared as watched and is not there yet. Create it, then start again.", flush=True
        )
    await _point_at_catcher(app, instance, keys)


async def _point_at_catcher(app: App, instance: Instance, keys: DevelopmentKeys) -> None:
    """Give the sample tenant one endpoint, at the address that the catcher has this time."""
    for endpoint in await app.endpoints.page(DEVELOPMENT_TENANT_ID):
        if endpoint.description == "the catcher of rowcast dev":
            await app.endpoints.delete(DEVELOPMENT_TENANT_ID, endpoint.id)
    draft = EndpointDraft(
        url=instance.catcher_url, description="the catcher of rowcast dev", secret=keys.webhook_secret
    )
    await app.endpoints.create(DEVELOPMENT_TENANT_ID, draft)
