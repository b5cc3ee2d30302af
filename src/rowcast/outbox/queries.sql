-- name: emit_event
-- Writes one event and gives its id. Everything travels as text: a codec that the caller set for json or uuid must not touch it.
select cast(rowcast.emit_json(
    cast(:tenant_id as text), cast(:event_type as text), cast(cast(:payload as text) as json), cast(:aggregate_type as text),
    cast(:aggregate_id as text), cast(:version as integer), cast(cast(:id as text) as uuid),
    cast(cast(:occurred_at as text) as timestamptz), cast(:traceparent as text), null
) as text) as id;

-- name: emit_events
-- Writes events in the order in which they are given and gives their ids in that order. One text carries them all.
select cast(rowcast.emit_json(
    e.tenant_id, e.event_type, e.payload, e.aggregate_type, e.aggregate_id, e.version, e.id, e.occurred_at, e.traceparent, null
) as text) as id
from (
    select given.* from rows from (json_to_recordset(cast(cast(:events as text) as json)) as (
        tenant_id text, event_type text, version integer, payload json, aggregate_type text, aggregate_id text,
        id uuid, occurred_at timestamptz, traceparent text)) with ordinality as given
    order by given.ordinality
) as e;

-- name: last_seq
-- The last number drawn. Always read before `event_writers`.
select case when is_called then last_value else last_value - 1 end as last_seq from rowcast.event_seq;

-- name: event_writers
-- The transactions, prepared ones too, that have written events and have not ended.
select coalesce(array_agg(distinct virtualtransaction), '{}') as writers from pg_locks
where locktype = 'relation' and mode = 'RowExclusiveLock' and granted
  and database = (select oid from pg_database where datname = current_database())
  and relation in (select relid from pg_partition_tree('rowcast.event'));

-- name: seqs_of_tenant
-- The numbers of a tenant's events above one.
select seq from rowcast.event where tenant_id = :tenant_id and seq > :above_seq;

-- name: arrived_events
-- A tenant's events in a stretch of numbers, whatever became of them.
select e.id, e.seq, e.tenant_id, e.aggregate_type, e.aggregate_id, e.event_type, e.version, e.occurred_at, e.payload,
       e.traceparent, e.topic
from rowcast.event e
where e.tenant_id = :tenant_id and e.seq >= :from_seq and e.seq <= :until_seq
order by e.seq limit :limit;

-- name: pending_events
-- The oldest pending events from a number on, of those shards whose own position they are past.
-- The state is asked for row by row, so that the plan is a walk along `seq` that ends at the limit, whatever the statistics say.
select e.id, e.seq, e.tenant_id, e.aggregate_type, e.aggregate_id, e.event_type, e.version, e.occurred_at, e.payload,
       e.traceparent, e.topic, rowcast.shard_of(e.tenant_id, e.aggregate_type, e.aggregate_id) as shard
from rowcast.event e
where e.seq >= :from_seq and e.seq >= (:positions::bigint[])[rowcast.shard_of(e.tenant_id, e.aggregate_type, e.aggregate_id) + 1]
  and (select true from rowcast.event_state s where s.event_id = e.id) is null
order by e.seq limit :limit;

-- name: overtaking_events
-- The same in a stretch of numbers, without the tenants that make the backlog.
select e.id, e.seq, e.tenant_id, e.aggregate_type, e.aggregate_id, e.event_type, e.version, e.occurred_at, e.payload,
       e.traceparent, e.topic
from rowcast.event e
where e.seq >= :from_seq and e.seq < :until_seq and e.tenant_id <> all(:heavy::text[])
  and rowcast.shard_of(e.tenant_id, e.aggregate_type, e.aggregate_id) = any(:shards::smallint[])
  and (select true from rowcast.event_state s where s.event_id = e.id) is null
order by e.seq limit :limit;

-- name: newest_tenants
-- Tenants of the newest events, without those that make the backlog.
select distinct tenant_id
from (
    select tenant_id, aggregate_type, aggregate_id from rowcast.event where seq > :from_seq order by seq desc limit 5000
) e
where e.tenant_id <> all(:heavy::text[]) and rowcast.shard_of(e.tenant_id, e.aggregate_type, e.aggregate_id) = any(:shards::smallint[])
limit :limit;

-- name: events_of_tenants
-- The oldest pending events of some tenants, so many of each.
select e.id, e.seq, e.tenant_id, e.aggregate_type, e.aggregate_id, e.event_type, e.version, e.occurred_at, e.payload,
       e.traceparent, e.topic
