"""What every run of webhooks must show, however long it is."""

from datetime import UTC, datetime

from rowcast.delivery.rate_limit import Limits, spacing_us
from rowcast.webhooks.signature import verify
from tests.reliability.webhook_audit import compare, seen_words
from tests.reliability.webhook_run import EXPECTED, LIMITED, RATE_PER_SECOND, Outcome, Plan

LIMITS = Limits(rate_per_minute=RATE_PER_SECOND * 60, burst=RATE_PER_SECOND)


def assert_kept(outcome: Outcome, plan: Plan) -> None:
    """Hold everything against what was promised."""
    findings = compare(outcome.books, EXPECTED)
    assert findings.counts == {}, dict(findings.samples)
    assert outcome.unhandled == []
    assert outcome.receiver.strays == [], "a redirect was followed, or somebody asked for what nobody sent"
    _assert_each_manner_was_met(outcome)
    _assert_every_post_is_signed(outcome)
    _assert_rate_was_kept(outcome)
    _assert_nobody_waited_for_the_one_that_hangs(outcome, plan)


def _assert_each_manner_was_met(outcome: Outcome) -> None:
    seen = seen_words(outcome.books.legs)
    for tenant, expected in EXPECTED.items():
        assert expected.words <= seen[tenant], f"{tenant}: {expected.words - seen[tenant]} never happened"


def _assert_every_post_is_signed(outcome: Outcome) -> None:
    for arrival in outcome.receiver.arrivals:
        at = datetime.fromtimestamp(arrival.at_s, UTC)
        assert verify([outcome.secrets[arrival.tenant]], arrival.headers, arrival.body, now=at) == arrival.message_id


def _assert_rate_was_kept(outcome: Outcome) -> None:
    """Whatever number of processes posted, and however often they were killed: no more than the rate permits."""
    at_s = sorted(arrival.at_s for arrival in outcome.receiver.arrivals if arrival.tenant == LIMITED)
    assert len(at_s) > 2 * RATE_PER_SECOND
    least_s = (len(at_s) - LIMITS.burst) * spacing_us(LIMITS) / 1e6
    assert at_s[-1] - outcome.began_at_s >= least_s, f"{len(at_s)} posts in {at_s[-1] - outcome.began_at_s:.2f} s"


def _assert_nobody_waited_for_the_one_that_hangs(outcome: Outcome, plan: Plan) -> None:
    """Everybody else was served while most of its queue stood, and nothing of that was lost."""
    assert outcome.hanging.total() == plan.queued
    assert outcome.hanging["waiting"] + outcome.hanging["running"] > plan.queued / 2
