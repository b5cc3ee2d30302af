-- name: event_counts
-- Pending events among the oldest that are not yet known to be settled and among the newest; failed and dead ones; all to a cap.
-- Published ones are what the statistics count, without those in trouble: an estimate, because counting them reads them all.
with low as (
    select coalesce(min(low_seq), 0) as seq from rowcast.feed_cursor where shard >= 0
), looked_at as (
    (select id, created_at from rowcast.event where seq >= (select seq from low) order by seq limit :cap)
    union
    (select id, created_at from rowcast.event where seq >= (select seq from low) order by seq desc limit :cap)
), pending as (
    select count(*) as events, min(created_at) as oldest_at from looked_at e
    where (select true from rowcast.event_state s where s.event_id = e.id) is null
), trouble as (
    select count(*) filter (where status = 'failed') as failed, count(*) filter (where status = 'dead') as dead
    from (select status from rowcast.event_state where status in ('failed', 'dead') limit :cap) s
), settled as (
    select coalesce(sum(pg_stat_get_live_tuples(relid)), 0)::bigint as events
    from pg_partition_tree('rowcast.event_state') where isleaf
)
select pending.events as pending, greatest(0, settled.events - trouble.failed - trouble.dead) as published,
       trouble.failed, trouble.dead,
       coalesce(extract(epoch from clock_timestamp() - pending.oldest_at), 0)::double precision as oldest_pending_s
from pending, trouble, settled;

-- name: delivery_counts
-- Open and dead deliveries of each sink, to a cap, and how long the first of those that are due has been waiting.
select sink, status, count(*) as deliveries,
       coalesce(extract(epoch from clock_timestamp() - min(due_at) filter (where status = 'waiting' and due_at <= clock_timestamp())),
                0)::double precision as overdue_s
from (
    (select sink, status, due_at from rowcast.delivery where status = 'waiting' order by sink, priority, due_at, id limit :cap)
    union all
    (select sink, status, due_at from rowcast.delivery where status = 'running' order by sink, leased_until limit :cap)
    union all
    (select sink, status, due_at from rowcast.delivery where status = 'dead' and replayed_at is null limit :cap)
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
