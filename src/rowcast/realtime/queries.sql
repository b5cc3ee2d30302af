-- name: attach_grants
-- Sockets take over the rights that wait for them: each right goes to one connection.
with joined as (
    select j.tenant_id, j.user_id, j.connection_id, j.topic, j.joined_at,
           row_number() over (partition by j.tenant_id, j.user_id, j.topic order by j.connection_id) as turn
    from unnest(:tenant_ids::text[], :user_ids::text[], :connection_ids::text[], :topics::text[], :times::timestamptz[])
        as j(tenant_id, user_id, connection_id, topic, joined_at)
    where not exists (
        select from rowcast.realtime_subscriptions s
        where (s.tenant_id, s.user_id, s.connection_id, s.topic) = (j.tenant_id, j.user_id, j.connection_id, j.topic))
), waiting as (
    select w.id, w.tenant_id, w.user_id, w.topic,
           row_number() over (partition by w.tenant_id, w.user_id, w.topic order by w.id) as turn
    from (
        select s.id, s.tenant_id, s.user_id, s.topic
        from rowcast.realtime_subscriptions s
        where s.active and s.joined_at is null
          and (s.tenant_id, s.user_id, s.topic) in (select j.tenant_id, j.user_id, j.topic from joined j)
        order by s.id
        for update skip locked) as w
)
update rowcast.realtime_subscriptions s
set connection_id = j.connection_id, joined_at = j.joined_at, last_ping_at = clock_timestamp()
from waiting w
join joined j using (tenant_id, user_id, topic, turn)
where s.id = w.id;

-- name: keep_joined
-- Sockets hear topics from now on; a row that is there already lives again.
insert into rowcast.realtime_subscriptions as s
    (tenant_id, user_id, connection_id, topic, channel, joined_at, last_ping_at)
select j.tenant_id, j.user_id, j.connection_id, j.topic, j.topic, j.joined_at, clock_timestamp()
from unnest(:tenant_ids::text[], :user_ids::text[], :connection_ids::text[], :topics::text[], :times::timestamptz[])
    as j(tenant_id, user_id, connection_id, topic, joined_at)
order by j.tenant_id, j.user_id, j.connection_id, j.topic
on conflict (tenant_id, user_id, connection_id, topic) do update
    set active = true, joined_at = excluded.joined_at, last_ping_at = excluded.last_ping_at;

-- name: end_left
-- Sockets hear topics no longer.
update rowcast.realtime_subscriptions s
set active = false
from unnest(:tenant_ids::text[], :user_ids::text[], :connection_ids::text[], :topics::text[], :times::timestamptz[])
    as l(tenant_id, user_id, connection_id, topic, left_at)
where (s.tenant_id, s.user_id, s.connection_id, s.topic) = (l.tenant_id, l.user_id, l.connection_id, l.topic);

-- name: log_activity
-- The audit: one row for each join, leave and refusal, with the channel id where there is one.
insert into rowcast.realtime_activity_logs
    (tenant_id, user_id, channel_id, connection_id, topic, event_type, payload, "timestamp")
select a.tenant_id, a.user_id, s.id, a.connection_id, a.topic, a.event_type,
       json_strip_nulls(json_build_object('reason', nullif(a.reason, ''), 'times', nullif(a.occurrences, 1))), a.at
from unnest(:tenant_ids::text[], :user_ids::text[], :connection_ids::text[], :topics::text[], :times::timestamptz[],
            :event_types::text[], :reasons::text[], :occurrences::integer[])
    with ordinality as a(tenant_id, user_id, connection_id, topic, at, event_type, reason, occurrences, number)
left join rowcast.realtime_subscriptions s
    on (s.tenant_id, s.user_id, s.connection_id, s.topic) = (a.tenant_id, a.user_id, a.connection_id, a.topic)
order by a.number;

-- name: ping_connections
-- Sockets are alive: what they hear is not swept away.
update rowcast.realtime_subscriptions set last_ping_at = clock_timestamp()
where active and connection_id = any (:connection_ids::text[]);

