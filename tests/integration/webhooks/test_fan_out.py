"""Who is meant by a message: by type, by channel, and from when on."""

import asyncio
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from rowcast.core.clock import SystemClock
from rowcast.core.delivery import Owed, ordered_key
from rowcast.core.envelope import Envelope
from rowcast.store.pool import Database
from rowcast.webhooks.endpoint import Endpoint
from rowcast.webhooks.fan_out import FanOut, expanded, hears
from rowcast.webhooks.message_draft import MessageDraft
from rowcast.webhooks.message_reader import NO_TERMS, MessageReader, Terms
from rowcast.webhooks.message_table import Message, MessageTable
from tests.integration.webhooks.engine import Engine

NOW = datetime(2026, 1, 1, tzinfo=UTC)
EVENT = Envelope(uuid.uuid4(), "acme", "order", "o1", "orders.confirmed", 1, NOW, msgspec.Raw(b"{}"))
PLAIN = Endpoint("ep_1", "acme", "https://a.example", "", None, False, NOW, NOW)


def endpoint(**fields: object) -> Endpoint:
    return msgspec.structs.replace(PLAIN, **fields)


@pytest.mark.parametrize(
    ("channels", "said", "is_meant"),
    [
        (None, (), True), (None, ("a",), True), (("a", "b"), ("b", "c"), True), (("a",), ("b",), False), (("a",), (), False),
    ],
)  # fmt: skip
def test_an_endpoint_with_channels_hears_those_and_one_without_hears_all(
    channels: tuple[str, ...] | None, said: tuple[str, ...], is_meant: bool
) -> None:
    assert hears(endpoint(channels=channels), Terms(frozenset(said))) is is_meant


def test_every_endpoint_is_meant_that_wants_the_type_and_hears_the_message() -> None:
    endpoints = [
        endpoint(), endpoint(id="ep_2", event_types=("other",)), endpoint(id="ep_3", channels=("eu",)),
        endpoint(id="ep_4", channels=("us",)), endpoint(id="ep_5", is_disabled=True, is_ordered=True),
    ]  # fmt: skip

    owed = expanded(EVENT, Owed("webhooks", "*"), endpoints, (Terms(frozenset({"eu"})), 0.0))

    assert [(each.target, each.key) for each in owed] == [
        ("ep_1", "ep_1"), ("ep_3", "ep_3"), ("ep_5", ordered_key("ep_5")),
    ]  # fmt: skip


def test_a_rule_that_names_an_endpoint_means_it_and_what_is_held_back_is_held_back_for_it_too() -> None:
    named = Owed("webhooks", "ep_1", delay_s=3.0)

    (owed,) = expanded(EVENT, named, [endpoint(channels=("us",), event_types=("other",))], (NO_TERMS, 60.0))
    (earlier,) = expanded(EVENT, named, [PLAIN], (NO_TERMS, 2.0))
    (gone,) = expanded(EVENT, named, [], (NO_TERMS, 0.0))

    assert (owed.target, owed.delay_s, earlier.delay_s, gone) == ("ep_1", 60.0, 3.0, named)


async def sent(database: Database, **fields: object) -> Message:
    draft = MessageDraft(event_type="orders.confirmed", payload=b"{}", **fields)  # type: ignore[arg-type]
    async with database.transaction() as session:
        return await MessageTable().create(session, "acme", draft)


async def targets(engine: Engine, *event_ids: uuid.UUID) -> list[Sequence[Owed]]:
    fan_out = FanOut(
        table=engine.table, messages=MessageReader(database=engine.database, clock=SystemClock()), clock=SystemClock()
    )
    events = [msgspec.structs.replace(EVENT, id=event_id) for event_id in event_ids]
    return list(await fan_out.targets([(event, Owed("webhooks", "*")) for event in events]))


async def test_what_is_said_of_messages_is_read_for_a_whole_batch(engine: Engine) -> None:
    deaf = await engine.endpoint(channels=["us"])
    plain = await engine.endpoint()
    later = datetime.now(UTC) + timedelta(hours=1)
    messages = [await sent(engine.database, **fields) for fields in ({"channels": ("us",)}, {"deliver_at": later}, {})]

    loud, late, bare = await targets(engine, *(each.event_id for each in messages))

    assert {each.target for each in loud} == {deaf, plain}
    assert [each.target for each in bare] == [each.target for each in late] == [plain]
    assert (3500 < late[0].delay_s <= 3600, bare[0].delay_s) == (True, 0.0)


async def test_an_event_that_the_log_told_earlier_than_others_see_it_is_waited_for(engine: Engine) -> None:
    choosy, plain = await engine.endpoint(channels=["eu"]), await engine.endpoint()
    draft = MessageDraft(event_type="orders.confirmed", payload=b"{}", channels=("eu",))

    async with asyncio.TaskGroup() as group, engine.database.transaction() as session:
        made = await MessageTable().create(session, "acme", draft)
        task = group.create_task(targets(engine, made.event_id))
        # Nobody else sees the message before this transaction ends.
        await asyncio.sleep(0.03)
        assert not task.done()

    assert [{each.target for each in owed} for owed in task.result()] == [{choosy, plain}]
