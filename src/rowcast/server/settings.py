"""Settings: defaults < rowcast.toml < `ROWCAST_*` < flags. An unknown name is refused, never ignored."""

import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from pydantic import BaseModel, ConfigDict, Field, SecretStr, StringConstraints, ValidationError, model_validator

from rowcast.core.errors import ConfigError
from rowcast.server.incoming_settings import IncomingSettings
from rowcast.server.socket_settings import LimitSettings, PolicySettings, RealtimeSettings
from rowcast.server.webhook_settings import OutgoingSettings, WebhookSettings

ENV_PREFIX = "ROWCAST_"
_FILE_SUFFIX = "_FILE"
# Read elsewhere, before or beside the settings; the second row is what `rowcast status --env` gives.
_OTHER_NAMES = frozenset(
    """
    ROWCAST_CONFIG ROWCAST_FAILPOINTS ROWCAST_INSTANCE
    ROWCAST_API_URL ROWCAST_WEBSOCKET_URL ROWCAST_ANON_KEY ROWCAST_SERVICE_KEY ROWCAST_USER_TOKEN ROWCAST_API_KEY
""".split()
)

_LISTS = frozenset(
    """
    packs webhooks.allow_private webhooks.tenant_networks webhooks.retry_waits_s server.roles auth.tenant_from
    secrets.keys ably.events ably.origins
""".split()
)

Origin = Literal["default", "file", "environment", "flag"]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class DatabaseSettings(_Section):
    """Where the database is. Without `url`, `rowcast dev` starts its own."""

    url: SecretStr | None = Field(
        default=None, description="postgresql://user:password@host:port/name of PostgreSQL 15 to 18"
    )
    pool_size: int = Field(
        default=8, ge=2, le=200, description="connections at most, besides two for the feed and the bus"
    )
    timeout_s: float = Field(default=30.0, gt=0, le=3600, description="bound of one query")
    start_timeout_s: float = Field(
        default=60.0, ge=0, le=3600, description="how long a start waits for a database that is away"
    )


class ServerSettings(_Section):
    """Where HTTP and sockets listen: one port for both."""

    host: str = Field(default="127.0.0.1", description="address to listen on")
    port: int = Field(default=7400, ge=0, le=65535, description="port to listen on; 0 takes a free one")
    public_url: str = Field(
        default="",
        pattern=r"^(https?://[^\s?#@]+)?$",
        description="where browsers reach this server; without it links into the portal lead to where a request came",
    )
    shim: bool = Field(
        default=False, description="dev only: serve small /auth/v1 and /rest/v1 for test suites of the stock clients"
    )
    roles: tuple[Literal["gateway", "relay", "delivery"], ...] = Field(
        default=("gateway", "relay", "delivery"),
        min_length=1,
        description="what this process does: gateway (HTTP and sockets), relay (events), delivery (webhooks and jobs)",
    )
    workers: int = Field(
        default=1, ge=1, le=64, description="processes that share the port; more than one use more cores for sockets"
    )
    shutdown_grace_s: float = Field(
        default=10.0, ge=0, le=600, description="how long SIGTERM lets work in flight finish"
    )


class BusSettings(_Section):
    """How nodes tell each other. Without `url`, through the database."""

    url: SecretStr | None = Field(
        default=None, description="nats://user:password@host:port of a NATS server; without it nodes use the database"
    )


class AuthSettings(_Section):
    """Who may join sockets."""

    jwt_secret: SecretStr | None = Field(
        default=None, description="HS256 secret of the tokens that browsers bring, 32 bytes or more"
    )
    jwks: SecretStr | None = Field(
        default=None, description="keys of tokens signed by RS, PS, ES or EdDSA: a JWKS, its file, or its https URL"
    )
    jwks_life_s: float = Field(default=600.0, ge=1, le=86_400, description="how often keys at a URL are fetched again")
    jwks_pause_s: float = Field(
        default=30.0, ge=0.1, le=3600, description="the least time between two fetches, whatever keys tokens name"
    )
    jwks_issuer: str = Field(default="", description="the `iss` that tokens signed by those keys must have")
    jwks_audience: str = Field(
        default="", description="the `aud` that tokens signed by those keys must have, or one of theirs"
    )
    tenant_claim: str = Field(default="tenant_id", description="the claim that names the tenant")
    tenant_from: tuple[Literal["claim", "header", "path", "host"], ...] = Field(
        default=("claim",),
        min_length=1,
        description="who says the tenant, the first that does: claim, header (x-tenant), path (/t/<tenant>/), host",
    )
    tenant_host: str = Field(
        default="",
        pattern=r"^([a-z0-9-]+(\.[a-z0-9-]+)*)?$",
        description="with host: the domain before which a tenant is the first label of a name",
    )

    @model_validator(mode="after")
    def _check_host(self) -> "AuthSettings":
        if "host" in self.tenant_from and not self.tenant_host:
            raise ValueError("tenant_from has host, so tenant_host must say the domain of your tenants")
        return self