-- name: count_messages
-- How many messages each user's sockets heard, added to his hour.
insert into rowcast.realtime_message_counts as c (tenant_id, user_id, hour, messages, last_message_at)
select m.tenant_id, m.user_id, date_trunc('hour', :at::timestamptz, 'UTC'), m.messages, :at::timestamptz
from unnest(:tenant_ids::text[], :user_ids::text[], :counts::bigint[]) as m(tenant_id, user_id, messages)
order by m.tenant_id, m.user_id
on conflict (tenant_id, user_id, hour) do update
    set messages = c.messages + excluded.messages, last_message_at = excluded.last_message_at;

-- name: speak_for_user
-- From here to the end of the transaction row-level security shows one user's rows.
select set_config('request.jwt.claims', json_build_object('sub', :user_id::text)::text, true);

-- name: take_turns
-- Takes turns of a user's rate; gives the seconds to wait, 0 when they were taken.
select rowcast.take_realtime_turns(:tenant_id, :user_id, :wanted, :most, :window_s) as wait_s;

-- name: grant_channels
-- Rights to channels, which wait for a socket. Asked for again, a right is renewed.
insert into rowcast.realtime_subscriptions as s
    (tenant_id, user_id, connection_id, topic, channel, table_name, filter)
select :tenant_id, :user_id, :connection_id, g.topic, g.channel, g.table_name, g.filter::json
from unnest(:topics::text[], :channels::text[], :tables::text[], :filters::text[]) as g(topic, channel, table_name, filter)
order by g.topic
on conflict (tenant_id, user_id, connection_id, topic) do update
    set active = true, last_ping_at = clock_timestamp(), channel = excluded.channel, table_name = excluded.table_name,
        filter = excluded.filter
returning s.id, s.topic;

-- name: log_about_user
-- The audit of what a user asked for over HTTP.
insert into rowcast.realtime_activity_logs (tenant_id, user_id, channel_id, connection_id, topic, event_type, payload)
select :tenant_id, :user_id, l.channel_id, :connection_id, l.topic, :event_type, :payload::json
from unnest(:channel_ids::uuid[], :topics::text[]) with ordinality as l(channel_id, topic, number)
order by l.number;

-- name: end_channels
-- A user gives channels back: those named, or all of his.
update rowcast.realtime_subscriptions set active = false
where active and (:is_all::boolean or id = any (:ids::uuid[]))
returning id, topic, connection_id;

-- name: own_channels
-- What a user hears now, as row-level security shows it to him.
select id, channel, topic, table_name, filter::text as filter, created_at, joined_at, last_ping_at, connection_id
from rowcast.realtime_subscriptions
where active and last_ping_at > clock_timestamp() - make_interval(secs => :silence_s::double precision)
order by created_at, id
limit :most;

-- name: own_messages
-- How many messages a user's sockets heard in the last 24 hours, and when the last one.
select coalesce(sum(messages), 0)::bigint as messages, max(last_message_at) as last_message_at
from rowcast.realtime_message_counts
where hour > clock_timestamp() - interval '24 hours';

-- name: connection_statistics
-- A tenant's connections now, and his messages of today (UTC).
select (select count(distinct s.connection_id) from rowcast.realtime_subscriptions s
        where s.tenant_id = :tenant_id and s.active and s.joined_at is not null
          and s.last_ping_at > clock_timestamp() - make_interval(secs => :silence_s::double precision)) as connections,
       (select count(*) from rowcast.realtime_subscriptions s
        where s.tenant_id = :tenant_id and s.active and s.joined_at is not null
          and s.last_ping_at > clock_timestamp() - make_interval(secs => :silence_s::double precision)) as channels,
       (select count(distinct s.user_id) from rowcast.realtime_subscriptions s
        where s.tenant_id = :tenant_id and s.active and s.joined_at is not null
          and s.last_ping_at > clock_timestamp() - make_interval(secs => :silence_s::double precision)) as users,
       (select count(distinct a.connection_id) from rowcast.realtime_activity_logs a
        where a.tenant_id = :tenant_id and a.event_type = 'join'
          and a."timestamp" >= date_trunc('day', clock_timestamp(), 'UTC')) as connections_today,
       (select coalesce(sum(m.messages), 0)::bigint from rowcast.realtime_message_counts m
        where m.tenant_id = :tenant_id and m.hour >= date_trunc('day', clock_timestamp(), 'UTC')) as messages_today;

