import json

from rowcast.egress.reply import EgressFailure, Reply, Timings
from rowcast.webhooks.attempt_detail import BODY_LIMIT_CHARS, attempt_detail

TIMINGS = Timings(1.0, 2.0, 3.0, 4.5678, 5.0)


def test_document_says_what_was_sent_what_came_back_and_where_the_time_went() -> None:
    reply = Reply(200, {"content-type": "text/plain"}, b"ok", TIMINGS)

    detail = json.loads(
        attempt_detail("https://x/", sent={"webhook-id": "msg_1"}, hidden={"x-key": "canary"}, answer=reply)
    )

    assert detail == {
        "url": "https://x/",
        "requestHeaders": {"webhook-id": "msg_1", "x-key": "***"},
        "responseHeaders": {"content-type": "text/plain"},
        "dnsMs": 1.0,
        "connectMs": 2.0,
        "tlsMs": 3.0,
        "firstByteMs": 4.568,
        "totalMs": 5.0,
        "body": "ok",
    }


def test_what_the_receiver_sets_for_us_alone_is_not_kept() -> None:
    reply = Reply(200, {"set-cookie": "canary", "www-authenticate": "canary"}, b"")

    assert "canary" not in attempt_detail("https://x/", sent={}, hidden={}, answer=reply)


def test_long_and_odd_answers_are_cut_and_can_be_stored() -> None:
    headers = {f"x-{number}": "v" * 10_000 + "\x00" for number in range(500)}
    reply = Reply(200, headers, b"\x00\xff" + "ü".encode() * 100_000)

    text = attempt_detail("https://x/", sent={}, hidden={}, answer=reply)

    assert len(json.loads(text)["body"]) == BODY_LIMIT_CHARS
    assert len(json.loads(text)["responseHeaders"]) == 64
    assert "\\u0000" not in text
    assert "\x00" not in text


def test_a_failure_says_why_instead_of_a_body() -> None:
    failure = EgressFailure("tls", "certificate has expired", timings=TIMINGS)

    assert json.loads(attempt_detail("https://x/", sent={}, hidden={}, answer=failure))["body"] == failure.text
