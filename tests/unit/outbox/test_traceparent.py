import sys
from types import SimpleNamespace

import pytest

from rowcast.outbox.traceparent import current_traceparent


def load_opentelemetry(monkeypatch: pytest.MonkeyPatch, *, is_valid: bool) -> None:
    context = SimpleNamespace(
        is_valid=is_valid, trace_id=0xAF7651916CD43DD8448EB211C80319C, span_id=0x7AD6B, trace_flags=1
    )
    span = SimpleNamespace(get_span_context=lambda: context)
    monkeypatch.setitem(sys.modules, "opentelemetry.trace", SimpleNamespace(get_current_span=lambda: span))  # type: ignore[arg-type]


def test_the_current_span_is_the_trace_of_an_event(monkeypatch: pytest.MonkeyPatch) -> None:
    load_opentelemetry(monkeypatch, is_valid=True)

    assert current_traceparent() == "00-0af7651916cd43dd8448eb211c80319c-000000000007ad6b-01"


def test_without_a_span_there_is_no_trace(monkeypatch: pytest.MonkeyPatch) -> None:
    load_opentelemetry(monkeypatch, is_valid=False)

    assert current_traceparent() is None


def test_without_opentelemetry_there_is_no_trace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "opentelemetry.trace", raising=False)

    assert current_traceparent() is None
