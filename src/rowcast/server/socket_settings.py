"""Settings of sockets: how policies are asked, what is told of rows, and how much a tenant may do."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class PolicySettings(_Section):
    """How the policies of private channels are asked."""

    connections: int = Field(
        default=4, ge=1, le=100, description="connections for questions to row-level security, besides all others"
    )
    timeout_s: float = Field(default=3.0, gt=0, le=60, description="bound of one such question")


class RealtimeSettings(_Section):
    """What sockets are told of changed rows."""

    changes: Literal["auto", "off"] = Field(
        default="auto", description="postgres_changes: auto tells them where the log can be streamed"
    )
    changes_deletes: Literal["told", "checked", "dropped"] = Field(
        default="told",
        description="deleted rows under row-level security: told by key, checked as they were, or dropped",
    )


class LimitSettings(_Section):
    """How much each tenant may do on the sockets of one node; 0 is no limit where that is allowed."""

    users: int = Field(default=20_000, ge=0, description="sockets of a tenant; more are refused with 429")
    connections_per_user: int = Field(default=0, ge=0, description="sockets of one person (`sub` of the token)")
    joins_per_s: float = Field(default=0.0, ge=0, description="joins of a tenant")
    events_per_s: float = Field(default=2_500.0, ge=0, description="messages that a tenant's clients send")
    presences_per_s: float = Field(default=1_000.0, ge=0, description="presence messages of a tenant's clients")
    channels_per_socket: int = Field(default=100, ge=1, le=10_000, description="channels of one socket")
    payload_kb: int = Field(default=3_000, ge=1, le=4_000, description="size of one broadcast")
    presence_calls: int = Field(default=5, ge=1, description="presence messages of one channel in a window")
    presence_window_s: float = Field(default=30.0, gt=0, description="that window")
    presence_kb: int = Field(default=64, ge=1, le=3_000, description="size of one presence")
    presence_grace_s: float = Field(
        default=5.0, ge=0, le=300, description="how long a client whose socket is lost is still shown as present"
    )
    private_only: bool = Field(default=False, description="refuse public channels")
    presence_enabled: bool = Field(default=False, description="presences in every channel, asked for or not")