class RelaySettings(_Section):
    """How committed events are read."""

    feed: Literal["auto", "wal", "claim"] = Field(
        default="auto", description="wal needs wal_level=logical; auto takes it where it can and claims elsewhere"
    )
    batch_size: int = Field(default=1000, ge=1, le=10_000, description="events at most in one batch")
    lease_s: float = Field(default=10.0, ge=1, le=300, description="after this long a frozen relay has lost its place")
    max_attempts: int = Field(default=10, ge=1, le=100, description="how often an event that cannot be routed is tried")


class DeliverySettings(_Section):
    """How deliveries are made."""

    concurrency: int = Field(default=64, ge=1, le=2000, description="attempts at once, for each sink")
    lease_s: float = Field(
        default=30.0, ge=1, le=3600, description="after this long a delivery of a dead worker is taken over"
    )
    timeout_s: float = Field(default=20.0, gt=0, le=3600, description="bound of one attempt")


_Origin = Annotated[str, StringConstraints(pattern=r"^https?://[^\s/@?#]+$")]


class SecretsSettings(_Section):
    """How what is secret lies in the database. Without `keys`, as it is."""

    keys: tuple[SecretStr, ...] = Field(
        default=(),
        description="keys that seal secrets, name:base64 of 32 bytes each; the first seals, all of them open",
    )


class AblySettings(_Section):
    """Committed events told on Ably's channels too. Without `key`, none are."""

    key: SecretStr | None = Field(default=None, description="Ably key, app.id:secret; with it events go there too")
    events: tuple[str, ...] = Field(default=("*",), min_length=1, description="types or patterns of those events")
    origins: tuple[_Origin, ...] = Field(default=(), description="where to post, in order, instead of Ably's own hosts")
    message_limit_kb: int = Field(default=64, ge=1, le=1024, description="size of one message, as your plan says")
    timeout_s: float = Field(default=5.0, gt=0, le=60, description="bound of one post to one host")


class RetentionSettings(_Section):
    """How long things are kept."""

    events_days: int = Field(default=30, ge=1, le=3650, description="partitions of events older than this are detached")
    drop_detached: bool = Field(
        default=False, description="drop a detached partition instead of leaving it for the operator"
    )
    deliveries_days: int = Field(
        default=30, ge=1, le=3650, description="settled deliveries and attempts older than this are deleted"
    )
    activity_days: int = Field(
        default=30, ge=1, le=3650, description="joins, leaves and message counts of sockets older than this are deleted"
    )


class LogSettings(_Section):
    """What is logged and how."""

    level: Literal["debug", "info", "warning", "error"] = Field(default="info", description="the least that is written")
    format: Literal["auto", "console", "json"] = Field(
        default="auto", description="auto: console on a terminal, JSON elsewhere"
    )


class Settings(_Section):
    """All settings of one process."""

    database: DatabaseSettings = DatabaseSettings()
    server: ServerSettings = ServerSettings()
    bus: BusSettings = BusSettings()
    auth: AuthSettings = AuthSettings()
    policies: PolicySettings = PolicySettings()
    realtime: RealtimeSettings = RealtimeSettings()
    limits: LimitSettings = LimitSettings()
    relay: RelaySettings = RelaySettings()
    delivery: DeliverySettings = DeliverySettings()
    webhooks: WebhookSettings = WebhookSettings()
    egress: OutgoingSettings = OutgoingSettings()
    incoming: IncomingSettings = IncomingSettings()
    secrets: SecretsSettings = SecretsSettings()
    ably: AblySettings = AblySettings()
    retention: RetentionSettings = RetentionSettings()
    log: LogSettings = LogSettings()
    packs: tuple[str, ...] = Field(default=(), description="packs to load besides the installed ones, as module:name")
    watch: tuple[dict[str, Any], ...] = Field(default=(), description="watched tables, one [[watch]] table each")
    channel: tuple[dict[str, Any], ...] = Field(
        default=(), description="channels that users subscribe to over HTTP, one [[channel]] table each"
    )
    owner: tuple[dict[str, Any], ...] = Field(
        default=(), description="who owns which private topics, one [[owner]] table each"
    )


class Loaded(msgspec.Struct, frozen=True):
    """Settings, and where each leaf came from (`server.port` -> `flag`)."""

    settings: Settings
    origins: dict[str, Origin]


