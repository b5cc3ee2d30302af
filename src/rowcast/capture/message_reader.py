"""From the log's row of `realtime.messages` to a stored message. Pure."""

import uuid
from collections.abc import Callable, Mapping

from rowcast.capture.pgoutput import Relation, Value, Values, refuse
from rowcast.core.stored_message import StoredMessage

MESSAGE_COLUMNS = ("id", "topic", "extension", "payload", "event", "private")
"""What a message needs. Ours has `binary_payload` and `tenant_id` too; a table that Supabase made may have neither."""

MessageReader = Callable[[Values], StoredMessage | None]
_BROADCAST = b"broadcast"


def is_message_table(relation: Relation) -> bool:
    """Tell whether a table of the log holds the messages of the database to sockets."""
    return relation.table == "messages" and relation.schema == "realtime"


def make_message_reader(relation: Relation) -> MessageReader:
    """Give the function that turns this table's rows into messages; None comes out for a row that nobody is told.

    Raises:
        StoreError: `store.replication_message`, when a column is not published.
    """
    places: Mapping[str, int] = {column.name: place for place, column in enumerate(relation.columns)}
    missing = [name for name in MESSAGE_COLUMNS if name not in places]
    if missing:
        raise refuse(f"messages without {', '.join(missing)}; take realtime.messages out of rowcast_events")
    at = tuple(places[name] for name in MESSAGE_COLUMNS)
    binary_at, tenant_at = places.get("binary_payload"), places.get("tenant_id")
    return lambda values: _read(
        [values[place] for place in at],
        binary=None if binary_at is None else values[binary_at],
        tenant=None if tenant_at is None else values[tenant_at],
    )


def make_message(
    id_: str, topic: str, event: str, *, payload: bytes | None, binary: bytes | None, place: tuple[bool, str | None]
) -> StoredMessage:
    """Give a message from the parts of its row.

    Args:
        id_: The row's id.
        topic: Without `realtime:`.
        event: What clients listen for.
        payload: JSON text; a message without any payload has an empty object.
        binary: Bytes instead.
        place: Whether the topic is a private one, and whose.
    """
    is_private, tenant_id = place
    found = binary if binary is not None else payload or b"{}"
    return StoredMessage(id_, topic, event, found, is_private, binary is not None, tenant_id)


def _read(values: Values, *, binary: Value, tenant: Value) -> StoredMessage | None:
    id_, topic, extension, payload, event, private = values
    if extension != _BROADCAST or event is None:
        return None
    try:
        return make_message(
            str(uuid.UUID((id_ or b"").decode())),  # type: ignore[union-attr]
            topic.decode(),  # type: ignore[union-attr]
            event.decode(),  # type: ignore[union-attr]
            payload=payload,  # type: ignore[arg-type]
            binary=_bytes_of(binary),
            place=(private == b"t", tenant.decode() if isinstance(tenant, bytes) else None),
        )
    except (AttributeError, TypeError, ValueError) as error:
        raise refuse(f"a message that is none ({type(error).__name__})") from error


def _bytes_of(value: Value) -> bytes | None:
    """Give the bytes of PostgreSQL's text form of `bytea`; the stream's session asks for the form in hexadecimal."""
    if not isinstance(value, bytes):
        return None
    if not value.startswith(b"\\x"):
        raise ValueError
    return bytes.fromhex(value[2:].decode())
