"""What Stripe, GitHub, Slack, Shopify, Mailchimp, Xero and Ably send: their published vectors, and what is read of it."""

from datetime import UTC, datetime

import msgspec
import pytest

from rowcast.core.errors import InvalidInputError
from rowcast.webhooks.incoming import Accepted, Challenge, IncomingRequest, Question, Read, Refused, SourceOptions
from rowcast.webhooks.incoming_vendors import (
    read_ably,
    read_github,
    read_mailchimp,
    read_shopify,
    read_slack,
    read_stripe,
    read_xero,
    verify_github,
    verify_mailchimp,
    verify_slack,
)
from tests.unit.webhooks.senders import FORM, NOW, SENDERS, request_of

SLACK_SECRET = "8f742231b10e8888abcd99yyyzzz85a5"
SLACK_AT_S = 1531420618
SLACK_SIGNATURE = "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503"
SLACK_BODY = (
    b"token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V"
    b"&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text="
    b"&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN"
    b"&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c"
)


def asked(request: IncomingRequest, *secrets: str, options: SourceOptions = SourceOptions()) -> Question:
    return Question(request=request, secrets=secrets, options=options, now=NOW)


def only(answer: Accepted | Challenge) -> Read:
    assert isinstance(answer, Accepted)
    (read,) = answer.reads
    return read


def test_githubs_published_vector_is_verified() -> None:
    signed = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
    request = request_of(b"Hello, World!", {"X-Hub-Signature-256": signed})

    assert verify_github(asked(request, "It's a Secret to Everybody")) is None
    assert isinstance(verify_github(asked(request, "It's a secret to everybody")), Refused)


def test_slacks_published_vector_is_verified_and_read_as_a_command() -> None:
    headers = {"X-Slack-Signature": SLACK_SIGNATURE, "X-Slack-Request-Timestamp": str(SLACK_AT_S)}
    request = request_of(SLACK_BODY, headers, FORM)
    at = datetime.fromtimestamp(SLACK_AT_S, UTC)
    question = msgspec.structs.replace(asked(request, SLACK_SECRET), now=at)

    assert verify_slack(question) is None
    read = only(read_slack(question))
    assert (read.called, read.delivery_id) == (
        "/webhook-collect",
        "398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c",
    )


def test_slack_gets_its_challenge_back() -> None:
    request = request_of(b'{"type":"url_verification","challenge":"3eZbrw1a","token":"t"}', {})

    assert read_slack(asked(request)) == Challenge("3eZbrw1a")


def test_slacks_interactions_come_as_json_in_a_form() -> None:
    request = request_of(b"payload=%7B%22type%22%3A%22block_actions%22%2C%22trigger_id%22%3A%221.2%22%7D", {}, FORM)

    read = only(read_slack(asked(request)))

    assert (read.called, read.delivery_id) == ("block_actions", "1.2")


@pytest.mark.parametrize(
    ("name", "called", "said"),
    [("slack", "app_mention", "Ev1"), ("stripe", "thing.made", "evt_1"), ("shopify", "orders/create", "b54557e4")],
)
def test_type_and_id_are_the_senders_own(name: str, called: str, said: str) -> None:
    sender = SENDERS[name]
    read = {"slack": read_slack, "stripe": read_stripe, "shopify": read_shopify}[name]

    found = only(read(sender.question(sender.request())))

    assert (found.called, found.delivery_id, found.payload) == (called, said, sender.body)


@pytest.mark.parametrize(("body", "called"), [(b'{"action":"opened"}', "issues.opened"), (b'{"zen":"x"}', "issues.")])
def test_github_says_the_event_in_a_header_and_the_action_in_the_body(body: bytes, called: str) -> None:
    request = request_of(body, {"X-GitHub-Event": "issues", "X-GitHub-Delivery": "72d3162e"})

    assert only(read_github(asked(request))) == Read("72d3162e", called, body)


def test_githubs_form_carries_the_same_json() -> None:
    request = request_of(b"payload=%7B%22action%22%3A%22opened%22%7D", {"X-GitHub-Event": "issues"}, FORM)

    assert only(read_github(asked(request))).payload == b'{"action":"opened"}'


def test_mailchimps_older_hooks_are_known_by_a_secret_in_their_url() -> None:
    options = SourceOptions(url_secret="key")

    def refusal(query: bytes) -> Refused | None:
        request = request_of(b"type=subscribe", {}, FORM, query)
        return verify_mailchimp(asked(request, "a secret", options=options))

    assert refusal(b"key=a%20secret") is None
    assert refusal(b"x=1&key=a+secret") is None
    for query in (b"", b"key=", b"key=another", b"other=a%20secret", b"key=%ff\xff"):
        assert refusal(query) is not None


def test_a_form_of_mailchimp_that_comes_again_has_the_same_id() -> None:
    question = SENDERS["mailchimp"].question(SENDERS["mailchimp"].request())

    read = only(read_mailchimp(question))

    assert (read.called, read.payload) == ("subscribe", b'{"type":"subscribe","data[email]":"a@b.example"}')
    assert read == only(read_mailchimp(question))


def test_each_item_of_xero_is_an_event_known_by_its_sequence_number() -> None:
    item = b'{"eventCategory":"INVOICE","eventType":"UPDATE"}'
    body = b'{"events":[%b,%b],"firstEventSequence":%d,"entropy":"S0m3r4Nd0mt3xt"}'

    def reads(first: int) -> tuple[Read, ...]:
        return read_xero(asked(request_of(body % (item, item, first), {}))).reads

    assert [(read.called, read.payload) for read in reads(7)] == [("INVOICE.UPDATE", item)] * 2
    assert len({read.delivery_id for read in (*reads(7), *reads(8))}) == 3


def test_xeros_intent_to_receive_tells_nothing() -> None:
    body = b'{"events":[],"lastEventSequence":0,"firstEventSequence":0,"entropy":"S0m3"}'

    assert read_xero(asked(request_of(body, {}))) == Accepted()


def test_each_item_of_ably_is_an_event() -> None:
    answer = read_ably(SENDERS["ably"].question(SENDERS["ably"].request()))

    assert [(read.called, read.payload) for read in answer.reads] == [
        ("channel.message", b'{"name":"channel.message","data":{"n":1.50}}'),
        ("channel.presence", b'{"source":"channel.presence"}'),
    ]


def test_a_message_of_ably_that_is_no_batch_is_refused() -> None:
    with pytest.raises(InvalidInputError):
        read_ably(asked(request_of(b'{"name":"x"}', {})))