from unnest(:tenants::text[]) as asked(tenant_id)
cross join lateral (
    select e.id, e.seq, e.tenant_id, e.aggregate_type, e.aggregate_id, e.event_type, e.version, e.occurred_at, e.payload,
           e.traceparent, e.topic
    from rowcast.event e
    where e.tenant_id = asked.tenant_id and e.seq >= :from_seq
      and rowcast.shard_of(e.tenant_id, e.aggregate_type, e.aggregate_id) = any(:shards::smallint[])
      and (select true from rowcast.event_state s where s.event_id = e.id) is null
    order by e.seq limit :limit
) e
order by e.seq;

-- name: due_events
-- Failed events whose time to be tried again has come.
select e.id, e.seq, e.tenant_id, e.aggregate_type, e.aggregate_id, e.event_type, e.version, e.occurred_at, e.payload,
       e.traceparent, e.topic
from (
    select event_id, next_attempt_at from rowcast.event_state
    where status = 'failed' and next_attempt_at <= clock_timestamp() order by next_attempt_at limit 10000
) s cross join lateral (
    select id, seq, tenant_id, aggregate_type, aggregate_id, event_type, version, occurred_at, payload, traceparent, topic
    from rowcast.event where id = s.event_id limit 1
) e
where rowcast.shard_of(e.tenant_id, e.aggregate_type, e.aggregate_id) = any(:shards::smallint[])
order by s.next_attempt_at, e.seq limit :limit;

-- name: first_pending
-- The oldest pending event in a stretch of numbers.
select e.seq, extract(epoch from clock_timestamp() - e.created_at)::double precision as age_s
from rowcast.event e
where e.seq >= :from_seq and e.seq < :until_seq and (select true from rowcast.event_state s where s.event_id = e.id) is null
order by e.seq limit 1;

-- name: pending_ids
-- The ids of the oldest pending events in a stretch of numbers.
select e.id, e.seq from rowcast.event e
where e.seq >= :from_seq and e.seq <= :last_seq and (select true from rowcast.event_state s where s.event_id = e.id) is null
order by e.seq limit :limit;

-- name: lowest_bound
-- The lowest bounds of some shards.
select coalesce(min(low_seq), 0) as low_seq, coalesce(min(read_seq), 0) as read_seq
from rowcast.feed_cursor where shard = any(:shards::smallint[]);

-- name: low_bounds
-- The bound of each shard.
select shard, low_seq from rowcast.feed_cursor where shard >= 0;

-- name: raise_low_bounds
-- Bounds only go up. A row that another relay writes just now is left for the next time.
with mine as (
    select shard from rowcast.feed_cursor where shard = any(:shards::smallint[]) order by shard for update skip locked
)
update rowcast.feed_cursor c
set low_seq = greatest(c.low_seq, given.low_seq), read_seq = greatest(c.read_seq, given.read_seq), changed_at = clock_timestamp()
from mine join unnest(:shards::smallint[], :low_seqs::bigint[], :read_seqs::bigint[]) as given(shard, low_seq, read_seq)
    on given.shard = mine.shard
where c.shard = mine.shard and (c.low_seq < given.low_seq or c.read_seq < given.read_seq);

-- name: register_feed
-- This session counts as a live claim feed until it ends.
select pg_advisory_lock_shared(:lock_class::integer, :live_lock::integer);

-- name: shards_held
-- The shards that this session holds, and how many claim feeds are live.
select coalesce(array_agg(objid::integer) filter (where pid = pg_backend_pid() and objid < 64), '{}') as held,
       count(*) filter (where objid = :live_lock::integer::oid)::integer as live
from pg_locks
where locktype = 'advisory' and classid = :lock_class::integer::oid and objsubid = 2 and granted
  and database = (select oid from pg_database where datname = current_database());

-- name: take_shards
-- Takes free shards, as many as wanted.
select shard from unnest(:shards::integer[]) as shard where pg_try_advisory_lock(:lock_class::integer, shard) limit :limit;

-- name: give_shards
-- Hands shards over to whoever takes them first.
select pg_advisory_unlock(:lock_class::integer, shard) from unnest(:shards::integer[]) as shard;

-- name: keep_session
-- A sign of life, so that the server does not end a session that only waits.
select 1;

-- name: states_of
-- What became of some events so far; none for a pending one.
select s.event_id, s.status, s.attempts, s.next_attempt_at <= clock_timestamp() as is_due
from unnest(:event_ids::uuid[]) as asked(id)
cross join lateral (
    select event_id, status, attempts, next_attempt_at from rowcast.event_state where event_id = asked.id limit 1
) s;

