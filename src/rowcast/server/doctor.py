"""`rowcast doctor`: each thing that must be so, whether it is, and what to do where it is not."""

import resource
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import msgspec

from rowcast.capture.drift import check_watches
from rowcast.capture.watch import Watch
from rowcast.core.clock import Clock
from rowcast.core.errors import RowcastError
from rowcast.server.feed_choice import StreamRights, read_stream_rights
from rowcast.store.migrate import OLDEST_POSTGRES, plan_migrations
from rowcast.store.pool import Database
from rowcast.store.sql import load_queries
from rowcast.webhooks.resealing import Resealer, SealedCount
from rowcast.webhooks.sealing import KeyRing

_SKEW_S = 2.0
_FILES = 4096

Verdict = Literal["ok", "warn", "fail"]


class Finding(msgspec.Struct, frozen=True):
    """One check: its verdict, what was found, and the fix where it is not `ok`."""

    check: str
    verdict: Verdict
    found: str
    fix: str = ""


async def examine(database: Database, *, watches: Sequence[Watch], clock: Clock, ring: KeyRing) -> tuple[Finding, ...]:
    """Give every finding; a check that cannot run is a failed one."""
    row = await database.fetch_one(load_queries("rowcast.server")["doctor"])
    assert row is not None  # the query has no `from`
    return (
        judge_version(row),
        judge_wal_level(row),
        judge_role(await read_stream_rights(database)),
        judge_slots(row),
        judge_clock(row, clock),
        await _realtime(database),
        await _schema(database),
        await _drift(database, watches),
        await _sealing(database, ring),
        judge_files(resource.getrlimit(resource.RLIMIT_NOFILE)[0]),
    )


def judge_version(row: Mapping[str, Any]) -> Finding:
    """Give whether the server is new enough."""
    number = int(row["version"])
    verdict: Verdict = "ok" if number >= OLDEST_POSTGRES else "fail"
    return Finding(
        "PostgreSQL version",
        verdict,
        f"{number // 10_000}.{number % 10_000}",
        "" if verdict == "ok" else "Upgrade to 15 or newer.",
    )


def judge_wal_level(row: Mapping[str, Any]) -> Finding:
    """Give whether the log can be streamed."""
    if row["wal_level"] == "logical":
        return Finding("wal_level", "ok", "logical")
    fix = "Events are claimed instead of streamed, a little slower. Set wal_level = logical and restart PostgreSQL."
    return Finding("wal_level", "warn", row["wal_level"], fix)


def judge_role(rights: StreamRights) -> Finding:
    """Give whether our role may stream the log."""
    if not rights.may_replicate:
        fix = "Only the claim feed works with it. Run as an administrator: alter role <role> replication."
        return Finding("replication role", "warn", "may not replicate", fix)
    if not rights.may_publish:
        fix = "Only the claim feed works with it. Run as an administrator: grant create on database <name> to <role>."
        return Finding("replication role", "warn", "may not make the publication", fix)
    return Finding("replication role", "ok", "may stream the log")


def judge_slots(row: Mapping[str, Any]) -> Finding:
    """Give whether the replication slots are safe, for us and for the disk."""
    if row["lost_slots"]:
        return Finding(
            "replication slots",
            "warn",
            f"lost: {row['lost_slots']}",
            "rowcast makes a new slot and heals the gap; raise max_slot_wal_keep_size.",
        )
    if row["slot_bytes"] == "-1":
        return Finding(
            "replication slots", "warn", "max_slot_wal_keep_size is unlimited",
            "A consumer that never comes back can fill the disk. Set max_slot_wal_keep_size, for example to 10GB.",
        )  # fmt: skip
    return Finding("replication slots", "ok", f"at most {row['slot_bytes']} MB of log are kept")


def judge_clock(row: Mapping[str, Any], clock: Clock) -> Finding:
    """Give whether this machine's clock and the database's agree."""
    skew_s = abs((clock.now() - row["now"]).total_seconds())
    if skew_s <= _SKEW_S:
        return Finding("clock", "ok", f"{skew_s:.1f} s from the database's")
    return Finding(
        "clock",
        "warn",
        f"{skew_s:.1f} s from the database's",
        "Run an NTP client on both machines: receivers refuse signatures 5 minutes off.",
    )


