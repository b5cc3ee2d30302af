"""The webhook API: how attempts, and where messages stand, are answered."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Literal

import msgspec

from rowcast.server.webhook_api_endpoints import EndpointOut, endpoint_out
from rowcast.server.webhook_api_message_forms import MessageOut, message_out
from rowcast.webhooks.attempt_list import Attempt, Leg
from rowcast.webhooks.endpoint import Endpoint
from rowcast.webhooks.ids import message_id
from rowcast.webhooks.message_table import Message

StatusText = Literal["success", "pending", "fail", "sending", "canceled"]

STATUS_TEXTS: Sequence[StatusText] = ("success", "pending", "fail", "sending", "canceled")
SUCCESS, CANCELED = 0, 4


class AttemptTimes(msgspec.Struct, frozen=True, rename="camel"):
    """Where the time of an attempt went: milliseconds from its start; a stage that was not reached is 0."""

    dns_ms: float
    connect_ms: float
    tls_ms: float
    first_byte_ms: float
    total_ms: float


class AttemptOut(msgspec.Struct, frozen=True, rename="camel"):
    """An attempt as it is answered, with what the SDKs do not know: its number, its reason, headers, and its times."""

    id: str
    message_id: str = msgspec.field(name="msgId")
    endpoint_id: str
    url: str
    response: str
    response_status_code: int
    response_duration_ms: int
    status: int
    status_text: str
    trigger_type: int
    timestamp: datetime
    message: MessageOut | None = msgspec.field(name="msg")
    attempt: int
    reason: str
    headers: Mapping[str, str] | None
    response_headers: Mapping[str, str] | None
    times: AttemptTimes | None


class EndpointMessageOut(MessageOut, frozen=True, rename="camel", kw_only=True):
    """A message, and where it stands with one endpoint."""

    status: int
    status_text: str
    next_attempt: datetime | None


class MessageEndpointOut(EndpointOut, frozen=True, rename="camel", kw_only=True):
    """An endpoint, and where one message stands with it."""

    status: int
    status_text: str
    next_attempt: datetime | None


class Empty(msgspec.Struct, frozen=True):
    """An answer that says nothing: an object without fields."""


class Shown(msgspec.Struct, frozen=True):
    """What of attempts is answered. Without `is_expanded` a canceled one is a success, as the oldest callers expect."""

    has_content: bool = True
    has_message: bool = False
    is_expanded: bool = True


def attempt_out(attempt: Attempt, *, shown: Shown) -> AttemptOut:
    """Give an attempt as it is answered."""
    status, detail = _status(attempt.status, shown), attempt.detail if shown.has_content else None
    message = attempt.message if shown.has_message else None
    return AttemptOut(
        id=attempt.id,
        message_id=message_id(attempt.event_id),
        endpoint_id=attempt.endpoint_id,
        url=attempt.url,
        response=attempt.response if shown.has_content else "",
        response_status_code=int(attempt.code) if attempt.code.isdigit() else 0,
        response_duration_ms=round(attempt.latency_ms),
        status=status,
        status_text=STATUS_TEXTS[status],
        trigger_type=int(attempt.is_manual),
        timestamp=attempt.started_at,
        message=None if message is None else message_out(message, has_content=shown.has_content),
        attempt=attempt.attempt,
        reason=attempt.reason,
        headers=detail.request_headers if detail else None,
        response_headers=detail.response_headers if detail else None,
        times=msgspec.convert(detail, AttemptTimes, from_attributes=True) if detail else None,
    )


def endpoint_message_out(message: Message, leg: Leg, *, shown: Shown) -> EndpointMessageOut:
    """Give a message with where it stands with an endpoint."""
    said = message_out(message, has_content=shown.has_content)
    return EndpointMessageOut(**msgspec.structs.asdict(said), **_standing(leg, shown))


def message_endpoint_out(endpoint: Endpoint, leg: Leg) -> MessageEndpointOut:
    """Give an endpoint with where a message stands with it."""
    return MessageEndpointOut(**msgspec.structs.asdict(endpoint_out(endpoint)), **_standing(leg, Shown()))


def asked_statuses(status: int | None, *, is_expanded: bool) -> tuple[int, ...] | None:
    """Give the numbers of the ledger that a number of a query means; None for all."""
    if status is None:
        return None
    return (SUCCESS, CANCELED) if status == SUCCESS and not is_expanded else (status,)


def _standing(leg: Leg, shown: Shown) -> dict[str, Any]:
    status = _status(leg.status, shown)
    return {"status": status, "status_text": STATUS_TEXTS[status], "next_attempt": leg.next_at}


def _status(status: int, shown: Shown) -> int:
    return SUCCESS if status == CANCELED and not shown.is_expanded else status
