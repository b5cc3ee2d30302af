"""Settings of what leaves: webhooks, and the door that every outgoing request passes."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, SecretStr, StringConstraints

_Address = Annotated[str, StringConstraints(pattern=r"^(\[[0-9a-fA-F:]+\]|[^\s:/@]+):[0-9]{1,5}$")]
_TenantNetwork = Annotated[str, StringConstraints(pattern=r"^[^\s=,]+=[0-9a-fA-F.:]+/[0-9]{1,3}$")]
_Wait = Annotated[float, Field(ge=0, le=604_800)]


class WebhookSettings(BaseModel):
    """How webhooks leave."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    timeout_s: float = Field(default=15.0, gt=0, le=120, description="total bound of one post")
    allow_http: bool = Field(default=False, description="also post to http:// endpoints")
    allow_private: tuple[_Address, ...] = Field(
        default=(), description="host:port pairs inside the network that may be reached all the same"
    )
    tenant_networks: tuple[_TenantNetwork, ...] = Field(
        default=(), description="closed networks that a tenant may reach, tenant=10.1.0.0/16 each; * is every tenant"
    )
    rate_per_minute: int = Field(default=100, ge=1, description="posts a minute to one endpoint")
    endpoint_concurrency: int = Field(
        default=25, ge=0, le=10_000, description="posts to one endpoint at once, over all workers; 0 is no limit"
    )
    endpoints_per_tenant: int = Field(default=1000, ge=1, description="endpoints that one tenant may have")
    host_concurrency: int = Field(
        default=48, ge=0, le=10_000, description="posts to one host at once, in each process; 0 is no limit"
    )
    retry_waits_s: tuple[_Wait, ...] = Field(
        default=(),
        max_length=30,
        description="seconds to wait after each failed attempt; without any, those of Standard Webhooks",
    )
    give_up_days: float = Field(
        default=5.0, ge=0, le=365, description="an endpoint that only failed for so long is disabled; 0 is never"
    )
    operational_tenant: str = Field(
        default="", max_length=256, description="tenant that gets events about endpoints and failing messages"
    )
    retry: tuple[dict[str, Any], ...] = Field(
        default=(), description="waits of some tenants or event types, one [[webhooks.retry]] table each"
    )
    target: tuple[dict[str, Any], ...] = Field(
        default=(), description="receivers that `watch --webhook` names, one [[webhooks.target]] table each"
    )


class OutgoingSettings(BaseModel):
    """How every outgoing request leaves."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    proxy: SecretStr | None = Field(default=None, description="http://user:password@host:port of an outgoing proxy")
    ca_file: str = Field(
        default="", description="PEM file of the authorities to trust instead of the public ones that come with certifi"
    )
