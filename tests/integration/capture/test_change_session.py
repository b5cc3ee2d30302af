"""The temporary slot: made, lent to one, gone with its connection."""

import pytest

from rowcast.capture.change_session import start_change_stream
from rowcast.core.clock import SystemClock
from rowcast.core.errors import StoreUnavailableError
from tests.integration.capture.feeding import run, slots, until


async def test_the_slot_lives_as_long_as_its_connection(any_dsn: str) -> None:
    name = "test_" + any_dsn.rpartition("_")[2]

    stream = await start_change_stream(any_dsn, name, lease_s=5.0, timeout_s=10.0, clock=SystemClock())
    while_open = slots(any_dsn)
    is_temporary = run(any_dsn, "select temporary from pg_replication_slots where slot_name = %s", [name])
    await stream.close()

    assert while_open == [(name, True)]
    assert is_temporary == [(True,)]
    await until(lambda: slots(any_dsn) == [])


async def test_a_slot_that_another_one_has_is_busy(dsn: str) -> None:
    name = "test_" + dsn.rpartition("_")[2]
    stream = await start_change_stream(dsn, name, lease_s=5.0, timeout_s=10.0, clock=SystemClock())

    with pytest.raises(StoreUnavailableError) as refused:
        await start_change_stream(dsn, name, lease_s=5.0, timeout_s=10.0, clock=SystemClock())
    await stream.close()

    assert refused.value.code == "store.slot_busy"


async def test_a_server_that_is_not_there_is_unavailable() -> None:
    with pytest.raises(StoreUnavailableError):
        await start_change_stream(
            "postgresql://u@127.0.0.1:1/d", "test_nowhere", lease_s=5.0, timeout_s=5.0, clock=SystemClock()
        )