-- name: sweep_subscriptions
-- Ends what has given no sign of life, logs it, and removes it together with what had ended before; gives the two counts.
with gone as (
    delete from rowcast.realtime_subscriptions
    where not active or last_ping_at < clock_timestamp() - make_interval(secs => :silence_s::double precision)
    returning id, tenant_id, user_id, connection_id, topic, active
), logged as (
    insert into rowcast.realtime_activity_logs (tenant_id, user_id, channel_id, connection_id, topic, event_type)
    select g.tenant_id, g.user_id, g.id, g.connection_id, g.topic, 'expiry' from gone g where g.active
    returning 1
)
select (select count(*) from gone) as removed, (select count(*) from logged) as expired;

-- name: forget_activity
-- Removes some log rows that are older than the retention time.
delete from rowcast.realtime_activity_logs where id in (
    select a.id from rowcast.realtime_activity_logs a
    where a."timestamp" < clock_timestamp() - make_interval(days => :days::integer)
    order by a."timestamp" limit :most);

-- name: forget_counts
-- Removes counts that are older than the retention time.
delete from rowcast.realtime_message_counts where hour < clock_timestamp() - make_interval(days => :days::integer);

-- name: forget_turns
-- Removes the turns of users who have taken none for an hour.
delete from rowcast.realtime_turns where last_taken_at < clock_timestamp() - interval '1 hour';

-- name: begin_session
-- Where a session stands and how long ago that was; one that is not known yet begins at the bound below which everything is settled.
with before as (
    select changed_at from rowcast.realtime_session where tenant_id = :tenant_id and topic = :topic and session = :session
), kept as (
    insert into rowcast.realtime_session as s (tenant_id, topic, session, from_seq, from_transaction)
    select :tenant_id, :topic, :session, coalesce(min(low_seq), 0), pg_snapshot_xmin(pg_current_snapshot())::text::bigint
    from rowcast.feed_cursor where shard >= 0
    on conflict (tenant_id, topic, session) do update set changed_at = clock_timestamp()
    returning s.from_seq, s.from_transaction, s.received
)
select k.from_seq, k.from_transaction, k.received, extract(epoch from clock_timestamp() - b.changed_at)::double precision as away_s
from kept k left join before b on true;

-- name: told_before
-- Events of a tenant from a number on that were told already and may belong to a topic, newest first.
select e.id::text as id
from rowcast.event e
where e.tenant_id = :tenant_id and e.seq >= :from_seq
  and (:is_wide::boolean or e.topic = :topic or (e.topic is null and e.event_type like :types))
  and (select status from rowcast.event_state s where s.event_id = e.id) = 'published'
order by e.seq desc limit :limit;

-- name: missed_events
-- The newest events of a tenant from a number on that may belong to a topic and were not received, up to a size; `visited` counts them all.
with visited as materialized (
    select e.id, e.seq, e.tenant_id, e.aggregate_type, e.aggregate_id, e.event_type, e.version, e.occurred_at, e.payload, e.traceparent, e.topic
    from rowcast.event e
    where e.tenant_id = :tenant_id and e.seq >= :from_seq
      and (:is_wide::boolean or e.topic = :topic or (e.topic is null and e.event_type like :types))
      and (select status from rowcast.event_state s where s.event_id = e.id) is distinct from 'dead'
      and e.id::text <> all(:received::text[])
    order by e.seq desc limit :limit
), sized as (
    select v.id, v.seq, v.tenant_id, v.aggregate_type, v.aggregate_id, v.event_type, v.version, v.occurred_at, v.payload, v.traceparent, v.topic,
           count(*) over () as visited, sum(octet_length(v.payload::text)) over (order by v.seq desc) as bytes
    from visited v
)
select id, seq, tenant_id, aggregate_type, aggregate_id, event_type, version, occurred_at, payload, traceparent, topic, visited
from sized where bytes <= :most_bytes order by seq desc;

