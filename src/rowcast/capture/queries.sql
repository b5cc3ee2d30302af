-- name: slot_state
-- All that decides whether this database can be streamed, and from where.
select current_setting('wal_level') as wal_level,
       current_setting('max_slot_wal_keep_size') as keep_size,
       current_database()::text as database,
       exists (select 1 from pg_publication where pubname = 'rowcast_events') as has_publication,
       (select lsn::text from rowcast.feed_cursor where shard = -1) as settled_lsn,
       named.slot_name, s.slot_name is not null as has_slot, s.database::text as slot_database, s.plugin::text as plugin,
       coalesce(s.active, false) as is_active, s.wal_status = 'lost' as is_lost
from (
    select coalesce(:slot::text, 'rowcast_' || oid) as slot_name from pg_database where datname = current_database()
) as named left join pg_replication_slots s on s.slot_name = named.slot_name;

-- name: lock_slot
-- One process at a time makes or drops the slot of this database.
select pg_try_advisory_lock(:lock_class::integer, :slot_lock::integer) as is_locked;

-- name: unlock_slot
-- Lets the next one look.
select pg_advisory_unlock(:lock_class::integer, :slot_lock::integer);

-- name: create_publication
-- What the log tells of the outbox: inserts, under the name of the whole table, and the columns of an envelope.
create publication rowcast_events for table rowcast.event
    (id, seq, tenant_id, aggregate_type, aggregate_id, event_type, version, occurred_at, payload, traceparent, topic)
    with (publish = 'insert', publish_via_partition_root = true);

-- name: drop_slot
-- Drops a slot that is of no use any more.
select pg_drop_replication_slot(:slot);

-- name: record_gap
-- A stretch of the log will never be read. Whoever leads next reads the table instead, and says when that is done.
insert into rowcast.feed_gap (reason) values (:reason);

-- name: begin_to_lead
-- From now on only this process settles what the WAL feed hands out. No position yet means that the table was never read.
update rowcast.feed_cursor c set fence = c.fence + 1, changed_at = clock_timestamp()
where c.shard = -1
returning c.fence, c.lsn::text as lsn, c.lsn is null or exists (select 1 from rowcast.feed_gap where healed_at is null) as is_gap;

-- name: settle_events_and_cursor
-- The same with how far the log is settled, if this process still leads; else no row, and nothing was written. Gives also
-- how far the log is written: whatever was read before was committed before that.
with moved as (
    update rowcast.feed_cursor set lsn = coalesce(:lsn::text::pg_lsn, lsn), changed_at = clock_timestamp()
    where shard = -1 and fence = :fence
    returning pg_current_wal_insert_lsn()::text as written_lsn, pg_current_wal_flush_lsn()::text as flushed_lsn
)
select written_lsn, flushed_lsn, rowcast.settle_events(
    :event_ids, :statuses, :errors, :waits_s,
    :owed_event_ids, :tenant_ids, :sinks, :targets, :rules, :transforms, :keys, :priorities, :max_attempts, :delays_s
) as written
from moved;

-- name: events_with_state
-- Which of some events were relayed beside the stream; a failed one comes again by the side lane.
select s.event_id from unnest(:event_ids::uuid[]) as asked(id)
cross join lateral (select event_id from rowcast.event_state where event_id = asked.id limit 1) as s;

-- name: end_gap
-- The table was read up to where the slot begins: every gap is healed.
with gap as (
    update rowcast.feed_gap set healed_at = clock_timestamp(), healed_events = :healed_events where healed_at is null
)
update rowcast.feed_cursor c
set lsn = coalesce(c.lsn, (select confirmed_flush_lsn from pg_replication_slots where slot_name = :slot::text)),
    changed_at = clock_timestamp()
where c.shard = -1 and c.fence = :fence returning c.fence;

-- name: heal_bounds
-- Between which numbers an event may lie that the slot has never seen. Asked when the slot exists.
select (select coalesce(min(low_seq), 0) from rowcast.feed_cursor where shard >= 0) as from_seq,
       (select case when is_called then last_value else 0 end from rowcast.event_seq) as last_seq;

-- name: events_to_heal
-- The oldest pending events in a stretch of numbers, in order.
select e.id, e.seq, e.tenant_id, e.aggregate_type, e.aggregate_id, e.event_type, e.version, e.occurred_at, e.payload,
       e.traceparent, e.topic
from rowcast.event e
where e.seq >= :from_seq and e.seq < :until_seq and (select true from rowcast.event_state s where s.event_id = e.id) is null
order by e.seq limit :limit;

-- name: measure_slot
-- How much of the log the slot keeps back, and how much more the server lets it keep (null: no limit).
select case when pg_is_in_recovery() then null
            else pg_wal_lsn_diff(pg_current_wal_lsn(), confirmed_flush_lsn)::bigint end as lag_bytes,
       case when pg_is_in_recovery() then null
            else pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn)::bigint end as kept_bytes,
       safe_wal_size as safe_bytes, wal_status
