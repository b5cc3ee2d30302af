from datetime import timedelta

import pytest

from rowcast.core.outcome import Delivered, Outcome, Postponed, Rejected, Retry
from rowcast.testing.fake_clock import FakeClock
from rowcast.webhooks.endpoint_health import judge

NOW = FakeClock().now()
FAILED = Retry("http_500")


@pytest.mark.parametrize(
    ("outcome", "failing_days", "change"),
    [
        (Delivered("200"), None, "none"),
        (Delivered("200"), 9, "works"),
        (FAILED, None, "fails"),
        (FAILED, 4.9, "none"),
        (FAILED, 5, "given_up"),
        (Rejected("egress_blocked"), None, "fails"),
        (Rejected("egress_blocked"), 5, "given_up"),
        (Rejected("endpoint_gone", "410"), None, "gone"),
        (Rejected("endpoint_gone", "410"), 9, "gone"),
        (Postponed(1.0), 9, "none"),
        (Retry("secret_unopened"), 9, "none"),
        (Retry("egress_closed"), None, "none"),
        (Retry("proxy"), 9, "none"),
        (Rejected("transform_failed"), 9, "none"),
        (Rejected("expunged", is_cancelled=True), None, "none"),
        (Rejected("expunged", is_cancelled=True), 9, "none"),
    ],
)
def test_an_attempt_changes_the_health_of_its_endpoint(
    outcome: Outcome, failing_days: float | None, change: str
) -> None:
    since = None if failing_days is None else NOW - timedelta(days=failing_days)

    assert judge(outcome, failing_since=since, now=NOW, give_up_days=5.0) == change


def test_without_days_nobody_is_given_up() -> None:
    assert judge(FAILED, failing_since=NOW - timedelta(days=900), now=NOW, give_up_days=0.0) == "none"
