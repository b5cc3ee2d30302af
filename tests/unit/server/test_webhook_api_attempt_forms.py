"""How attempts, and where messages stand, are answered."""

import json
import uuid
from datetime import UTC, datetime

import msgspec
import pytest

from rowcast.core.codec import encode_json
from rowcast.server.webhook_api_attempt_forms import (
    Shown,
    asked_statuses,
    attempt_out,
    endpoint_message_out,
    message_endpoint_out,
)
from rowcast.webhooks.attempt_detail import AttemptDetail
from rowcast.webhooks.attempt_list import Attempt, Leg
from rowcast.webhooks.endpoint import Endpoint
from rowcast.webhooks.message_table import Message

NOW = datetime(2026, 1, 1, tzinfo=UTC)
MESSAGE = Message(event_id=uuid.UUID(int=5), event_type="a", payload=msgspec.Raw(b'{"a":1}'), created_at=NOW)
DETAIL = AttemptDetail("https://a.example", {"a": "b"}, {"c": "d"}, dns_ms=1.5, total_ms=9.0, body="thanks")
ATTEMPT = Attempt(
    key=(7, 1), event_id=MESSAGE.event_id, endpoint_id="ep_1", status=0, attempt=1, code="200", reason="",
    response="thanks", url="https://a.example", is_manual=True, started_at=NOW, latency_ms=9.4, detail=DETAIL,
    message=MESSAGE,
)  # fmt: skip


def test_an_attempt_is_answered_whole_or_without_what_nobody_asked_for() -> None:
    whole = attempt_out(ATTEMPT, shown=Shown(has_message=True))
    bare = attempt_out(ATTEMPT, shown=Shown(has_content=False))

    assert (whole.response, whole.headers, whole.response_headers) == ("thanks", {"a": "b"}, {"c": "d"})
    assert (whole.response_duration_ms, whole.trigger_type, whole.status_text) == (9, 1, "success")
    assert whole.times is not None
    assert (whole.times.dns_ms, whole.times.total_ms) == (1.5, 9.0)
    assert json.loads(encode_json(whole))["msg"]["payload"] == {"a": 1}
    assert (bare.response, bare.headers, bare.times, bare.message) == ("", None, None, None)
    assert (bare.id, bare.url, bare.message_id) == (whole.id, "https://a.example", MESSAGE.id)


@pytest.mark.parametrize(("code", "status_code"), [("404", 404), ("", 0), ("timeout", 0)])
def test_what_is_no_status_code_is_none(code: str, status_code: int) -> None:
    assert attempt_out(msgspec.structs.replace(ATTEMPT, code=code), shown=Shown()).response_status_code == status_code


def test_a_canceled_attempt_is_called_a_success_only_where_that_is_asked() -> None:
    canceled = msgspec.structs.replace(ATTEMPT, status=4)

    assert attempt_out(canceled, shown=Shown()).status_text == "canceled"
    assert attempt_out(canceled, shown=Shown(is_expanded=False)).status_text == "success"
    assert asked_statuses(None, is_expanded=True) is None
    assert asked_statuses(0, is_expanded=True) == (0,)
    assert asked_statuses(0, is_expanded=False) == (0, 4)
    assert asked_statuses(4, is_expanded=False) == (4,)


def test_messages_and_endpoints_are_answered_with_where_they_stand() -> None:
    leg = Leg("ep_1", 1, NOW)
    endpoint = Endpoint("ep_1", "acme", "https://a.example", "", None, False, NOW, NOW)

    message = json.loads(encode_json(endpoint_message_out(MESSAGE, leg, shown=Shown())))
    destination = json.loads(encode_json(message_endpoint_out(endpoint, leg)))

    for said in (message, destination):
        assert (said["status"], said["statusText"], said["nextAttempt"]) == (1, "pending", "2026-01-01T00:00:00Z")
    assert (message["id"], message["payload"], destination["id"]) == (MESSAGE.id, {"a": 1}, "ep_1")