from pg_replication_slots where slot_name = :slot::text;

-- name: describe_table
-- A table's columns and primary key, in order, and the columns whose JSON form may hold U+0000.
select c.relkind::text as kind,
       array(select a.attname::text from pg_attribute a
             where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped order by a.attnum) as columns,
       array(select a.attname::text from pg_index i, unnest(i.indkey) with ordinality as k (attnum, place), pg_attribute a
             where i.indrelid = c.oid and i.indisprimary and a.attrelid = c.oid and a.attnum = k.attnum
             order by k.place) as key,
       array(select a.attname::text from pg_attribute a join pg_type t on t.oid = a.atttypid left join pg_type e on e.oid = t.typelem
             where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
               and (t.typname = 'json' or e.typname = 'json' or t.typtype in ('c', 'd')
                    or (t.typnamespace <> 'pg_catalog'::regnamespace and t.typtype <> 'e'))
             order by a.attnum) as risky
from pg_class c join pg_namespace n on n.oid = c.relnamespace
where n.nspname = :schema and c.relname = :name and c.relkind in ('r', 'p', 'v', 'm', 'f');

-- name: installed_watches
-- The functions of watches, with the table and the enabled triggers that call each.
select p.proname::text as function, obj_description(p.oid, 'pg_proc') as comment, p.prosrc as source,
       (select n.nspname || '.' || c.relname from pg_trigger t
        join pg_class c on c.oid = t.tgrelid join pg_namespace n on n.oid = c.relnamespace
        where t.tgfoid = p.oid order by c.oid limit 1) as table,
       array(select t.tgname::text from pg_trigger t where t.tgfoid = p.oid and t.tgenabled <> 'D' order by t.tgname) as triggers
from pg_proc p
where p.pronamespace = 'rowcast'::regnamespace and p.proname like 'watch\_%' order by p.proname;

-- name: log_positions
-- How far the log is written, and how far of that is on disk.
select pg_current_wal_insert_lsn()::text as written_lsn, pg_current_wal_flush_lsn()::text as flushed_lsn;

-- name: changes_slot_state
-- Who reads row changes of this database, and whether there is what to read.
select named.slot_name, s.slot_name is not null as is_taken, current_setting('max_slot_wal_keep_size') as keep_size,
       exists (select 1 from pg_publication where pubname = 'supabase_realtime') as has_publication
from (select 'rowcast_changes_' || oid as slot_name from pg_database where datname = current_database()) as named
left join pg_replication_slots s on s.slot_name = named.slot_name;

-- name: create_changes_publication
-- The publication that applications add their tables to.
create publication supabase_realtime;

-- name: publish_messages
-- Lets the log tell the messages that the database sends to sockets.
select rowcast.publish_messages() as is_published;

-- name: message_road
-- Whether messages must be read from the table: they are where the log cannot tell them. Null: there is nothing to read by.
select case when exists (select 1 from pg_attribute where attrelid = to_regclass('realtime.messages') and attname = 'transaction_id') then
           case when not :is_streamed::boolean then true
                when exists (select 1 from pg_publication where pubname = 'rowcast_events') then not rowcast.publish_messages()
                else false end end as is_needed;

-- name: lead_messages
-- One process reads the messages for all of them.
select pg_try_advisory_lock(:lock_class::integer, :message_lock::integer) as is_ours;

-- name: begin_messages
-- What was committed before the first look is nobody's any more.
insert into rowcast.message_cursor (seen) values (pg_current_snapshot()) on conflict do nothing;

-- name: seen_messages
-- How far the messages are told.
select seen::text as seen from rowcast.message_cursor;

-- name: current_snapshot
-- What is committed now.
select pg_current_snapshot()::text as until;

-- name: messages_between
-- Messages that one snapshot sees and an earlier one did not: exactly what was committed in between, however long it took to commit.
select m.transaction_id::text as transaction_id, m.seq, m.id::text as id, m.topic, m.event, m.payload::text as payload, m.private,
       m.binary_payload, m.tenant_id
from realtime.messages m
where m.extension = 'broadcast' and m.event is not null
  and m.transaction_id >= pg_snapshot_xmin(:seen::text::pg_snapshot)
  and (m.transaction_id, m.seq) > (:after_transaction::text::xid8, :after_seq)
  and not pg_visible_in_snapshot(m.transaction_id, :seen::text::pg_snapshot)
  and pg_visible_in_snapshot(m.transaction_id, :until::text::pg_snapshot)
order by m.transaction_id, m.seq limit :limit;

-- name: move_messages
-- All of that is told.
update rowcast.message_cursor set seen = :until::text::pg_snapshot, changed_at = clock_timestamp();

-- name: make_message_partition
-- The partition of one day from today on.
select rowcast.make_message_partition((now() at time zone 'utc')::date + :ahead::integer);

-- name: drop_old_messages
-- Takes away what is older than the retention.
select rowcast.drop_old_messages(make_interval(hours => :hours::integer)) as dropped;
