"""The catcher."""

from rowcast.testing.fake_clock import FakeClock
from rowcast.webhooks.catcher import Catcher
from rowcast.webhooks.signature import secret_text, signed_headers

SECRET = secret_text(b"s" * 32)


def test_catcher_shows_what_it_verified_the_newest_first() -> None:
    clock = FakeClock()
    catcher = Catcher(clock=clock, secrets=[SECRET])
    for number in (1, 2):
        body = b'{"n": %d}' % number
        catcher.receive(
            signed_headers([SECRET], message_id=f"msg_{number}", timestamp_s=int(clock.now().timestamp()), body=body),
            body,
        )

    assert [(each.message_id, each.is_verified, each.problem, each.body) for each in catcher.caught] == [
        ("msg_2", True, "", '{"n": 2}'),
        ("msg_1", True, "", '{"n": 1}'),
    ]


def test_catcher_keeps_what_does_not_verify_and_says_why() -> None:
    clock = FakeClock()
    catcher = Catcher(clock=clock)
    made = signed_headers([SECRET], message_id="msg_1", timestamp_s=int(clock.now().timestamp()), body=b"{}")

    assert catcher.receive(made, b"{}").problem.startswith("auth.signature")
    catcher.trust(SECRET)
    assert catcher.receive(made, b"{}").is_verified
    clock.tick(301)
    assert catcher.receive(made, b"{}").problem.startswith("auth.timestamp")
    assert not catcher.receive({}, b"\xff\x00").is_verified


def test_catcher_is_bounded() -> None:
    catcher = Catcher(clock=FakeClock(), limit=3)
    for _ in range(10):
        catcher.receive({}, b"x" * 100_000)

    assert [len(each.body) for each in catcher.caught] == [65_536] * 3
    assert catcher.total == 10
