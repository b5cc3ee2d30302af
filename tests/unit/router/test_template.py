"""Targets and keys with fields of the event."""

from datetime import UTC, datetime
from uuid import UUID

import msgspec
import pytest

from rowcast.core.envelope import Envelope
from rowcast.core.errors import InvalidInputError
from rowcast.router.template import compile_template

EVENT = Envelope(
    id=UUID("01900000-0000-7000-8000-000000000001"),
    tenant_id="acme",
    aggregate_type="order",
    aggregate_id="{tenant_id}",
    event_type="orders.confirmed",
    version=1,
    occurred_at=datetime(2026, 6, 19, tzinfo=UTC),
    payload=msgspec.Raw(b"{}"),
)


def test_text_without_fields_stays_itself() -> None:
    assert compile_template("send_mail") == "send_mail"
    assert compile_template("") == ""


def test_fields_are_filled_in_once() -> None:
    template = compile_template("{tenant_id}:{module}:{aggregate_type}/{aggregate_id}.{event_type}-{id}")

    assert callable(template)
    assert template(EVENT) == f"acme:orders:order/{{tenant_id}}.orders.confirmed-{EVENT.id}"


@pytest.mark.parametrize(
    "text",
    ["{payload}", "{", "}", "{}", "{tenant_id", "{{tenant_id}}", "{tenant_id.x}", "{tenant_id!r}", "{0}", "x" * 201],
)
def test_anything_else_in_braces_is_refused(text: str) -> None:
    with pytest.raises(InvalidInputError) as refusal:
        compile_template(text)

    assert refusal.value.code == "input.rule"