-- name: settled_events
-- Settled events of some tenants from a number on, oldest first, so many of each; dead ones were never told.
select e.id, e.seq, e.tenant_id, e.aggregate_type, e.aggregate_id, e.event_type, e.version, e.occurred_at,
       case when :is_wide::boolean then e.payload else 'null'::json end as payload, e.traceparent, e.topic, e.is_published
from unnest(:tenants::text[], :from_seqs::bigint[]) as asked(tenant_id, from_seq)
cross join lateral (
    select e.id, e.seq, e.tenant_id, e.aggregate_type, e.aggregate_id, e.event_type, e.version, e.occurred_at, e.payload, e.traceparent,
           e.topic, s.status is not distinct from 'published' as is_published
    from rowcast.event e
    left join lateral (select status from rowcast.event_state where event_id = e.id limit 1) s on true
    where e.tenant_id = asked.tenant_id and e.seq >= asked.from_seq and e.seq < :low_seq and s.status is distinct from 'dead'
    order by e.seq limit :limit
) e
order by e.tenant_id, e.seq;

-- name: settled_bounds
-- The number below which every event is settled, and the transaction below which all are over: nothing can appear there any more.
select coalesce(min(low_seq), 0) as low_seq, pg_snapshot_xmin(pg_current_snapshot())::text::bigint as low_transaction
from rowcast.feed_cursor where shard >= 0;

-- name: has_messages
-- Whether realtime.messages has the columns by which its rows are in order.
select count(*) = 3 as has_messages from pg_attribute
where attrelid = to_regclass('realtime.messages') and attname in ('seq', 'tenant_id', 'transaction_id') and not attisdropped;

-- name: missed_messages
-- The newest messages of the database on a private topic from a transaction on that were not received, up to a size.
with visited as materialized (
    select m.transaction_id, m.seq, m.id::text as id, m.topic, m.event, m.payload::text as payload, m.binary_payload, m.tenant_id
    from realtime.messages m
    where m.extension = 'broadcast' and m.private and m.event is not null and m.topic = :topic
      and (m.tenant_id = :tenant_id or (m.tenant_id is null and :is_nameless::boolean))
      and m.transaction_id >= :from_transaction::text::xid8 and m.id::text <> all(:received::text[])
    order by m.transaction_id desc, m.seq desc limit :limit
), sized as (
    select v.transaction_id, v.seq, v.id, v.topic, v.event, v.payload, v.binary_payload, v.tenant_id, count(*) over () as visited,
           sum(coalesce(octet_length(v.payload), octet_length(v.binary_payload), 0)) over (order by v.transaction_id desc, v.seq desc) as bytes
    from visited v
)
select id, topic, event, payload, binary_payload, tenant_id, visited
from sized where bytes <= :most_bytes order by transaction_id desc, seq desc;

-- name: messages_since
-- The newest messages of the database on a private topic since a moment.
select m.id::text as id, m.topic, m.event, m.payload::text as payload, m.binary_payload, m.tenant_id
from realtime.messages m
where m.extension = 'broadcast' and m.private and m.event is not null and m.topic = :topic
  and (m.tenant_id = :tenant_id or (m.tenant_id is null and :is_nameless::boolean))
  and m.inserted_at >= :since::timestamptz at time zone 'utc'
order by m.seq desc limit :limit;

-- name: settled_messages
-- Messages of private topics from a transaction on, up to one below which all are over; the last transaction is there as a whole.
select m.transaction_id::text::bigint as transaction_id, m.id::text as id, m.topic, m.tenant_id
from realtime.messages m
where m.extension = 'broadcast' and m.private and m.event is not null
  and m.transaction_id >= :from_transaction::text::xid8 and m.transaction_id < :low_transaction::text::xid8
order by m.transaction_id fetch first (:limit::bigint) rows with ties;

