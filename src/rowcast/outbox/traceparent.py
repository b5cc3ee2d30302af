"""The trace that an event belongs to, where the application is traced."""

import sys


def current_traceparent() -> str | None:
    """Give the W3C `traceparent` of the current OpenTelemetry span, or None.

    OpenTelemetry is never imported: an application that has a span has loaded it.
    """
    trace = sys.modules.get("opentelemetry.trace")
    if trace is None:
        return None
    span = trace.get_current_span().get_span_context()
    if not span.is_valid:
        return None
    return f"00-{span.trace_id:032x}-{span.span_id:016x}-{int(span.trace_flags):02x}"