-- name: settle_events
-- The state of each event of a batch and what it owes; names those whose state was written.
select rowcast.settle_events(
    :event_ids, :statuses, :errors, :waits_s,
    :owed_event_ids, :tenant_ids, :sinks, :targets, :rules, :transforms, :keys, :priorities, :max_attempts, :delays_s
) as written;

-- name: is_relayed
-- Whether any relay works on this database now: a claim feed, or the reader of a replication slot.
select exists (
    select 1 from pg_locks where locktype = 'advisory' and classid = :lock_class::integer::oid
      and objid = :live_lock::integer::oid and objsubid = 2 and granted
      and database = (select oid from pg_database where datname = current_database())
) or exists (
    select 1 from pg_replication_slots where active and database = current_database() and slot_name like 'rowcast%'
) as is_relayed;

-- name: count_pending
-- How many events are pending, up to a limit.
select count(*)::integer as found from (
    select 1 from rowcast.event e
    where e.seq >= :from_seq and (select true from rowcast.event_state s where s.event_id = e.id) is null
    order by e.seq limit :limit
) e;

-- name: count_failed
-- How many events have failed and are tried again, up to a limit.
select count(*)::integer as found from (select 1 from rowcast.event_state where status = 'failed' limit :limit) s;

-- name: stored_event
-- One event and its state.
select e.id, e.seq, e.tenant_id, e.aggregate_type, e.aggregate_id, e.event_type, e.version, e.occurred_at, e.created_at,
       e.payload, e.traceparent, e.topic, s.status, s.changed_at, s.attempts, s.error, s.next_attempt_at
from rowcast.event e left join lateral (
    select status, changed_at, attempts, error, next_attempt_at from rowcast.event_state where event_id = e.id limit 1
) s on true
where e.id = :event_id;

-- name: stored_events
-- Events and their states, newest first: those that fit among the next 5,000, and how far that was.
with visited as materialized (
    select id, seq, event_type from rowcast.event where seq >= :from_seq and seq < :before_seq order by seq desc limit 5000
), found as (
    select e.id, e.seq, e.tenant_id, e.aggregate_type, e.aggregate_id, e.event_type, e.version, e.occurred_at, e.created_at,
           e.payload, e.traceparent, e.topic, s.status, s.changed_at, s.attempts, s.error, s.next_attempt_at
    from visited v
    cross join lateral (
        select id, seq, tenant_id, aggregate_type, aggregate_id, event_type, version, occurred_at, created_at, payload, traceparent, topic
        from rowcast.event where id = v.id limit 1
    ) e
    left join lateral (
        select status, changed_at, attempts, error, next_attempt_at from rowcast.event_state where event_id = v.id limit 1
    ) s on true
    where (:event_type::text is null or v.event_type = :event_type) and (:status::text is null or coalesce(s.status, 'pending') = :status)
    order by v.seq desc limit :limit
)
select (select min(seq) from visited) as until_seq, (select count(*) from visited) >= 5000 as is_more, found.*
from (select 1) one left join found on true order by found.seq desc;

-- name: stored_events_of_tenant
-- The same of one tenant.
with visited as materialized (
    select id, seq, event_type from rowcast.event
    where tenant_id = :tenant_id and seq >= :from_seq and seq < :before_seq order by seq desc limit 5000
), found as (
    select e.id, e.seq, e.tenant_id, e.aggregate_type, e.aggregate_id, e.event_type, e.version, e.occurred_at, e.created_at,
           e.payload, e.traceparent, e.topic, s.status, s.changed_at, s.attempts, s.error, s.next_attempt_at
    from visited v
    cross join lateral (
        select id, seq, tenant_id, aggregate_type, aggregate_id, event_type, version, occurred_at, created_at, payload, traceparent, topic
        from rowcast.event where id = v.id limit 1
    ) e
    left join lateral (
        select status, changed_at, attempts, error, next_attempt_at from rowcast.event_state where event_id = v.id limit 1
    ) s on true
    where (:event_type::text is null or v.event_type = :event_type) and (:status::text is null or coalesce(s.status, 'pending') = :status)
    order by v.seq desc limit :limit
)
select (select min(seq) from visited) as until_seq, (select count(*) from visited) >= 5000 as is_more, found.*
from (select 1) one left join found on true order by found.seq desc;