-- name: keep_sessions
-- How far some sessions have come. A row that is further already stays.
insert into rowcast.realtime_session as s (tenant_id, topic, session, from_seq, from_transaction, received)
select tenant_id, topic, session, from_seq, from_transaction, received
from jsonb_to_recordset(:cursors::jsonb)
    as given(tenant_id text, topic text, session text, from_seq bigint, from_transaction bigint, received text[])
order by tenant_id, topic, session
on conflict (tenant_id, topic, session) do update
set from_seq = excluded.from_seq, from_transaction = excluded.from_transaction, received = excluded.received,
    changed_at = clock_timestamp()
where excluded.from_seq >= s.from_seq and excluded.from_transaction >= s.from_transaction;

-- name: forget_sessions
-- Deletes sessions that have not been heard for long, and the oldest of a tenant that has too many.
delete from rowcast.realtime_session s
using (
    select tenant_id, topic, session,
           changed_at < clock_timestamp() - make_interval(secs => :kept_s)
               or row_number() over (partition by tenant_id order by changed_at desc) > :most as is_over
    from rowcast.realtime_session
) old
where old.is_over and s.tenant_id = old.tenant_id and s.topic = old.topic and s.session = old.session;

-- name: events_since
-- The newest events of a tenant since a moment that may belong to a topic.
select e.id, e.seq, e.tenant_id, e.aggregate_type, e.aggregate_id, e.event_type, e.version, e.occurred_at, e.payload, e.traceparent, e.topic,
       e.created_at
from rowcast.event e
where e.tenant_id = :tenant_id and e.id >= rowcast.uuid7_floor(:since) and e.created_at >= :since
  and (:is_wide::boolean or e.topic = :topic or (e.topic is null and e.event_type like :types))
  and (select status from rowcast.event_state s where s.event_id = e.id) is distinct from 'dead'
order by e.seq desc limit :limit;

-- name: published_tables
-- The tables of the publication that a subscription names (null: any), partitioned ones above published partitions included.
select distinct c.oid::bigint as oid, n.nspname::text as schema, c.relname::text as name
from pg_publication_tables p
join pg_namespace pn on pn.nspname = p.schemaname join pg_class pc on pc.relnamespace = pn.oid and pc.relname = p.tablename
cross join lateral (
    select pc.oid as oid union select a.relid from pg_partition_ancestors(pc.oid) as a (relid)
) as shown join pg_class c on c.oid = shown.oid join pg_namespace n on n.oid = c.relnamespace
where p.pubname = 'supabase_realtime' and (:schema::text is null or n.nspname = :schema)
      and (:name::text is null or c.relname = :name)
order by 1;

-- name: changed_table
-- What is known of a table besides its columns: whether policies guard it, its primary key, and what it is a partition of.
select c.oid::bigint as oid, n.nspname::text as schema, c.relname::text as name, c.relrowsecurity as is_guarded,
       array(select a.attname::text from pg_index i, unnest(i.indkey) with ordinality as k (attnum, place), pg_attribute a
             where i.indrelid = c.oid and i.indisprimary and a.attrelid = c.oid and a.attnum = k.attnum
             order by k.place) as key,
       array(select a.relid::oid::bigint from pg_partition_ancestors(c.oid) as a (relid) where a.relid <> c.oid) as ancestors
from pg_class c join pg_namespace n on n.oid = c.relnamespace where c.oid = :oid::bigint::oid;

-- name: changed_columns
-- The columns of a table, their types, and how their texts compare.
select a.attname::text as name, a.atttypid::bigint as type_oid, format_type(a.atttypid, null) as shown_type,
       coalesce(l.collisdeterministic, true) as is_deterministic,
       coalesce(case when l.collprovider = 'd' then d.datcollate else l.collcollate end in ('C', 'POSIX'), false)
           and (l.collprovider = 'c' or (l.collprovider = 'd' and d.datlocprovider = 'c')) as is_bytewise,
       coalesce(case when l.collprovider = 'd' then d.datctype else l.collctype end, '') !~* '^(tr|az|lt)'
           and l.collprovider <> 'i' and d.datlocprovider <> 'i' as folds_ascii