def load_settings(
    flags: Mapping[str, object] | None = None,
    *,
    environment: Mapping[str, str] | None = None,
    file: Path | None = None,
) -> Loaded:
    """Read all sources and check them.

    Args:
        flags: Leaf name to value, such as `{"server.port": 0}`; None values are left out.
        environment: Instead of the process's own.
        file: Instead of `$ROWCAST_CONFIG` or `./rowcast.toml`.
    Raises:
        ConfigError: `config.unknown_setting`, `config.value`, `config.file`.
    """
    given = os.environ if environment is None else environment
    layers: tuple[tuple[Origin, dict[str, object]], ...] = (
        ("file", _flatten(_read_file(_config_file(given, file)))),
        ("environment", _read_environment(given)),
        ("flag", {name: value for name, value in (flags or {}).items() if value is not None}),
    )
    origins: dict[str, Origin] = {}
    values: dict[str, object] = {}
    for origin, layer in layers:
        for name, value in layer.items():
            _check_known(name, origin)
            values[name], origins[name] = value, origin
    return Loaded(_build(values), {name: origins.get(name, "default") for name in leaf_names()})


def leaf_names() -> tuple[str, ...]:
    """Give the dotted name of every setting."""
    return tuple(_leaves(Settings, ""))


def shown_value(settings: Settings, name: str) -> str:
    """Give a setting as text; a secret as `**********`."""
    value: Any = settings
    for word in name.split("."):
        value = getattr(value, word)
    return "" if value is None else str(value)


def _leaves(model: type[BaseModel], prefix: str) -> list[str]:
    names: list[str] = []
    for name, field in model.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            names += _leaves(kind, f"{prefix}{name}.")
        else:
            names.append(prefix + name)
    return names


def _config_file(environment: Mapping[str, str], file: Path | None) -> Path | None:
    named = file or (Path(environment["ROWCAST_CONFIG"]) if environment.get("ROWCAST_CONFIG") else None)
    if named is None:
        beside = Path("rowcast.toml")
        return beside if beside.is_file() else None
    if not named.is_file():
        raise ConfigError(
            f"The settings file {named} is not there. Check ROWCAST_CONFIG or --config.", code="config.file"
        )
    return named


def _read_file(file: Path | None) -> dict[str, object]:
    if file is None:
        return {}
    try:
        return tomllib.loads(file.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"The settings file {file} cannot be read: {error}.", code="config.file") from error


def _flatten(tree: Mapping[str, object], prefix: str = "") -> dict[str, object]:
    flat: dict[str, object] = {}
    for name, value in tree.items():
        if isinstance(value, dict) and f"{prefix}{name}" in _section_names():
            flat |= _flatten(value, f"{prefix}{name}.")
        else:
            flat[prefix + name] = value
    return flat


def _section_names() -> frozenset[str]:
    return frozenset(name.rpartition(".")[0] for name in leaf_names() if "." in name)


def _read_environment(environment: Mapping[str, str]) -> dict[str, object]:
    found: dict[str, object] = {}
    for variable, text in environment.items():
        if not variable.startswith(ENV_PREFIX) or variable in _OTHER_NAMES or variable.startswith("ROWCAST_TEST_"):
            continue
        name = variable.removeprefix(ENV_PREFIX).lower().replace("__", ".")
        if variable.endswith(_FILE_SUFFIX) and name not in leaf_names():
            leaf = name.removesuffix(_FILE_SUFFIX.lower())
            found[leaf] = _listed(leaf, _read_secret(variable, text))
        else:
            found[name] = _listed(name, text)
    return found


def _read_secret(variable: str, path: str) -> str:
    try:
        return Path(path).read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{variable} names a file that cannot be read: {error}.", code="config.file") from error


def _listed(name: str, text: str) -> object:
    """Lists come as comma-separated text, or a line each: `ROWCAST_PACKS=shop.events:pack,other:pack`."""
    if name in _LISTS:
        return tuple(item.strip() for item in re.split(r"[,\n]", text) if item.strip())
    return text


def _check_known(name: str, origin: Origin) -> None:
    if name in leaf_names():
        return
    written = ENV_PREFIX + name.upper().replace(".", "__") if origin == "environment" else name
    raise ConfigError(
        f"The {origin} sets {written!r}, which is no setting. See 'rowcast config show' for all of them.",
        code="config.unknown_setting",
    )


def _build(values: Mapping[str, object]) -> Settings:
    tree: dict[str, Any] = {}
    for name, value in values.items():
        *sections, leaf = name.split(".")
        place = tree
        for section in sections:
            place = place.setdefault(section, {})
        place[leaf] = value
    try:
        return Settings(**tree)
    except ValidationError as error:
        first = error.errors(include_input=False)[0]
        where = ".".join(str(word) for word in first["loc"])
        raise ConfigError(f"The setting {where} cannot be used: {first['msg']}.", code="config.value") from error
