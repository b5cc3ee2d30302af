-- name: announce
-- This session counts as a node that listens, until it ends: to everything, or to some subjects.
select pg_advisory_lock_shared(:lock_class::integer, lock) from unnest(:locks::integer[]) as lock;

-- name: heard
-- The locks by which other nodes say what they hear.
select coalesce(array_agg(distinct objid::bigint), '{}') as locks
from pg_locks
where locktype = 'advisory' and classid = :lock_class::integer::oid and objid::bigint >= 67 and objsubid = 2
  and granted and pid <> pg_backend_pid() and database = (select oid from pg_database where datname = current_database());

-- name: notify
-- Tells the other nodes; all packets of one statement arrive together and in order.
select pg_notify('rowcast_bus', packet) from unnest(:packets::text[]) as packet;

-- name: store_bodies
-- Lays down what is too long for a notification; a packet that is sent a second time finds its body there.
insert into rowcast.bus_message (node, number, body)
select :node, number, body from unnest(:numbers::bigint[], :bodies::bytea[]) as long (number, body)
on conflict do nothing;

-- name: fetch_body
-- The body of a packet that was too long.
select body from rowcast.bus_message where node = :node and number = :number;

-- name: delete_old_bodies
-- Every node has had a minute to fetch them.
delete from rowcast.bus_message where sent_at < clock_timestamp() - interval '1 minute';

-- name: read_key
-- The key that all nodes of this database share.
select key from rowcast.bus_key;
