"""`rowcast serve`: one database, this process's roles, until SIGTERM."""

import asyncio
import random
import socket
from contextlib import AbstractAsyncContextManager, AsyncExitStack, ExitStack

from rowcast.core.clock import SystemClock
from rowcast.core.errors import ConfigError, StoreUnavailableError
from rowcast.core.telemetry import tell
from rowcast.observe.health import Health
from rowcast.observe.metrics import Metrics
from rowcast.server.app import App, open_app
from rowcast.server.dev_folder import DEVELOPMENT_JWT_SECRET
from rowcast.server.key_ring import key_ring, tell_unsealed
from rowcast.server.parts import api_routes, health_watch, own_routes, told, user_routes
from rowcast.server.plugins import load_packs
from rowcast.server.ports import bind, reserve
from rowcast.server.serve import Server
from rowcast.server.settings import Settings
from rowcast.server.tokens import Tokens, open_tokens
from rowcast.server.worker_exchange import WorkerExchange
from rowcast.server.workers import Vital, Workers, with_roles
from rowcast.store.migrate import migrate_database, plan_migrations
from rowcast.store.pool import connect

_LOOK_AGAIN_S = 0.5


async def run_production(settings: Settings, *, is_migrated: bool = False) -> None:
    """Serve until told to stop.

    Args:
        settings: What the operator wants.
        is_migrated: Bring the schema up to date first.
    Raises:
        ConfigError: `config.no_database`, `config.schema_behind`, `config.jwt_secret`, `config.seal_keys`, ...
        StoreUnavailableError: The database did not come within `database.start_timeout_s`.
    """
    refuse_shim(settings)
    key_ring(settings)  # refused here, before anything has started
    if settings.server.workers > 1 and "gateway" in settings.server.roles:
        await _run_with_workers(settings, is_migrated=is_migrated)
        return
    url = required_url(settings)
    packs = load_packs(settings.packs)
    health, metrics = Health(clock=SystemClock()), Metrics()
    async with AsyncExitStack() as stack:
        tokens = None
        if "gateway" in settings.server.roles:
            tokens = await stack.enter_async_context(required_tokens(settings, health=health))
        # Also without a gateway: whoever starts processes asks each of them whether it is ready.
        listener = stack.enter_context(bind(settings.server.host, settings.server.port, is_next_allowed=False))
        stack.enter_context(told(settings, metrics))
        tell_unsealed(settings)
        await _await_schema(url, is_migrated=is_migrated, patience_s=settings.database.start_timeout_s)
        app = await stack.enter_async_context(open_app(settings, database_url=url, packs=packs))
        await _serve(app, listener, tokens, health=health, metrics=metrics)


async def _serve(app: App, listener: socket.socket, tokens: Tokens | None, *, health: Health, metrics: Metrics) -> None:
    duties = [health_watch(app, health=health, metrics=metrics).run]
    if tokens is None:
        routes = own_routes(app, health=health, metrics=metrics)
        server = Server(app, health=health, listener=listener, authorizer=None, routes=routes)
        await server.run(duties=duties)
        return
    api = api_routes(app, health=health, metrics=metrics)
    routes = (*api, *user_routes(app, authorizer=tokens.authorizer))
    server = Server(app, health=health, listener=listener, authorizer=tokens.authorizer, routes=routes)
    await server.run(duties=[*duties, *tokens.duties])


def refuse_shim(settings: Settings) -> None:
    """Refuse what lets everybody make an account.

    Raises:
        ConfigError: `config.shim`.
    """
    if settings.server.shim:
        raise ConfigError(
            "server.shim is for development: it makes accounts for everybody who asks. Leave it out, or use "
            "'rowcast dev'.",
            code="config.shim",
        )


async def _run_with_workers(settings: Settings, *, is_migrated: bool) -> None:
    """Serve with several gateway processes; this one relays, delivers, and passes the bus on."""
    url, packs = required_url(settings), load_packs(settings.packs)
    health, metrics, clock = Health(clock=SystemClock()), Metrics(), SystemClock()
    async with required_tokens(settings, health=health):
        pass  # refused here, once, and not by each worker again and again
    with ExitStack() as stack:
        reserved = stack.enter_context(reserve(settings.server.host, settings.server.port))
        stack.enter_context(told(settings, metrics))
        tell_unsealed(settings)
        await _await_schema(url, is_migrated=is_migrated, patience_s=settings.database.start_timeout_s)
        roles = tuple(role for role in settings.server.roles if role != "gateway")
        async with open_app(with_roles(settings, roles), database_url=url, packs=packs) as app:
            workers = Workers(
                settings=with_roles(settings, ("gateway",)),
                port=reserved.getsockname()[1],
                exchange=WorkerExchange(bus=app.bus),
                vitals=Vital(health, metrics),
                clock=clock,
                noise=random.random,
            )
            server = Server(app, health=health, listener=None, authorizer=None, routes=())
            await server.run(duties=[health_watch(app, health=health, metrics=metrics).run, workers.run])


def required_url(settings: Settings) -> str:
    """Give the database to serve.

    Raises:
        ConfigError: `config.no_database`.
    """
    if settings.database.url is None:
        raise ConfigError(
            "No database is named. Set ROWCAST_DATABASE__URL or pass --database URL; 'rowcast dev' brings its own.",
            code="config.no_database",
        )
    return settings.database.url.get_secret_value()


def required_tokens(settings: Settings, *, health: Health) -> AbstractAsyncContextManager[Tokens]:
    """Give what checks tokens, for the time of a block.

    Raises:
        ConfigError: `config.jwks`, or `config.jwt_secret` when the secret is missing, short, or the public one of
            development.
    """
    secret = settings.auth.jwt_secret
    if secret is None:
        raise ConfigError(
            "The gateway needs the secret that signs your tokens. Set ROWCAST_AUTH__JWT_SECRET, or leave the role "
            "gateway out.",
            code="config.jwt_secret",
        )
    if secret.get_secret_value() == DEVELOPMENT_JWT_SECRET:
        raise ConfigError(
            "auth.jwt_secret is the public development secret: anybody can sign tokens with it. Make one of your own, "
            "such as 'openssl rand -base64 48' gives.",
            code="config.jwt_secret",
        )
    return open_tokens(settings, secret=secret.get_secret_value(), clock=SystemClock(), health=health)


async def _await_schema(url: str, *, is_migrated: bool, patience_s: float) -> None:
    """Check the schema, and wait for a database that is away: it may be restarting together with us."""
    give_up_at = asyncio.get_running_loop().time() + patience_s
    while True:
        try:
            if is_migrated:
                await migrate_database(url)
            await _check_schema(url)
        except StoreUnavailableError as error:
            if asyncio.get_running_loop().time() >= give_up_at:
                raise
            tell("server.waiting", code=error.code, error=str(error))
            await asyncio.sleep(_LOOK_AGAIN_S)
        else:
            return


async def _check_schema(url: str) -> None:
    connection = await connect(url)
    try:
        pending = await plan_migrations(connection)
    finally:
        await connection.close()
    if pending:
        raise ConfigError(
            f"The database is {len(pending)} migrations behind. Run 'rowcast migrate', or serve with --migrate.",
            code="config.schema_behind",
        )
