"""What the database itself is asked at the end of a ledger run, and the triggers by which it keeps watch meanwhile."""

import time
from dataclasses import dataclass, field
from typing import Any

import psycopg

PREPARE = """
create table ledger_key (tenant text, key text, number integer, primary key (tenant, key));
create table ledger_item (tenant text, key text, number integer, mark uuid, primary key (tenant, key));
create table ledger_row (mark uuid primary key);

-- Who holds a claim: a result of somebody else must not be accepted.
create table ledger_claim (delivery_id bigint, fence bigint, worker text, primary key (delivery_id, fence));
create function ledger_note_claim() returns trigger language plpgsql as $$
begin
    insert into ledger_claim values (new.id, new.fence, new.leased_by);
    return null;
end $$;
create trigger ledger_note_claim after update on rowcast.delivery for each row
    when (new.fence <> old.fence) execute function ledger_note_claim();

-- Who leads the WAL feed: what a relay settles under another one's fence must not be accepted.
create table ledger_leader (fence bigint primary key, pid integer);
create table public.ledger_settled (fence bigint, pid integer);
create function ledger_note_leader() returns trigger language plpgsql as $$
begin
    insert into ledger_leader values (new.fence, pg_backend_pid());
    return null;
end $$;
create trigger ledger_note_leader after update on rowcast.feed_cursor for each row
    when (new.shard = -1 and new.fence <> old.fence) execute function ledger_note_leader();
create function ledger_note_settled() returns trigger language plpgsql as $$
begin
    insert into public.ledger_settled select fence, pg_backend_pid() from rowcast.feed_cursor where shard = -1;
    return null;
end $$;
create trigger ledger_note_settled after insert on rowcast.event_state for each statement execute function ledger_note_settled();
"""

_OWED = """
with owed as (
    select greatest(e.created_at, s.next_attempt_at) as since
    from rowcast.event e left join rowcast.event_state s on s.event_id = e.id
    where s.status is null or s.status = 'failed'
    union all
    select d.due_at from rowcast.delivery d where d.status = 'waiting'
    union all
    select greatest(d.due_at, d.leased_until) from rowcast.delivery d where d.status = 'running'
)
select count(*), count(*) filter (where greatest(since, %(moved_at)s) < clock_timestamp() - make_interval(secs => %(patience_s)s)),
       clock_timestamp()
from owed
"""

_UNFENCED = """
select 'worker ' || a.worker || ' settled delivery ' || a.delivery_id || ' of ' || c.worker
from rowcast.attempt a join ledger_claim c using (delivery_id, fence)
where a.outcome <> 'lost' and a.worker <> c.worker
union all
select 'relay session ' || s.pid || ' settled under fence ' || s.fence || ' of ' || l.pid
from ledger_settled s join ledger_leader l using (fence) where s.pid <> l.pid
"""

_MARKED = "coalesce(e.payload ->> 'mark', e.payload -> 'record' ->> 'mark')"

_LEFT = """
select 'advisory lock ' || classid || ' ' || objid from pg_locks where locktype = 'advisory'
union all
select 'slot ' || slot_name from pg_replication_slots
where active or slot_name <> 'rowcast_' || (select oid from pg_database where datname = current_database())
union all
select 'session ' || application_name || ' ' || coalesce(state, '') from pg_stat_activity
where datname = current_database() and pid <> pg_backend_pid() and backend_type in ('client backend', 'walsender')
union all
select 'prepared transaction ' || gid from pg_prepared_xacts
"""


@dataclass
class Drained:
    """How the run ended: what nobody served although it was due, what is owed still, and how long the queue took."""

    stuck: int = 0
    left: int = 0
    seconds: float = 0.0
    samples: list[str] = field(default_factory=list)


def now_of(dsn: str) -> Any:
    """Give the database's time."""
    with psycopg.connect(dsn) as connection:
        row = connection.execute("select clock_timestamp()").fetchone()
    assert row is not None
    return row[0]


def drain(dsn: str, *, patience_s: float, limit_s: float) -> Drained:
    """Wait until nothing is owed; what nobody served for `patience_s` although it was due and the queue stood, is stuck.

    A long queue that moves is no fault; it must have gone within `limit_s` all the same.
    """
    begin, drained, least = time.monotonic(), Drained(), -1
    with psycopg.connect(dsn, autocommit=True) as connection:
        moved_at = now_of(dsn)
        while True:
            row = connection.execute(_OWED, {"moved_at": moved_at, "patience_s": patience_s}).fetchone()
            assert row is not None
            drained.left, drained.stuck, now = row
            drained.seconds = time.monotonic() - begin
            if drained.left in {0, drained.stuck} or drained.seconds > limit_s:
                return drained
            if drained.left < least or least < 0:
                least, moved_at = drained.left, now
            time.sleep(0.25)


def recorded(dsn: str) -> tuple[frozenset[tuple[str, str]], frozenset[tuple[str, str]]]:
    """Give the (sink, mark) pairs that have an attempt row, and those in the dead letter."""
    join = "from rowcast.delivery d join rowcast.event e on e.id = d.event_id"
    with psycopg.connect(dsn) as connection:
        attempted = connection.execute(
            f"select distinct d.sink, {_MARKED} {join} join rowcast.attempt a on a.delivery_id = d.id"
        ).fetchall()
        dead = connection.execute(f"select d.sink, {_MARKED} {join} where d.status = 'dead'").fetchall()
    return frozenset(map(tuple, attempted)), frozenset(map(tuple, dead))


def marks_there(dsn: str) -> set[str]:
    """Give the marks of all transactions that were committed."""
    with psycopg.connect(dsn) as connection:
        return {str(row[0]) for row in connection.execute("select mark from ledger_row")}


def unfenced(dsn: str) -> list[str]:
    """Give what was settled by somebody who had lost the right to."""
    with psycopg.connect(dsn) as connection:
        return [row[0] for row in connection.execute(_UNFENCED)]


def left_behind(dsn: str) -> list[str]:
    """Give the locks, slots and sessions that are still there when every node has stopped."""
    with psycopg.connect(dsn) as connection:
        return [row[0] for row in connection.execute(_LEFT)]
