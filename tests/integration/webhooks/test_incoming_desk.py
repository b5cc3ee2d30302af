"""Requests become events, once, or nothing at all."""

import asyncio
from typing import Any

import msgspec
import pytest

from rowcast.core.errors import (
    AuthenticationError,
    InvalidInputError,
    LimitExceededError,
    NotFoundError,
    PayloadTooLargeError,
    RowcastError,
)
from rowcast.core.telemetry import listening
from rowcast.store.pool import Database
from rowcast.webhooks.incoming_desk import COMMITTED
from rowcast.webhooks.incoming_meters import FAILURES_TOLD
from rowcast.webhooks.incoming_schemes import Thanks
from tests.integration.webhooks.incoming_world import World
from tests.unit.webhooks.senders import FORM, SECRET, SENDERS, request_of


@pytest.fixture
async def world(database: Database) -> World:
    return World(database)


class Heard:
    """What was told."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, dict[str, Any]]] = []

    def __call__(self, name: str, facts: Any) -> None:
        self.lines.append((name, dict(facts)))

    def named(self, name: str) -> list[dict[str, Any]]:
        return [facts for said, facts in self.lines if said == name]


@pytest.mark.parametrize("name", list(SENDERS))
async def test_what_a_sender_tells_becomes_events_of_the_sources_tenant(world: World, name: str) -> None:
    source, sender = await world.source(name)

    thanks = await world.desk.take(source.id, sender.request())

    events = await world.events()
    assert thanks == (Thanks(b"<Response/>", "text/xml") if sender.scheme == "twilio" else Thanks())
    assert len(events) == (2 if sender.scheme == "ably" else 1)
    assert {tenant for tenant, _, _ in events} == {"acme"}
    assert all(type_.startswith(f"{sender.scheme}.") for _, type_, _ in events)
    assert {event_id for _, _, event_id in await world.taken()} == {event.id for event in world.emitted}


async def test_the_payload_is_what_the_sender_wrote(world: World) -> None:
    source, sender = await world.source("stripe", name="till")

    await world.desk.take(source.id, sender.request())

    assert await world.events() == [("acme", "till.thing.made", sender.body.decode())]


async def test_a_repetition_is_answered_like_the_first_and_writes_nothing(world: World) -> None:
    source, sender = await world.source("stripe")
    heard = Heard()
    first = await world.desk.take(source.id, sender.request())
    before = await world.taken()

    with listening(heard):
        again = await world.desk.take(source.id, sender.request())

    assert again == first
    assert (await world.taken(), len(await world.events())) == (before, 1)
    assert heard.named("incoming.taken") == [{"scheme": "stripe", "events": 0, "repeated": 1}]


async def test_deliveries_that_come_at_the_same_time_are_taken_once(world: World) -> None:
    source, sender = await world.source("ably")

    async with asyncio.TaskGroup() as group:
        for _ in range(8):
            group.create_task(world.desk.take(source.id, sender.request()))

    assert len(await world.events()) == 2


async def test_the_same_delivery_at_two_sources_is_two(world: World) -> None:
    for _ in range(2):
        source, sender = await world.source("stripe")
        await world.desk.take(source.id, sender.request())

    assert len(await world.events()) == 2


async def test_what_is_not_genuine_leaves_no_row_and_is_counted_without_its_secret(world: World) -> None:
    source, sender = await world.source("stripe")
    heard = Heard()
    wrong = sender.request(secret="another secret, not ours")

    with listening(heard):
        for _ in range(FAILURES_TOLD + 2):
            with pytest.raises(AuthenticationError) as refusal:
                await world.desk.take(source.id, wrong)

    assert (refusal.value.code, await world.events(), await world.taken()) == ("auth.signature", [], [])
    assert len(heard.named("incoming.refused")) == FAILURES_TOLD + 2
    assert heard.named("incoming.failing") == [{"scheme": "stripe", "source": source.id, "reason": "auth.signature"}]
    shown = repr(heard.lines) + str(refusal.value)
    assert SECRET not in shown
    assert "evt_1" not in shown


async def test_an_old_delivery_and_one_that_is_not_signed_have_their_own_codes(world: World) -> None:
    source, sender = await world.source("slack")
    request = sender.request()
    world.clock.tick(301)

    with pytest.raises(AuthenticationError) as old:
        await world.desk.take(source.id, request)
    with pytest.raises(AuthenticationError) as bare:
        await world.desk.take(source.id, request_of(sender.body, {}))

    assert (old.value.code, bare.value.code) == ("auth.timestamp", "auth.missing")


async def test_slacks_challenge_is_answered_and_nothing_is_written(world: World) -> None:
    source, sender = await world.source("slack")
    body = b'{"type":"url_verification","challenge":"3eZbrw1a"}'

    assert await world.desk.take(source.id, sender.request(body=body)) == Thanks(b"3eZbrw1a")
    with pytest.raises(AuthenticationError):
        await world.desk.take(source.id, sender.request(body=body, secret="another secret, not ours"))
    assert (await world.events(), await world.taken()) == ([], [])


async def test_xeros_intent_to_receive_is_answered_by_the_signature_alone(world: World) -> None:
    source, sender = await world.source("xero")
    body = b'{"events":[],"lastEventSequence":0,"firstEventSequence":0,"entropy":"S0m3r4Nd0mt3xt"}'

    assert await world.desk.take(source.id, sender.request(body=body)) == Thanks()
    with pytest.raises(AuthenticationError):
        await world.desk.take(source.id, sender.request(body=body, secret="another secret, not ours"))
    assert (await world.events(), await world.taken()) == ([], [])


async def test_two_secrets_are_good_while_one_follows_the_other(world: World) -> None:
    source, sender = await world.source("github")
    old, new = sender.secrets
    await world.table.rotate("acme", source.id, secret=new, grace_s=60)
    by_id = [{"X-GitHub-Delivery": said} for said in ("one", "two", "three")]

    for secret, more in zip((old, new), by_id, strict=False):
        headers = sender.headers(secret, sender.body, 0) | more
        await world.desk.take(source.id, request_of(sender.body, headers))
    world.clock.tick(60)
    with pytest.raises(AuthenticationError):
        await world.desk.take(source.id, request_of(sender.body, sender.headers(old, sender.body, 0) | by_id[2]))

    assert len(await world.events()) == 2


async def test_an_unknown_and_a_disabled_source_are_told_alike(world: World) -> None:
    source, sender = await world.source("mailchimp")
    await world.table.update("acme", source.id, options=source.options, is_disabled=True)

    said = set()
    for source_id in (source.id, "src_nothing", "\udcff", "x" * 5000):
        for call in (world.desk.take(source_id, sender.request()), world.desk.look(source_id)):
            with pytest.raises(NotFoundError) as refusal:
                await call
            said.add(str(refusal.value))

    assert len(said) == 1


async def test_only_a_sender_that_looks_is_shown_that_its_url_is_there(world: World) -> None:
    looked_at, _ = await world.source("mailchimp")
    other, _ = await world.source("stripe")

    assert await world.desk.look(looked_at.id) == Thanks()
    with pytest.raises(NotFoundError):
        await world.desk.look(other.id)


async def test_what_is_too_large_or_no_json_is_refused_counted_and_leaves_nothing(world: World) -> None:
    source, sender = await world.source("xero")
    heard = Heard()
    large = b'{"eventCategory":"A","text":"%b"}' % (b"x" * 65_536)
    bodies = {
        "too_large": b'{"events":[{"eventCategory":"A"},%b]}' % large,
        "input.not_json": b'{"events":1}',
        "input.payload": b'{"events":[{"eventCategory":"A","text":"\\u0000"}]}',
    }

    with listening(heard):
        for body in bodies.values():
            with pytest.raises(InvalidInputError) as refusal:
                await world.desk.take(source.id, sender.request(body=body))
            assert isinstance(refusal.value, PayloadTooLargeError) == (body == bodies["too_large"])

    assert [facts["reason"] for facts in heard.named("incoming.refused")] == list(bodies)
    assert (await world.events(), await world.taken()) == ([], [])


async def test_too_many_genuine_deliveries_come_again_later_and_others_count_for_nothing(database: Database) -> None:
    world = World(database, rate_per_minute=5)
    source, sender = await world.source("stripe")
    for _ in range(20):
        with pytest.raises(AuthenticationError):
            await world.desk.take(source.id, sender.request(secret="another secret, not ours"))
    await world.desk.take(source.id, sender.request())

    with pytest.raises(LimitExceededError) as refusal:
        await world.desk.take(source.id, sender.request(body=b'{"id":"evt_2"}'))

    assert 0 < refusal.value.retry_after_s <= 60
    assert len(await world.events()) == 1


async def test_a_failure_before_the_commit_takes_nothing_and_the_repetition_is_taken(world: World) -> None:
    source, sender = await world.source("stripe")
    emit = world.desk._emit

    async def fail(*_: Any) -> None:
        raise RowcastError("The database went away.")

    world.desk._emit = fail
    with pytest.raises(RowcastError):
        await world.desk.take(source.id, sender.request())
    world.desk._emit = emit
    assert (await world.events(), await world.taken()) == ([], [])

    await world.desk.take(source.id, sender.request())

    assert len(await world.events()) == 1


async def test_nothing_is_answered_before_the_commit(database: Database) -> None:
    seen: list[int] = []
    world = World(database, failpoint=lambda name: seen.append(len(world.emitted)) if name == COMMITTED else None)
    source, sender = await world.source("stripe")

    await world.desk.take(source.id, sender.request())

    assert seen == [1]


async def test_a_form_that_repeats_a_name_loses_no_value(world: World) -> None:
    source, _ = await world.source("bearer")
    request = request_of(b"a=1&a=2", {"Authorization": f"Bearer {SECRET}"}, FORM)

    await world.desk.take(source.id, request)

    ((_, event_type, payload),) = await world.events()
    assert (event_type, msgspec.json.decode(payload)) == ("bearer.received", {"a": ["1", "2"]})
