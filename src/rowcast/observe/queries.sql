-- name: settled_counts
-- Dead events, to a cap. Published ones are what the statistics count, without those in trouble: counting reads them all.
with trouble as (
    select status from rowcast.event_state where status in ('failed', 'dead') limit :cap
), settled as (
    select coalesce(sum(pg_stat_get_live_tuples(relid)), 0)::bigint as events
    from pg_partition_tree('rowcast.event_state') where isleaf
)
select (select count(*) from trouble where status = 'dead') as dead,
       greatest(0, (select events from settled) - (select count(*) from trouble)) as published;

-- name: delivery_counts
-- Open and dead deliveries of each sink, to a cap, and how long the first of those that are due has been waiting.
select sink, status, count(*) as deliveries,
       coalesce(extract(epoch from clock_timestamp() - min(due_at) filter (where is_due)), 0)::double precision as overdue_s
from (
    (select sink, status, due_at, due_at <= clock_timestamp() as is_due from rowcast.delivery
     where status = 'waiting' order by sink, priority, due_at, id limit :cap)
    union all
    (select sink, status, due_at, false from rowcast.delivery where status = 'running' order by sink, leased_until limit :cap)
    union all
    (select sink, status, due_at, false from rowcast.delivery where status = 'dead' and replayed_at is null limit :cap)
) d
group by sink, status order by sink, status;

-- name: slots
-- The replication slots of this database's feeds: how far behind, and how much log the server keeps for them.
select slot_name, active, coalesce(wal_status, '') as wal_status,
       coalesce(pg_wal_lsn_diff(pg_current_wal_lsn(), confirmed_flush_lsn), 0)::bigint as lag_bytes,
       coalesce(pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn), 0)::bigint as retained_bytes,
       safe_wal_size as safe_bytes
from pg_replication_slots
where database = current_database() and slot_name like 'rowcast%' order by slot_name;

-- name: open_gaps
-- Stretches of the log that were lost and that the claim feed has not healed yet.
select count(*) as gaps from rowcast.feed_gap where healed_at is null;

-- name: ping
-- Whether the database answers.
select 1;
