"""What one attempt came to."""

from datetime import UTC, datetime

import pytest

from rowcast.core.outcome import Delivered, Outcome, Postponed, Rejected, Retry
from rowcast.egress.reply import Answer, EgressFailure, Reply
from rowcast.webhooks.classify import excerpt_of, outcome_of, retry_after_s

NOW = datetime(2026, 6, 19, 12, tzinfo=UTC)


def reply(status: int, **headers: str) -> Reply:
    return Reply(status, {name.replace("_", "-"): value for name, value in headers.items()}, b"body")


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (reply(200), Delivered("200", "body")),
        (reply(204), Delivered("204", "body")),
        (reply(299), Delivered("299", "body")),
        (reply(101), Retry("http_101", None, "101", "body")),
        (reply(301), Retry("http_301", None, "301", "body")),
        (reply(302), Retry("http_302", None, "302", "body")),
        (reply(307), Retry("http_307", None, "307", "body")),
        (reply(308), Retry("http_308", None, "308", "body")),
        (reply(400), Retry("http_400", None, "400", "body")),
        (reply(404), Retry("http_404", None, "404", "body")),
        (reply(410), Rejected("endpoint_gone", "410", "body")),
        (reply(429, retry_after="7"), Retry("http_429", 7.0, "429", "body")),
        (reply(429), Retry("http_429", None, "429", "body")),
        (reply(500), Retry("http_500", None, "500", "body")),
        (reply(503, retry_after="junk"), Retry("http_503", None, "503", "body")),
        (EgressFailure("timeout"), Retry("timeout")),
        (EgressFailure("dns"), Retry("dns")),
        (EgressFailure("refused"), Retry("refused")),
        (EgressFailure("tls"), Retry("tls")),
        (EgressFailure("reset"), Retry("reset")),
        (EgressFailure("protocol"), Retry("protocol")),
        (EgressFailure("timeout", status=200), Retry("timeout", None, "200")),
        (EgressFailure("too_large", status=200), Delivered("200")),
        (EgressFailure("too_large", status=500), Retry("too_large", None, "500")),
        (EgressFailure("too_large"), Retry("too_large")),
        (EgressFailure("too_large", status=410), Rejected("endpoint_gone", "410")),
        (EgressFailure("blocked"), Rejected("egress_blocked")),
        (EgressFailure("invalid"), Rejected("egress_invalid")),
        (EgressFailure("full"), Postponed(1.0)),
        (EgressFailure("closed"), Retry("egress_closed", 1.0)),
    ],
)
def test_answer_has_its_outcome(answer: Answer, outcome: Outcome) -> None:
    assert outcome_of(answer, now=NOW) == outcome


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (None, None),
        ("0", 0.0),
        ("120", 120.0),
        (" 120 ", 120.0),
        ("86400", 86_400.0),
        ("86401", 86_400.0),
        ("315360000", 86_400.0),
        ("9" * 5000, 86_400.0),
        ("-1", None),
        ("1.5", None),
        ("1e3", None),
        ("", None),
        ("soon", None),
        ("٣", None),
        ("Fri, 19 Jun 2026 12:01:00 GMT", 60.0),
        ("Fri, 19 Jun 2026 14:01:00 +0200", 60.0),
        ("Fri, 19 Jun 2026 11:59:00 GMT", None),
        ("Fri, 19 Jun 2036 12:00:00 GMT", 86_400.0),
        ("Fri, 99 Jun 2026 12:00:00 GMT", None),
        ("Fri, 19 Jun 99999 12:00:00 GMT", None),
        ("\x00", None),
        (", , ,", None),
    ],
)
def test_retry_after_is_seconds_or_a_date_and_a_day_at_most(text: str | None, expected: float | None) -> None:
    assert retry_after_s(text, now=NOW) == expected


def test_excerpt_can_be_stored_and_shown() -> None:
    assert excerpt_of(b"a\x00b\r\n\x1b[31mc\xff") == "a b   [31mc\ufffd"
    assert excerpt_of("\u202eü".encode()) == " ü"
    assert len(excerpt_of(b"x" * 70_000)) == 1024
