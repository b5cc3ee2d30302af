"""Tokens: asked for once, kept until shortly before they end."""

import asyncio
from typing import Any

import pytest

from rowcast.egress.reply import Answer, EgressFailure, Reply
from rowcast.testing.fake_clock import FakeClock
from rowcast.webhooks.authentication import OAuth2
from rowcast.webhooks.token_source import TokenSource, read_token

ASKED = OAuth2(token_url="https://login.example.com/token", client_id="a b", client_secret="c:d", scopes=("x", "y"))


class Client:
    """Answers with numbered tokens and keeps what it was asked."""

    def __init__(self, life_s: int = 3600) -> None:
        self.life_s = life_s
        self.asked: list[tuple[str, bytes, dict[str, str]]] = []
        self.answers: list[Answer] = []

    async def post(self, url: str, body: bytes, *, headers: dict[str, str], timeout_s: float, terms: Any) -> Answer:
        self.asked.append((url, body, headers))
        await asyncio.sleep(0)
        if self.answers:
            return self.answers.pop()
        return Reply(200, {}, b'{"access_token":"t%d","expires_in":%d}' % (len(self.asked), self.life_s))


def source(client: Client, clock: FakeClock) -> TokenSource:
    return TokenSource(client=client, clock=clock)  # type: ignore[arg-type]


async def test_everybody_who_asks_at_once_gets_the_token_of_one_request() -> None:
    client = Client()
    tokens = source(client, FakeClock())

    async with asyncio.TaskGroup() as group:
        asked = [group.create_task(tokens.token("acme", ASKED)) for _ in range(50)]

    assert {each.result().value for each in asked} == {"t1"}
    url, body, headers = client.asked[0]
    assert (url, body) == ("https://login.example.com/token", b"grant_type=client_credentials&scope=x+y")
    # Each part is form-encoded before they are joined: a+b and c%3Ad.
    assert headers["authorization"] == "Basic YStiOmMlM0Fk"


async def test_token_is_asked_for_anew_shortly_before_it_ends() -> None:
    client, clock = Client(life_s=100), FakeClock()
    tokens = source(client, clock)

    values = [(await tokens.token("acme", ASKED)).value]
    clock.tick(69)
    values.append((await tokens.token("acme", ASKED)).value)
    clock.tick(2)
    values.append((await tokens.token("acme", ASKED)).value)

    assert values == ["t1", "t1", "t2"]


async def test_tenants_and_credentials_do_not_share_tokens() -> None:
    client = Client()
    tokens = source(client, FakeClock())
    other = OAuth2(token_url=ASKED.token_url, client_id="a b", client_secret="e", is_secret_in_body=True)

    values = [(await tokens.token(*each)).value for each in (("acme", ASKED), ("beta", ASKED), ("acme", other))]

    assert values == ["t1", "t2", "t3"]
    assert client.asked[2][1] == b"grant_type=client_credentials&client_id=a+b&client_secret=e"
    assert "authorization" not in client.asked[2][2]


async def test_failure_is_remembered_for_some_seconds_only() -> None:
    client, clock = Client(), FakeClock()
    client.answers = [Reply(500, {}, b"")]
    tokens = source(client, clock)

    problems = [(await tokens.token("acme", ASKED)).problem for _ in range(3)]
    clock.tick(6)

    assert problems == ["http_500"] * 3
    assert (await tokens.token("acme", ASKED)).value == "t2"
    assert len(client.asked) == 2


async def test_token_that_the_receiver_did_not_take_is_forgotten_and_a_newer_one_is_not() -> None:
    client = Client()
    tokens = source(client, FakeClock())
    await tokens.token("acme", ASKED)

    tokens.forget("acme", ASKED, "t0")
    assert (await tokens.token("acme", ASKED)).value == "t1"
    tokens.forget("acme", ASKED, "t1")
    assert (await tokens.token("acme", ASKED)).value == "t2"


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        (EgressFailure("blocked"), "blocked"),
        (Reply(302, {"location": "https://x/"}, b""), "http_302"),
        (Reply(401, {}, b'{"access_token":"t"}'), "http_401"),
        (Reply(200, {}, b"<html>"), "no_token"),
        (Reply(200, {}, b"\xff"), "no_token"),
        (Reply(200, {}, b"{}"), "no_token"),
        (Reply(200, {}, b'{"access_token":""}'), "no_token"),
        (Reply(200, {}, b'{"access_token":"a\\r\\nx-b: c"}'), "no_token"),
        (Reply(200, {}, b'{"access_token":"t","token_type":"mac"}'), "no_token"),
        (Reply(200, {}, b'{"access_token":"t","expires_in":"soon"}'), "no_token"),
    ],
)
def test_what_is_no_token_is_a_problem_with_a_stable_word(answer: Answer, problem: str) -> None:
    token, life_s = read_token(answer)

    assert (token.value, token.problem, life_s) == ("", problem, 5.0)


@pytest.mark.parametrize(
    ("said", "life_s"), [("3600", 3570.0), ('"600"', 570.0), ("1e99", 3600.0), ("0", 5.0), ("-5", 5.0), ('"nan"', 5.0)]
)
def test_life_of_a_token_is_what_it_says_within_bounds(said: str, life_s: float) -> None:
    body = f'{{"access_token":"t","token_type":"bearer","expires_in":{said}}}'.encode()

    assert read_token(Reply(200, {}, body))[1] == life_s
