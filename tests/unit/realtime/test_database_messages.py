"""Where a message of the database goes, and how sockets see it; no database."""

import pytest

from rowcast.bus.memory import MemoryBus
from rowcast.core.errors import StoreUnavailableError
from rowcast.core.stored_message import StoredMessage
from rowcast.realtime.database_messages import DatabaseMessages, message_broadcast
from rowcast.realtime.hub import SUBJECT
from rowcast.realtime.messages import Broadcast, TopicKey, unpack_broadcasts

MESSAGE = StoredMessage("m1", "room:1", "moved", b'{"a":1}', True)


def key(message: StoredMessage) -> TopicKey | None:
    found = message_broadcast(message)
    return found.key if found else None


def test_a_message_keeps_its_id_event_and_payload() -> None:
    assert message_broadcast(MESSAGE) == Broadcast("default", True, "room:1", "moved", b'{"a":1}', b'{"id":"m1"}')


def test_the_private_flag_chooses_the_namespace() -> None:
    assert key(StoredMessage("m1", "room:1", "e", b"{}", False)) == TopicKey("default", False, "room:1")


def test_bytes_become_a_binary_broadcast() -> None:
    found = message_broadcast(StoredMessage("m1", "room:1", "e", b"\x00", True, True))

    assert found is not None
    assert found.form == "binary"


def test_the_row_names_the_tenant_before_the_topic_does() -> None:
    assert key(StoredMessage("m1", "tenant:acme:orders", "e", b"{}", True)) == TopicKey(
        "acme", True, "tenant:acme:orders"
    )
    assert key(StoredMessage("m1", "tenant:acme", "e", b"{}", True, False, "bell")) == TopicKey(
        "bell", True, "tenant:acme"
    )


@pytest.mark.parametrize("topic", ["tenant:acme:orders:1", "tenant::x", "tenant:acme:-orders", "tenants:acme"])
def test_a_topic_that_only_looks_like_a_tenants_is_the_default_tenants(topic: str) -> None:
    assert key(StoredMessage("m1", topic, "e", b"{}", True)) == TopicKey("default", True, topic)


def test_a_public_topic_names_no_tenant() -> None:
    assert key(StoredMessage("m1", "tenant:acme", "e", b"{}", False)) == TopicKey("default", False, "tenant:acme")


@pytest.mark.parametrize("topic", ["", "a\x00b", "x" * 300])
def test_a_topic_that_nobody_can_join_is_passed_over(topic: str) -> None:
    assert message_broadcast(StoredMessage("m1", topic, "e", b"{}", True)) is None


async def test_messages_go_to_the_bus_in_order() -> None:
    bus, heard = MemoryBus(), list[object]()
    await bus.open()
    bus.subscribe(SUBJECT, lambda message: heard.extend(unpack_broadcasts(message)))

    await DatabaseMessages(bus=bus).hear([MESSAGE, StoredMessage("m2", "", "e", b"", True), MESSAGE])
    await bus.close()

    assert heard == [message_broadcast(MESSAGE)] * 2


async def test_a_bus_that_is_away_does_not_hold_up_the_log() -> None:
    class Away(MemoryBus):
        async def publish(self, subject: str, messages: object) -> None:
            raise StoreUnavailableError("away")

    await DatabaseMessages(bus=Away()).hear([MESSAGE])
