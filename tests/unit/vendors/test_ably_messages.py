"""Requests to Ably within its limits, and what its answers mean."""

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rowcast.core.outcome import Delivered, Rejected, Retry
from rowcast.realtime.messages import Broadcast
from rowcast.vendors.ably_messages import (
    MESSAGES_PER_REQUEST,
    REQUEST_LIMIT_BYTES,
    ably_requests,
    channel_name,
    judge_reply,
    worst_outcome,
)


def said(size_bytes: int, topic: str = "room") -> Broadcast:
    return Broadcast("acme", True, topic, "said", json.dumps('"' * (size_bytes // 2)).encode())


@given(st.lists(st.tuples(st.integers(0, 60_000), st.sampled_from(["a", "b"])), max_size=120))
def test_every_request_is_within_the_limits_and_nothing_is_lost(sizes: list[tuple[int, str]]) -> None:
    broadcasts = [said(*size) for size in sizes]

    requests = list(ably_requests("e", broadcasts))

    assert all(len(request.body) < REQUEST_LIMIT_BYTES + 16_384 for request in requests)
    assert all(len(request.messages) <= MESSAGES_PER_REQUEST for request in requests)
    for topic in ("a", "b"):
        wanted = [one.payload.decode() for one in broadcasts if one.topic == topic]
        sent = [one.data for request in requests if request.channel.endswith(topic) for one in request.messages]
        assert sent == wanted


def test_ids_are_places_within_one_base_for_each_request() -> None:
    first, second = ably_requests("e", [said(1)] * (MESSAGES_PER_REQUEST + 2))

    assert [message.id for message in second.messages] == ["e.1:0", "e.1:1"]
    assert first.messages[-1].id == f"e.0:{MESSAGES_PER_REQUEST - 1}"


@given(st.text(min_size=1, max_size=8), st.text(min_size=1, max_size=8), st.text(min_size=1, max_size=8))
def test_two_tenants_never_share_a_channel(one: str, other: str, topic: str) -> None:
    names = {channel_name(Broadcast(tenant, True, topic, "e", b"{}")) for tenant in {one, other}}

    assert len(names) == len({one, other})


def test_a_tenant_whose_name_looks_like_a_channel_gets_no_other_s() -> None:
    sly = Broadcast("acme:private:orders", True, "7", "e", b"{}")
    other = Broadcast("acme", True, "orders:private:7", "e", b"{}")

    assert channel_name(sly) != channel_name(other)


def test_the_code_is_read_from_the_header_or_the_body() -> None:
    body = msgspec.json.encode({"error": {"code": 42911}})

    assert judge_reply(429, {"retry-after": "3"}, body) == Retry("ably_42911", 3.0, "429", body.decode())
    assert judge_reply(401, {"x-ably-errorcode": "40160"}, b"") == Rejected("ably_40160", "401", "")


@pytest.mark.parametrize("body", [b"", b"<html>", b"\xff", b'{"error":"x"}', b"[" * 100_000])
def test_an_answer_that_cannot_be_read_is_judged_by_its_status(body: bytes) -> None:
    assert isinstance(judge_reply(502, {}, body), Retry)
    assert isinstance(judge_reply(400, {}, body), Rejected)


@pytest.mark.parametrize("text", ["soon", "-1", "1e9", "99999999", ""])
def test_a_wait_that_is_no_number_of_seconds_is_ignored(text: str) -> None:
    found = judge_reply(429, {"retry-after": text}, b"")

    assert isinstance(found, Retry)
    assert found.after_s is None


def test_of_several_outcomes_the_one_that_may_still_succeed_counts() -> None:
    assert worst_outcome([Delivered(), Rejected("a"), Retry("b")]) == Retry("b")
    assert worst_outcome([Delivered(), Rejected("a")]) == Rejected("a")
    assert worst_outcome([]) == Delivered()