def judge_realtime(row: Mapping[str, Any]) -> Finding:
    """Give whether the database's side of realtime is whole: the roles of tokens, and the publication of changes."""
    closed = ", ".join(row["closed_roles"])
    if closed:
        fix = (
            "Row-level security lets these roles join nothing. Run as an administrator: create role <each that is "
            f"missing> nologin; grant anon, authenticated, service_role to {row['owner']}; then as {row['owner']}: "
            "select rowcast.open_realtime();"
        )
        return Finding("realtime roles", "warn", f"may not act as {closed}", fix)
    if not row["is_service_free"]:
        fix = "Run as the owner of the schema: select rowcast.open_realtime();"
        return Finding("realtime roles", "warn", "service_role does not pass by policies", fix)
    if not row["has_publication"]:
        fix = "Run as an administrator: create publication supabase_realtime; then add tables to it."
        return Finding("realtime roles", "warn", "no publication for postgres_changes", fix)
    if not row["has_order"]:
        fix = "They are told through the log alone (relay.feed = wal) and not recovered; see the page about migrating."
        return Finding("realtime roles", "warn", "another tool made realtime.messages", fix)
    return Finding("realtime roles", "ok", "tokens may act as anon, authenticated and service_role")


def judge_sealing(counts: Sequence[SealedCount], keys: Sequence[str]) -> Finding:
    """Give whether what is secret lies sealed, and by keys that are there."""
    by_key: Counter[str | None] = Counter()
    for each in counts:
        by_key[each.key] += each.values
    gone = ", ".join(sorted(key for key in by_key if key is not None and key not in keys))
    if gone:
        return Finding("secrets", "fail", f"sealed by keys that are gone: {gone}", "Add them to secrets.keys again.")
    if not keys:
        fix = "Whoever reads the database reads them. Put what 'rowcast secrets new-key' prints into secrets.keys."
        return Finding("secrets", "warn", "lie as they are: there is no key", fix)
    old = sum(by_key.values()) - by_key[keys[0]]
    if old:
        return Finding("secrets", "warn", f"{old} not sealed by {keys[0]}", "Run 'rowcast secrets rotate'.")
    return Finding("secrets", "ok", f"sealed by {keys[0]}")


async def _sealing(database: Database, ring: KeyRing) -> Finding:
    try:
        counts = await Resealer(database=database, ring=ring).counts()
    except Exception as error:  # noqa: BLE001 - a database without the schema has no such tables; _schema says the rest
        return Finding("secrets", "warn", type(error).__name__, "Run 'rowcast migrate'.")
    return judge_sealing(counts, ring.names)


async def _realtime(database: Database) -> Finding:
    try:
        row = await database.fetch_one(load_queries("rowcast.server")["realtime_rights"])
    except Exception as error:  # noqa: BLE001 - a database without the schema has no such function; _schema says the rest
        return Finding("realtime roles", "warn", type(error).__name__, "Run 'rowcast migrate'.")
    assert row is not None  # the query has no `from`
    return judge_realtime(row)


async def _schema(database: Database) -> Finding:
    try:
        async with database.connection() as connection:
            pending = await plan_migrations(connection)
    except RowcastError as error:
        return Finding("schema", "fail", error.code, str(error))
    if pending:
        return Finding("schema", "fail", f"{len(pending)} migrations behind", "Run 'rowcast migrate'.")
    return Finding("schema", "ok", "up to date")


async def _drift(database: Database, watches: Sequence[Watch]) -> Finding:
    found = await check_watches(database, watches) if watches else ()
    if found:
        return Finding(
            "watches",
            "warn",
            ", ".join(f"{drift.table}: {drift.kind}" for drift in found),
            "See 'rowcast watch --check'.",
        )
    return Finding("watches", "ok", f"{len(watches)} declared, all installed")


def judge_files(limit: int) -> Finding:
    """Give whether enough files may be open for many sockets."""
    if limit == resource.RLIM_INFINITY or limit >= _FILES:
        return Finding("open files", "ok", f"limit {limit}")
    return Finding("open files", "warn", f"limit {limit}", f"Each socket takes one. Raise it: ulimit -n {_FILES * 16}.")
