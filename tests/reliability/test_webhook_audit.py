"""The comparison itself: each anomaly is shown to it once, and it must see it."""

from dataclasses import replace

import pytest

from tests.reliability.webhook_audit import FINE, Books, Expectation, Leg, compare

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
