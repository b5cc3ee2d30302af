"""The router against sinks that record what they are asked."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from uuid import UUID

import msgspec
import pytest

from rowcast.core.delivery import Delivery, Owed
from rowcast.core.envelope import Envelope
from rowcast.core.errors import ConfigError, StoreUnavailableError
from rowcast.core.outcome import Delivered, Outcome
from rowcast.core.retry import RetryPolicy
from rowcast.core.telemetry import listening
from rowcast.outbox.feed import Routed
from rowcast.router.router import Router
from rowcast.router.rule import built_in_rules, rule

Pairs = Sequence[tuple[Envelope, Owed]]


def event(number: int, event_type: str = "orders.confirmed") -> Envelope:
    return Envelope(
        id=UUID(int=number),
        tenant_id="acme",
        aggregate_type="order",
        aggregate_id=f"o{number}",
        event_type=event_type,
        version=1,
        occurred_at=datetime(2026, 6, 19, tzinfo=UTC),
        payload=msgspec.Raw(b'{"n": %d}' % number if number else b"{"),
    )


class GroupSink:
    """A sink whose target `*` is everybody in `members`; it cannot bear the aggregates in `poison`."""

    retry_policy = RetryPolicy()

    def __init__(self, name: str = "webhooks", *, members: Sequence[str] = (), poison: Sequence[str] = ()) -> None:
        self.name, self.members, self.poison = name, members, poison
        self.asked: list[int] = []

    async def targets(self, owed: Pairs) -> Sequence[Sequence[Owed]]:
        self.asked.append(len(owed))
        if any(event.aggregate_id in self.poison for event, _ in owed):
            raise ValueError("cannot bear it")
        return [
            [msgspec.structs.replace(each, target=member) for member in self.members] if each.target == "*" else [each]
            for _, each in owed
        ]

    async def deliver(self, delivery: Delivery) -> Outcome:
        return Delivered()


class Wall:
    """A live sink that remembers."""

    name = "realtime"

    def __init__(self, *, is_broken: bool = False) -> None:
        self.told: list[str] = []
        self.is_broken = is_broken

    async def tell(self, owed: Pairs) -> None:
        if self.is_broken:
            raise ConnectionError
        self.told += [event.aggregate_id for event, _ in owed]


async def routed_by(router: Router, *events: Envelope) -> Sequence[Routed]:
    """Route and expand, as the relay does before it records."""
    return await router.expand(await router.route(events))


async def test_routing_asks_no_sink_so_that_sockets_need_not_wait() -> None:
    hooks = GroupSink(members=("ep_1",))

    (routed,) = await Router(rules=built_in_rules(), sinks=[hooks], live_sinks=[Wall()]).route([event(1)])

    assert [owed.target for owed in routed.durable] == ["*"]
    assert hooks.asked == []


async def test_group_is_expanded_with_one_question_per_batch() -> None:
    hooks = GroupSink(members=("ep_1", "ep_2"))
    router = Router(rules=built_in_rules(), sinks=[hooks], live_sinks=[Wall()])

    routed = await routed_by(router, event(1), event(2))

    assert [[owed.target for owed in each.durable] for each in routed] == [["ep_1", "ep_2"], ["ep_1", "ep_2"]]
    assert [[owed.sink for owed in each.live] for each in routed] == [["realtime"], ["realtime"]]
    assert hooks.asked == [2]


async def test_answers_of_several_sinks_keep_the_order_of_the_rules() -> None:
    rules = [
        rule("a", "*", sink="webhooks", target="*"),
        rule("b", "*", sink="jobs", target="t"),
        rule("c", "*", sink="webhooks", target="ep_9"),
    ]
    router = Router(rules=rules, sinks=[GroupSink(members=("ep_1", "ep_2")), GroupSink("jobs")])

    (routed,) = await routed_by(router, event(1))

    assert [owed.target for owed in routed.durable] == ["ep_1", "ep_2", "t", "ep_9"]


async def test_group_without_members_owes_nothing() -> None:
    (routed,) = await routed_by(
        Router(rules=[rule("a", "*", sink="webhooks", target="*")], sinks=[GroupSink()]), event(1)
    )

    assert (routed.durable, routed.error) == ((), None)


async def test_event_that_cannot_be_read_fails_alone() -> None:
    rules = [rule("a", "*", sink="jobs", target="t", when={">": [{"var": "payload.n"}, 0]})]

    routed = await routed_by(Router(rules=rules, sinks=[GroupSink("jobs")]), event(1), event(0), event(2))

    assert [each.error is None for each in routed] == [True, False, True]
    assert str(routed[1].error).startswith("input.not_json")
    assert [len(each.durable) for each in routed] == [1, 0, 1]


async def test_event_that_a_sink_cannot_bear_fails_alone() -> None:
    router = Router(rules=built_in_rules(), sinks=[GroupSink(members=("ep_1",), poison=("o2",))], live_sinks=[Wall()])

    routed = await routed_by(router, event(1), event(2), event(3))

    assert [each.error for each in routed] == [None, "webhooks: ValueError: cannot bear it", None]
    assert [len(each.durable) for each in routed] == [1, 0, 1]


async def test_event_that_cannot_be_routed_is_not_told() -> None:
    wall = Wall()
    router = Router(
        rules=[rule("a", "*", sink="realtime", target="*", when={">": [{"var": "payload.n"}, 0]})], live_sinks=[wall]
    )

    await router.tell(await router.route([event(1), event(0)]))

    assert wall.told == ["o1"]


async def test_store_that_is_away_fails_the_batch_so_that_it_comes_again() -> None:
    class AwaySink(GroupSink):
        async def targets(self, owed: Pairs) -> Sequence[Sequence[Owed]]:
            raise StoreUnavailableError("away")

    with pytest.raises(StoreUnavailableError):
        await routed_by(
            Router(rules=[rule("a", "*", sink="webhooks", target="*")], sinks=[AwaySink()]), event(1), event(2)
        )


async def test_sink_that_never_answers_fails_the_batch_after_the_timeout() -> None:
    class HangingSink(GroupSink):
        async def targets(self, owed: Pairs) -> Sequence[Sequence[Owed]]:
            await asyncio.Event().wait()
            return []

    with pytest.raises(StoreUnavailableError):
        await routed_by(
            Router(rules=[rule("a", "*", sink="webhooks", target="*")], sinks=[HangingSink()], timeout_s=0.01), event(1)
        )


async def test_live_sink_that_fails_is_reported_and_holds_nothing_up() -> None:
    heard: list[str] = []
    router = Router(rules=[rule("a", "*", sink="realtime", target="*")], live_sinks=[Wall(is_broken=True)])

    with listening(lambda name, facts: heard.append(f"{name} {facts['error']}")):
        await router.tell(await router.route([event(1)]))

    assert heard == ["router.live_failed ConnectionError"]


def test_rule_for_a_sink_that_is_not_there_is_refused_at_start() -> None:
    with pytest.raises(ConfigError, match="'jobs'") as refusal:
        Router(rules=[rule("a", "*", sink="jobs", target="t")], sinks=[GroupSink()])

    assert refusal.value.code == "config.rule_sink"
