"""The doctor's findings on a good database, and what each bad sign looks like."""

import os
from datetime import timedelta
from typing import Any

from rowcast.capture.watch import Watch
from rowcast.core.clock import SystemClock
from rowcast.server.doctor import (
    Finding,
    examine,
    judge_clock,
    judge_files,
    judge_role,
    judge_sealing,
    judge_slots,
    judge_version,
    judge_wal_level,
)
from rowcast.server.feed_choice import StreamRights
from rowcast.store.pool import Database
from rowcast.store.sql import parse_query
from rowcast.testing.fake_clock import FakeClock
from rowcast.webhooks.resealing import SealedCount
from rowcast.webhooks.sealing import KeyRing, SealKey

RING = KeyRing([SealKey("one", b"1" * 32)], noise=os.urandom)
WATCH = Watch(table="orders", topic="orders:{org_id}", columns=("id", "org_id"))


def verdicts(found: tuple[Finding, ...]) -> dict[str, str]:
    return {finding.check: finding.verdict for finding in found}


async def test_a_good_database_has_nothing_that_fails(database: Database) -> None:
    found = await examine(database, watches=(), clock=SystemClock(), ring=RING)

    assert "fail" not in verdicts(found).values()
    assert verdicts(found)["schema"] == "ok"
    assert all(finding.fix for finding in found if finding.verdict != "ok")


async def test_a_schema_that_is_behind_fails_with_the_command_to_run(database: Database) -> None:
    await database.execute(
        parse_query("x", "delete from rowcast.migration where name = (select max(name) from rowcast.migration)")
    )

    found = await examine(database, watches=(), clock=SystemClock(), ring=RING)

    assert verdicts(found)["schema"] == "fail"
    assert "rowcast migrate" in next(finding.fix for finding in found if finding.check == "schema")


async def test_a_watch_that_is_not_installed_is_told(database: Database) -> None:
    found = await examine(database, watches=(WATCH,), clock=SystemClock(), ring=RING)

    assert verdicts(found)["watches"] == "warn"


def row(**values: Any) -> dict[str, Any]:
    return values


def test_an_old_server_fails_and_the_oldest_supported_passes() -> None:
    assert judge_version(row(version="140012")) == Finding(
        "PostgreSQL version", "fail", "14.12", "Upgrade to 15 or newer."
    )
    assert judge_version(row(version="150001")).verdict == "ok"


def test_a_log_that_cannot_be_streamed_is_a_warning() -> None:
    assert judge_wal_level(row(wal_level="replica")).verdict == "warn"
    assert judge_wal_level(row(wal_level="logical")).verdict == "ok"


def test_a_role_that_may_not_stream_is_a_warning_with_the_grant_to_make() -> None:
    assert judge_role(StreamRights("logical", may_replicate=True, may_publish=True)).verdict == "ok"
    assert "alter role" in judge_role(StreamRights("logical", may_replicate=False, may_publish=True)).fix
    assert "grant create" in judge_role(StreamRights("logical", may_replicate=True, may_publish=False)).fix


def test_slots_that_are_lost_or_may_fill_the_disk_are_warnings() -> None:
    assert "rowcast_1" in judge_slots(row(lost_slots="rowcast_1", slot_bytes="100")).found
    assert judge_slots(row(lost_slots=None, slot_bytes="-1")).verdict == "warn"
    assert judge_slots(row(lost_slots=None, slot_bytes="100")).verdict == "ok"


def test_clocks_that_are_apart_are_a_warning(clock: FakeClock) -> None:
    assert judge_clock(row(now=clock.now() + timedelta(seconds=9)), clock).verdict == "warn"
    assert judge_clock(row(now=clock.now() - timedelta(seconds=1)), clock).verdict == "ok"


def test_secrets_that_lie_open_or_are_sealed_by_an_old_key_are_warnings_and_a_key_that_is_gone_fails() -> None:
    counts = (SealedCount("endpoint_secret", "one", 2), SealedCount("endpoint_secret", None, 1))

    assert judge_sealing((), ()).verdict == "warn"
    assert "new-key" in judge_sealing((), ()).fix
    assert judge_sealing(counts, ("one",)).found == "1 not sealed by one"
    assert judge_sealing(counts, ("two", "one")).found == "3 not sealed by two"
    assert judge_sealing(counts, ("two",)).verdict == "fail"
    assert judge_sealing(counts, ()).verdict == "fail"
    assert judge_sealing(counts[:1], ("one",)).verdict == "ok"


def test_too_few_open_files_are_a_warning_with_what_to_set() -> None:
    assert judge_files(1024).fix.endswith("ulimit -n 65536.")
    assert judge_files(-1).verdict == "ok"
