"""What every run of webhooks must show, however long it is."""

import math
from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime
from operator import itemgetter

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
    unseen = {tenant: words for tenant, each in EXPECTED.items() if (words := each.words - seen[tenant])}
    # A worker that is killed, or a database that stops, in the middle of the only ones hides a manner.
    assert len(unseen) <= 3, unseen


def _assert_every_post_is_signed(outcome: Outcome) -> None:
    for arrival in outcome.receiver.arrivals:
        at = datetime.fromtimestamp(arrival.at_s, UTC)
        assert verify([outcome.secrets[arrival.tenant]], arrival.headers, arrival.body, now=at) == arrival.message_id


def _assert_rate_was_kept(outcome: Outcome) -> None:
    """Whatever number of processes posted, and however often they were killed: no more than the rate permits, ever."""
    claims: dict[str, list[float]] = defaultdict(list)
    for message_id, at_s in outcome.claims:
        claims[message_id].append(at_s)
    arrived = [each for each in outcome.receiver.arrivals if each.tenant == LIMITED]
    assert len(arrived) > 2 * RATE_PER_SECOND
    # A permit was given between the claim and the arrival.
    between = [(max(at for at in claims[each.message_id] if at <= each.at_s), each.at_s) for each in arrived]
    assert most_over_rate(between, LIMITS) <= 0


def most_over_rate(between: Sequence[tuple[float, float]], limits: Limits) -> float:
    """Give by how many the worst stretch of time has more permits than the limits allow; each was given in an interval."""
    by_end, spacing_s, worst = sorted(between, key=itemgetter(1)), spacing_us(limits) / 1e6, -math.inf
    for start_s, _ in between:
        inside = [end_s for begin_s, end_s in by_end if begin_s >= start_s]
        for count, end_s in enumerate(inside, start=1):
            worst = max(worst, count - limits.burst - (end_s - start_s) / spacing_s)
    return worst


def _assert_nobody_waited_for_the_one_that_hangs(outcome: Outcome, plan: Plan) -> None:
    """Everybody else was served while most of its queue stood, and nothing of that was lost."""
    assert outcome.hanging.total() == plan.queued
    assert outcome.hanging["waiting"] + outcome.hanging["running"] > plan.queued / 2
