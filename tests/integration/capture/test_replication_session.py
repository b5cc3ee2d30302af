"""Making slots and streams, and what the server may refuse."""

from urllib.parse import urlsplit

import pytest

from rowcast.capture.replication_session import create_slot, start_stream
from rowcast.core.clock import SystemClock
from rowcast.core.errors import ConfigError, StoreUnavailableError
from tests.integration.capture.feeding import run, slots


async def test_a_slot_is_made_on_the_oldest_and_the_newest_server(any_dsn: str) -> None:
    name = "test_" + any_dsn.rpartition("_")[2]

    await create_slot(any_dsn, name, lease_s=5.0, timeout_s=10.0)

    assert slots(any_dsn) == [(name, False)]
    is_new = int(run(any_dsn, "show server_version_num")[0][0]) >= 170_000
    if is_new:
        assert run(any_dsn, "select failover from pg_replication_slots where slot_name = %s", [name]) == [(True,)]


async def test_a_role_that_may_not_replicate_is_refused_with_the_fix(dsn: str) -> None:
    text = "do $$ begin create role capture_reader login password 'x'; exception when duplicate_object or unique_violation then null; end $$"
    run(dsn, text)
    place = urlsplit(dsn)
    reader = place._replace(netloc=f"capture_reader:x@{place.hostname}:{place.port}").geturl()

    with pytest.raises(ConfigError, match="alter role") as refused:
        await create_slot(reader, "test_refused", lease_s=5.0, timeout_s=10.0)

    assert refused.value.code == "config.replication_role"


async def test_a_server_that_is_not_there_is_unavailable() -> None:
    with pytest.raises(StoreUnavailableError):
        await create_slot("postgresql://u@127.0.0.1:1/d", "test_nowhere", lease_s=5.0, timeout_s=5.0)


async def test_a_slot_that_is_not_there_is_unavailable_and_leaves_no_connection(dsn: str) -> None:
    with pytest.raises(StoreUnavailableError):
        await start_stream(dsn, "test_missing", lease_s=5.0, timeout_s=5.0, clock=SystemClock())

    left = "select count(*) from pg_stat_activity where datname = current_database() and backend_type = 'walsender'"
    assert run(dsn, left) in ([(0,)], [(1,)])


async def test_the_url_may_carry_options_of_its_own(dsn: str) -> None:
    name = "test_" + dsn.rpartition("_")[2]

    await create_slot(dsn + "?options=-c%20work_mem%3D8MB", name, lease_s=5.0, timeout_s=10.0)

    assert slots(dsn) == [(name, False)]
