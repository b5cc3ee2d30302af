"""Changes are built where the log can be streamed, and only there."""

from typing import Any

import pytest

from rowcast.bus.memory import MemoryBus
from rowcast.core.clock import SystemClock
from rowcast.server import row_changes as module
from rowcast.server.app import open_app
from rowcast.server.feed_choice import StreamRights
from rowcast.server.row_changes import ChangesPlan, row_changes
from rowcast.store.pool import Database
from tests.integration.realtime.changing import Receiver, Told, binding, claims, publish, run, until
from tests.integration.server.running import settings_for

PLAN = {"asked": "auto", "deletes": "told", "lease_s": 5.0, "node": "a"}


def source(dsn: str, database: Database, **values: Any) -> Any:
    plan = ChangesPlan(**(PLAN | values))
    return row_changes(plan, dsn=dsn, database=database, policies=database, bus=MemoryBus(), clock=SystemClock())


async def test_changes_run_for_the_time_of_the_block(dsn: str, database: Database) -> None:
    publish(dsn, "create table orders (id int primary key)", tables="orders")
    receiver = Receiver()
    async with source(dsn, database) as changes:
        await changes.subscribe(receiver, (binding(),), claims())
        run(dsn, "insert into orders values (1)")
        await receiver.expect(1)

    assert receiver.records == [{"id": 1}]


async def test_they_can_be_switched_off(dsn: str, database: Database) -> None:
    async with source(dsn, database, asked="off") as changes:
        assert changes is None


@pytest.mark.parametrize(
    ("rights", "missing"),
    [(StreamRights("replica", True, True), "wal_level"), (StreamRights("logical", False, True), "replication_role")],
)
async def test_where_the_log_cannot_be_streamed_it_is_told_why(
    dsn: str, database: Database, monkeypatch: pytest.MonkeyPatch, rights: StreamRights, missing: str
) -> None:
    async def read_rights(_: Database) -> StreamRights:
        return rights

    monkeypatch.setattr(module, "read_stream_rights", read_rights)
    with Told() as told:
        async with source(dsn, database) as changes:
            assert changes is None

    assert told.named("changes.log_not_streamed") == [{"missing": missing}]


async def test_a_fault_of_the_reader_is_announced_and_it_begins_anew(
    dsn: str, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(dsn, "create table orders (id int primary key)", tables="orders")
    monkeypatch.setattr(module, "_PAUSE_S", 0.01)
    receiver, told = Receiver(), Told()
    with told:
        async with source(dsn, database) as changes:
            await changes.subscribe(receiver, (binding(),), claims())
            changes.hear_changes = None
            run(dsn, "insert into orders values (1)")
            await until(lambda: bool(told.named("changes.feed_crashed")))
            del changes.hear_changes
            await until(lambda: receiver.system[-1][0] == "ok")
            run(dsn, "insert into orders values (2)")
            await receiver.expect(1)

    assert [status for status, _ in receiver.system][:2] == ["ok", "error"]


async def test_a_server_with_sockets_tells_changes(dsn: str) -> None:
    async with open_app(settings_for(dsn, ("gateway",)), database_url=dsn, packs=(), is_alone=True) as app:
        assert app.hub is not None
        assert app.hub.outside.changes is not None
