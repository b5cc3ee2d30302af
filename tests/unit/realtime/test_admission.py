"""Who may open a channel, before anybody is asked."""

from datetime import UTC, datetime

import pytest

from rowcast.realtime.admission import Identity, limit_fault, topic_fault, wish_fault
from rowcast.realtime.authorize import Authorizer, Claims, Refusal, sign_token
from rowcast.realtime.join import InvalidReplay, JoinRequest, Replay
from rowcast.realtime.limits import Meter, RealtimeLimits
from rowcast.realtime.messages import TopicKey

SINCE = Replay(datetime(2026, 1, 1, tzinfo=UTC))


@pytest.mark.parametrize(
    ("topic", "fault"),
    [
        ("realtime:room", None),
        ("realtime:", "TopicNameRequired: You must provide a topic name"),
        ("room", "unmatched topic"),
        ("", "unmatched topic"),
    ],
)
def test_a_topic_needs_its_prefix_and_a_name(topic: str, fault: str | None) -> None:
    assert topic_fault(topic) == fault


@pytest.mark.parametrize(
    ("limits", "request_", "channels", "fault"),
    [
        (RealtimeLimits(), JoinRequest(), 99, None),
        (RealtimeLimits(), JoinRequest(), 100, "ChannelRateLimitReached: Too many channels"),
        (
            RealtimeLimits(is_private_only=True),
            JoinRequest(),
            0,
            "PrivateOnly: This project only allows private channels",
        ),
        (RealtimeLimits(is_private_only=True), JoinRequest(is_private=True), 0, None),
        (RealtimeLimits(joins_per_s=0.01), JoinRequest(), 0, "ClientJoinRateLimitReached: Too many joins per second"),
        (
            RealtimeLimits(),
            JoinRequest(postgres_changes=({},) * 101),
            0,
            "TooManyBindings: A channel may ask for 100 postgres_changes at most",
        ),
    ],
)
def test_a_limit_refuses_in_the_words_of_the_stock_server(
    limits: RealtimeLimits, request_: JoinRequest, channels: int, fault: str | None
) -> None:
    assert limit_fault(request_, channels=channels, meter=Meter(limits), now_s=0.0) == fault


def test_more_users_than_allowed_refuse_a_join() -> None:
    meter = Meter(RealtimeLimits(users=1), users=2)

    assert limit_fault(JoinRequest(), channels=0, meter=meter, now_s=0.0) == (
        "ConnectionRateLimitReached: Too many connected users"
    )


@pytest.mark.parametrize(
    ("request_", "has_log", "fault"),
    [
        (JoinRequest(is_private=True, replay=SINCE), True, None),
        (JoinRequest(is_private=True, recovers="s"), False, None),
        (JoinRequest(replay=SINCE), True, "UnableToReplayMessages: Replay is not allowed for public channels"),
        (
            JoinRequest(is_private=True, replay=InvalidReplay()),
            True,
            "UnableToReplayMessages: Replay params are not valid",
        ),
        (
            JoinRequest(is_private=True, replay=SINCE),
            False,
            "UnableToReplayMessages: Realtime was unable to replay messages",
        ),
    ],
)
def test_a_replay_that_cannot_be_had_refuses_the_join(request_: JoinRequest, has_log: bool, fault: str | None) -> None:
    assert wish_fault(request_, has_log=has_log, has_changes=True) == fault


def test_who_will_not_be_without_changes_is_refused_where_there_are_none() -> None:
    binding: dict[str, object] = {"event": "*", "schema": "public", "table": "x"}
    waits = JoinRequest(postgres_changes=(binding,), changes_wait_ms=9)
    patient = JoinRequest(postgres_changes=(binding,))
    fault = wish_fault(waits, has_log=True, has_changes=False)

    assert fault is not None
    assert fault.startswith("RealtimeDisabledForConfiguration: Unable to subscribe to changes with given parameters. ")
    assert "table: x" in fault
    assert wish_fault(waits, has_log=True, has_changes=True) is None
    assert wish_fault(patient, has_log=True, has_changes=False) is None
    assert wish_fault(JoinRequest(changes_wait_ms=9), has_log=True, has_changes=False) is None


def test_public_topics_are_those_of_the_sockets_tenant_and_private_ones_of_the_channels() -> None:
    authorizer = Authorizer(secret="a secret for tests that has more than 32 bytes")
    identity = Identity(authorizer, Claims("authenticated", 0, "acme"))

    assert identity.key(Claims("authenticated", 0, "globex"), "r", is_private=False) == TopicKey("acme", False, "r")
    assert identity.key(Claims("authenticated", 0, "globex"), "r", is_private=True) == TopicKey("globex", True, "r")


def test_a_channels_own_token_is_read_with_the_headers_of_its_socket() -> None:
    secret = "a secret for tests that has more than 32 bytes"
    identity = Identity(Authorizer(secret=secret), Claims("anon", 0, headers=b'{"x-shop":"s1"}'))

    found = identity.check(sign_token({"role": "authenticated", "exp": 4_000_000_000}, secret), SINCE.since)

    assert isinstance(found, Claims)
    assert (found.role, found.headers) == ("authenticated", b'{"x-shop":"s1"}')


@pytest.mark.parametrize(
    ("role", "own", "found"),
    [
        ("authenticated", "acme", ("acme", False)),
        ("authenticated", None, (None, True)),
        ("service_role", None, ("acme", False)),
        ("authenticated", "globex", None),
        ("service_role", "globex", None),
    ],
)
def test_what_the_connection_named_holds_for_its_channels_own_tokens(
    role: str, own: str | None, found: tuple[str | None, bool] | None
) -> None:
    secret = "a secret for tests that has more than 32 bytes"
    identity = Identity(Authorizer(secret=secret), Claims("anon", 0, named_tenant="acme"))
    token = sign_token({"role": role, "exp": 4_000_000_000} | ({"tenant_id": own} if own else {}), secret)

    given = identity.check(token, SINCE.since)

    assert identity.tenant_id == "acme"
    if found is None:
        assert isinstance(given, Refusal)
        assert given.reason == "Unauthorized: This token is for another tenant than the one that the connection names"
    else:
        assert isinstance(given, Claims)
        assert (given.tenant_id, given.is_guest) == found
