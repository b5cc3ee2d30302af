"""The replication slot of this database: whether it can be streamed, and what must be made first.

The slot is the leader lock, and the memory of how far the log is settled. Its name holds the number of the database,
because slots belong to the whole server. A slot that was lost is made anew, and what the log did not tell is read from
the table.
"""

from contextlib import suppress
from typing import Literal

import msgspec

from rowcast.capture.replication_session import create_slot
from rowcast.core.errors import ConfigError, StoreError
from rowcast.core.telemetry import tell
from rowcast.outbox.shards import LOCK_CLASS
from rowcast.store.pool import Connection
from rowcast.store.sql import load_queries

SLOT_LOCK = 66
"""Second key of the advisory lock under which a slot is made; 0 to 65 belong to the claim feed."""
PLUGIN = "pgoutput"

GapReason = Literal["slot_lost", "slot_missing", "publication_missing"]


class SlotState(msgspec.Struct, frozen=True):
    """What the server says of the slot. `settled_lsn`: how far an earlier slot was read, None before the first one."""

    wal_level: str
    keep_size: str
    database: str
    has_publication: bool
    settled_lsn: str | None
    slot_name: str
    has_slot: bool
    slot_database: str | None
    plugin: str | None
    is_active: bool
    is_lost: bool | None


class SlotPlan(msgspec.Struct, frozen=True):
    """What is to be done before the slot can be streamed, in this order. `is_busy`: nothing; another process has it."""

    is_busy: bool = False
    drop_slot: bool = False
    create_publication: bool = False
    create_slot: bool = False
    gap: GapReason | None = None


def plan_slot(state: SlotState) -> SlotPlan:
    """Decide what must be made, dropped or announced.

    A slot cannot read what was written before its publication was there, so a slot without one begins anew.

    Raises:
        ConfigError: `config.wal_level` or `config.slot`.
    """
    _check(state)
    if state.is_active:
        return SlotPlan(is_busy=True)
    is_usable = state.has_slot and not state.is_lost and state.has_publication
    if is_usable:
        return SlotPlan()
    return SlotPlan(
        drop_slot=state.has_slot,
        create_publication=not state.has_publication,
        create_slot=True,
        gap=_gap(state),
    )


def _gap(state: SlotState) -> GapReason | None:
    if not state.has_slot:
        return "slot_missing" if state.settled_lsn else None
    return "slot_lost" if state.is_lost else "publication_missing"


def _check(state: SlotState) -> None:
    if state.wal_level != "logical":
        raise ConfigError(
            f"The WAL feed needs wal_level = logical and the server has {state.wal_level}. Run `alter system set "
            "wal_level = logical` and restart PostgreSQL, or set relay.feed to claim: that feed works without.",
            code="config.wal_level",
        )
    if state.has_slot and (state.slot_database != state.database or state.plugin != PLUGIN):
        raise ConfigError(
            f"The replication slot {state.slot_name} belongs to something else ({state.slot_database}, {state.plugin})."
            " Drop it if nobody needs it, or set relay.feed to claim.",
            code="config.slot",
        )


async def read_slot_state(connection: Connection, slot: str | None) -> SlotState:
    """Give what the server says of the slot of this database, or of the one named."""
    row = await connection.fetch_one(load_queries("rowcast.capture")["slot_state"], slot=slot)
    return msgspec.convert(dict(row or {}), SlotState)


async def prepare_slot(connection: Connection, dsn: str, state: SlotState, *, lease_s: float, timeout_s: float) -> bool:
    """Make what `state` lacks; False while another process reads the slot, or makes it.

    Raises:
        StoreUnavailableError: `store.unavailable`.
        ConfigError: The database cannot be streamed; see `plan_slot`.
    """
    plan = plan_slot(state)
    if plan.is_busy or plan == SlotPlan():
        return not plan.is_busy
    queries = load_queries("rowcast.capture")
    locked = await connection.fetch_one(queries["lock_slot"], lock_class=LOCK_CLASS, slot_lock=SLOT_LOCK)
    if locked is None or not locked["is_locked"]:
        return False
    try:
        # Another process may have made it between our look and our lock.
        plan = plan_slot(await read_slot_state(connection, state.slot_name))
        await _carry_out(connection, dsn, state.slot_name, plan, lease_s=lease_s, timeout_s=timeout_s)
    finally:
        with suppress(StoreError):
            await connection.fetch(queries["unlock_slot"], lock_class=LOCK_CLASS, slot_lock=SLOT_LOCK)
    return not plan.is_busy


async def publish_messages(connection: Connection) -> bool:
    """Let the log tell the messages to sockets too; False where our role may not, or there is no such table."""
    row = await connection.fetch_one(load_queries("rowcast.capture")["publish_messages"])
    is_published = bool(row and row["is_published"])
    if not is_published:
        tell("messages.not_published")
    return is_published


async def _carry_out(
    connection: Connection, dsn: str, slot: str, plan: SlotPlan, *, lease_s: float, timeout_s: float
) -> None:
    queries = load_queries("rowcast.capture")
    if plan.gap:
        # Written first: killed after it, the next one finds an open gap and heals it.
        await connection.execute(queries["record_gap"], reason=plan.gap)
        tell("feed.gap_noticed", reason=plan.gap)
    if plan.drop_slot:
        await connection.fetch(queries["drop_slot"], slot=slot)
    if plan.create_publication:
        await connection.execute(queries["create_publication"])
    if plan.create_slot:
        tell("slot.creating", slot=slot)
        await create_slot(dsn, slot, lease_s=lease_s, timeout_s=timeout_s)
        tell("slot.created", slot=slot)