-- name: troubled_events
-- Failed or dead events, newest first.
with visited as materialized (
    select e.id, e.seq, e.event_type from rowcast.event_state s
    cross join lateral (select id, seq, event_type, tenant_id from rowcast.event where id = s.event_id limit 1) e
    where s.status in ('failed', 'dead') and s.status = :status and e.seq < :before_seq order by e.seq desc limit 5000
), found as (
    select e.id, e.seq, e.tenant_id, e.aggregate_type, e.aggregate_id, e.event_type, e.version, e.occurred_at, e.created_at,
           e.payload, e.traceparent, e.topic, s.status, s.changed_at, s.attempts, s.error, s.next_attempt_at
    from visited v
    cross join lateral (
        select id, seq, tenant_id, aggregate_type, aggregate_id, event_type, version, occurred_at, created_at, payload, traceparent, topic
        from rowcast.event where id = v.id limit 1
    ) e
    left join lateral (
        select status, changed_at, attempts, error, next_attempt_at from rowcast.event_state where event_id = v.id limit 1
    ) s on true
    where (:event_type::text is null or v.event_type = :event_type) and (:status::text is null or coalesce(s.status, 'pending') = :status)
    order by v.seq desc limit :limit
)
select (select min(seq) from visited) as until_seq, (select count(*) from visited) >= 5000 as is_more, found.*
from (select 1) one left join found on true order by found.seq desc;

-- name: troubled_events_of_tenant
-- The same of one tenant.
with visited as materialized (
    select e.id, e.seq, e.event_type from rowcast.event_state s
    cross join lateral (select id, seq, event_type, tenant_id from rowcast.event where id = s.event_id limit 1) e
    where s.status in ('failed', 'dead') and s.status = :status and e.tenant_id = :tenant_id and e.seq < :before_seq order by e.seq desc limit 5000
), found as (
    select e.id, e.seq, e.tenant_id, e.aggregate_type, e.aggregate_id, e.event_type, e.version, e.occurred_at, e.created_at,
           e.payload, e.traceparent, e.topic, s.status, s.changed_at, s.attempts, s.error, s.next_attempt_at
    from visited v
    cross join lateral (
        select id, seq, tenant_id, aggregate_type, aggregate_id, event_type, version, occurred_at, created_at, payload, traceparent, topic
        from rowcast.event where id = v.id limit 1
    ) e
    left join lateral (
        select status, changed_at, attempts, error, next_attempt_at from rowcast.event_state where event_id = v.id limit 1
    ) s on true
    where (:event_type::text is null or v.event_type = :event_type) and (:status::text is null or coalesce(s.status, 'pending') = :status)
    order by v.seq desc limit :limit
)
select (select min(seq) from visited) as until_seq, (select count(*) from visited) >= 5000 as is_more, found.*
from (select 1) one left join found on true order by found.seq desc;

-- name: try_archive_lock
-- One process archives at a time.
select pg_try_advisory_lock(:lock_class::integer, :archive_lock::integer) as is_ours;

-- name: leave_archive_lock
-- Lets the next one archive.
select pg_advisory_unlock(:lock_class::integer, :archive_lock::integer);

-- name: make_partition_ahead
-- The partitions of a day from today on.
select rowcast.make_partition((now() at time zone 'utc')::date + :ahead::integer, array[:parent::text]);

-- name: old_days
-- Days whose partitions have been kept long enough, oldest first.
select day from (
    select to_date(right(c.relname, 8), 'YYYYMMDD') as day
    from pg_inherits i join pg_class c on c.oid = i.inhrelid
    where i.inhparent = 'rowcast.event'::regclass and c.relname ~ '^event_[0-9]{8}$'
) partition
where day < (now() at time zone 'utc')::date - :days::integer order by day;

-- name: bound_lock_wait
-- Waits for locks only so long in this transaction: whoever waits for the events' table makes all writers wait behind it.
select set_config('lock_timeout', :wait_ms::text, true);

-- name: detach_day
-- Takes a day's partitions off.
select rowcast.detach_partition(:day, :is_dropped) as outcome;

-- name: delete_old_deliveries
-- Deletes what is settled and old among the next deliveries, with its attempts. Dead letters stay until they have been replayed.
with visited as materialized (
    select id, status, created_at, settled_at, replayed_at from rowcast.delivery
    where id > :after_id order by id limit :limit for update skip locked
), gone as (
    delete from rowcast.delivery d using visited v
    where d.id = v.id and v.settled_at < now() - make_interval(days => :days)
      and (v.status in ('delivered', 'cancelled') or v.replayed_at is not null)
    returning d.id
), attempts as (
    delete from rowcast.attempt a using gone where a.delivery_id = gone.id
)
select coalesce(max(id), 0) as last_id, count(*) >= :limit and min(created_at) < now() - make_interval(days => :days) as is_more,
       (select count(*) from gone)::integer as deleted
from visited;