from pg_attribute a join pg_database d on d.datname = current_database()
left join pg_collation l on l.oid = a.attcollation
where a.attrelid = :oid::bigint::oid and a.attnum > 0 and not a.attisdropped order by a.attnum;

-- name: changed_types
-- Types by their numbers, with what is behind their domains and what they are made of.
with recursive behind (oid, at) as (
    select t.oid, t.oid from pg_type t where t.oid = any (:oids::bigint[]::oid[])
    union all
    select b.oid, t.typbasetype from behind b join pg_type t on t.oid = b.at where t.typtype = 'd'
)
select b.oid::bigint as oid, shown.typname::text as name, t.typname::text as base, t.typtype::text as kind,
       t.typcategory::text as category, t.oid < 16384 as is_builtin,
       case when t.typcategory = 'A' then t.typelem::bigint else 0 end as element_oid,
       array(select a.attname::text from pg_attribute a
             where a.attrelid = t.typrelid and a.attnum > 0 and not a.attisdropped order by a.attnum) as field_names,
       array(select a.atttypid::bigint from pg_attribute a
             where a.attrelid = t.typrelid and a.attnum > 0 and not a.attisdropped order by a.attnum) as field_oids
from behind b join pg_type shown on shown.oid = b.oid join pg_type t on t.oid = b.at
where t.typtype <> 'd';

-- name: role_on_table
-- What a role may read of a table, and whether the table's policies hold for it; no row where there is no such role.
select c.relrowsecurity and not r.rolbypassrls and not r.rolsuper
           and (c.relforcerowsecurity or not pg_has_role(r.oid, c.relowner, 'usage')) as is_checked,
       has_table_privilege(r.oid, c.oid, 'select') and has_schema_privilege(r.oid, c.relnamespace, 'usage') as reads_all,
       array(select a.attname::text from pg_attribute a
             where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
               and has_column_privilege(r.oid, c.oid, a.attnum, 'select')
               and has_schema_privilege(r.oid, c.relnamespace, 'usage')) as readable
from pg_class c, pg_roles r where c.oid = :oid::bigint::oid and r.rolname = :role;

-- name: visible_rows
-- Which of some rows, given by their keys, a role with these claims may see now; or why that could not be found out.
select place, fault
from rowcast.visible_rows(:oid::bigint::oid::regclass, :key_columns::text[], :keys::text, :role::text, :claims::text);

-- name: are_seen
-- Whether other sessions see these transactions (32-bit numbers, as the log has them): it tells of them a moment before.
select not exists (
    select from unnest(:xids::bigint[]) as t (xid), (select pg_current_snapshot() as now) as s
    where (t.xid - pg_snapshot_xmax(s.now)::text::bigint) & 4294967295 < 2147483648
       or t.xid in (select x.xid::text::bigint & 4294967295 from pg_snapshot_xip(s.now) as x (xid))
) as are_seen;

-- name: visible_old_rows
-- The same for rows that are gone, given as they were.
select place, fault from rowcast.visible_old_rows(:oid::bigint::oid::regclass, :old_rows::text, :role::text, :claims::text);

-- name: filter_literals
-- A filter's literals as PostgreSQL writes them, or why it cannot read them.
select literals, fault
from rowcast.filter_literals(:oid::bigint::oid::regclass, :column_name::text, :operator::text, :operands::text[]);

-- name: filter_passes
-- Which of some values pass a condition that only the database can decide.
select rowcast.filter_passes(:oid::bigint::oid::regclass, :column_name::text, :operator::text, :operands::text[], :cells::text[])
       as passed;

-- name: channel_rights
-- What the policies of realtime.messages let a token do on a topic; nothing of the question stays.
select allowed, fault, detail
from rowcast.channel_rights(:role::text, :claims::text, :headers::text, :topic::text, :extensions::text[], :is_write::boolean);

-- name: is_owner
-- Whether the row with that key has one of these owners.
select rowcast.is_owner(:schema::text, :table::text, :key_column::text, :key::text, :owner_column::text, :owners::text[]) as is_owner;
