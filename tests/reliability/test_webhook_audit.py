"""The comparison itself: each anomaly is shown to it once, and it must see it."""

from dataclasses import replace

import pytest

from rowcast.delivery.rate_limit import Limits, spacing_us
from tests.reliability.webhook_audit import FINE, Books, Expectation, Leg, compare
from tests.reliability.webhook_promises import most_over_rate

LEG = Leg("red", "msg_1", 0, "delivered", (("retry", "http_500", "500"), FINE))
BOOKS = Books({"msg_1": "red"}, [LEG], {("red", "msg_1"): 2}, frozenset({"msg_1"}))
EXPECTED = {"red": Expectation(frozenset({("retry", "http_500", "500")}))}


def test_a_clean_run_has_no_anomaly() -> None:
    assert compare(BOOKS, EXPECTED).counts == {}


@pytest.mark.parametrize(
    ("books", "anomaly"),
    [
        (replace(BOOKS, legs=[]), "LOST"),
        (replace(BOOKS, legs=[LEG, LEG]), "TWICE"),
        (replace(BOOKS, arrived={**BOOKS.arrived, ("red", "msg_2"): 1}), "PHANTOM"),
        (replace(BOOKS, arrived={**BOOKS.arrived, ("blue", "msg_1"): 1}), "CROSS-TENANT"),
        (replace(BOOKS, legs=[replace(LEG, status="dead")]), "ENDED"),
        (replace(BOOKS, taken=frozenset()), "INVENTED"),
        (replace(BOOKS, legs=[replace(LEG, words=(("retry", "http_502", "502"), FINE))]), "MISTAKEN"),
        (replace(BOOKS, arrived={("red", "msg_1"): 3}), "UNRECORDED"),
        (replace(BOOKS, legs=[replace(LEG, words=LEG.words[:1] * 2)]), "UNRECORDED"),
    ],
)
def test_each_anomaly_is_seen(books: Books, anomaly: str) -> None:
    assert compare(books, EXPECTED).counts == {anomaly: 1}


def test_a_stretch_with_more_than_the_rate_is_seen_however_long_the_run_stands_still_elsewhere() -> None:
    limits = Limits(rate_per_minute=600, burst=10)
    step_s = spacing_us(limits) / 1e6
    kept = [(number * step_s, number * step_s + 0.01) for number in range(40)]
    doubled = [(100.0 + number * step_s / 2, 100.0 + number * step_s / 2 + 0.01) for number in range(40)]

    assert most_over_rate(kept, limits) <= 0 < most_over_rate([*kept, *doubled], limits)
