"""Settings of incoming webhooks."""

from pydantic import BaseModel, ConfigDict, Field


class IncomingSettings(BaseModel):
    """How webhooks come in."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    rate_per_minute: int = Field(
        default=6000, ge=5, le=10_000_000, description="genuine deliveries of one source that one node takes"
    )
    keep_days: int = Field(
        default=30, ge=1, le=3650, description="how long a delivery's id is kept, so that a repetition is known as one"
    )
