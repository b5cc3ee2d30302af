-- name: emit_example
-- The event of an example.
select rowcast.emit_json(:tenant_id, :event_type, :payload::text::json, :aggregate_type, null, null, null, null, null, :topic) as id;

-- name: owe_example
-- What one endpoint alone is owed of an example, as its relay would have written it.
with routed as (
    insert into rowcast.event_state (event_id, status) values (:event_id, 'published')
), said as (
    insert into rowcast.message (event_id, tenant_id, tags) values (:event_id, :tenant_id, :tags)
)
insert into rowcast.delivery (tenant_id, event_id, sink, target, rule, key)
values (:tenant_id, :event_id, 'webhooks', :target, 'example', :key);

-- name: expired_messages
-- Some messages whose time is over, held until what they hold is removed.
select tenant_id, event_id from rowcast.message
where expires_at <= clock_timestamp() and expunged_at is null
order by expires_at limit :most for update skip locked;

-- name: next_messages
-- The next messages of a tenant in the order of their writing, of which something is left, and how far that is.
with visited as materialized (
    select id, seq from rowcast.event where tenant_id = :tenant_id and seq > :position and seq <= :up_to order by seq limit :most
)
select coalesce((select max(seq) from visited), :up_to::bigint) as position, (select count(*) from visited) as visited,
       array(select v.id from visited v left join rowcast.message m on m.event_id = v.id
             where m.expunged_at is null order by v.seq) as event_ids;

-- name: drop_messages
-- Removes what was said of some messages whose events are gone with their days. Days that are kept for longer keep theirs.
delete from rowcast.message where event_id in (
    select m.event_id from rowcast.message m
    where m.event_id < rowcast.uuid7_floor(clock_timestamp() - make_interval(days => :days))
      and (select true from rowcast.event e where e.id = m.event_id) is null
    order by m.event_id limit :most for update skip locked
)
returning event_id;

-- name: known_messages
-- Those of some messages that a tenant has, by their events or by their callers' own ids.
select e.id as event_id, null::text as uid
from unnest(:event_ids::uuid[]) as asked (id)
cross join lateral (select id from rowcast.event where id = asked.id and tenant_id = :tenant_id limit 1) e
union all
select m.event_id, m.uid from rowcast.message m where m.tenant_id = :tenant_id and m.uid = any(:uids::text[]);

-- name: expunge_messages
-- Removes what some messages held and what was answered to them; what still waits is cancelled.
with marked as (
    insert into rowcast.message as m (event_id, tenant_id, expunged_at)
    select asked.event_id, asked.tenant_id, clock_timestamp()
    from unnest(:tenant_ids::text[], :event_ids::uuid[]) as asked (tenant_id, event_id)
    -- The event may be gone with its partition: the row of the message says no longer that something is left.
    where exists (select from rowcast.event e where e.id = asked.event_id and e.tenant_id = asked.tenant_id)
       or exists (select from rowcast.message k where k.event_id = asked.event_id and k.tenant_id = asked.tenant_id)
    on conflict (event_id) do update
    set expunged_at = coalesce(m.expunged_at, excluded.expunged_at), raw_payload = null
    returning m.event_id, m.tenant_id
), emptied as (
    update rowcast.event e set payload = '{}'
    from marked where e.id = marked.event_id and e.tenant_id = marked.tenant_id
), owed as materialized (
    select d.id from rowcast.delivery d join marked on marked.event_id = d.event_id and marked.tenant_id = d.tenant_id
), cleared as (
    update rowcast.attempt a set excerpt = '', detail = null
    where a.delivery_id = any(array(select id from owed)) and (a.detail is not null or a.excerpt <> '')
), settled as (
    update rowcast.delivery d
    set error = split_part(d.error, ':', 1), result = null,
        status = case d.status when 'waiting' then 'cancelled' else d.status end,
        settled_at = case d.status when 'waiting' then clock_timestamp() else d.settled_at end
    where d.id = any(array(select id from owed))
)
select count(*) as expunged from marked;

-- name: emit_message
-- The event of a message, written in the caller's transaction.
select rowcast.emit_json(:tenant_id, :event_type, :payload::text::json, :aggregate_type, :aggregate_id, :version, null, null,
                         null, null) as id;

-- name: add_message
-- What is said of a message beside its event; nothing where another one has its uid.
insert into rowcast.message
    (event_id, tenant_id, uid, channels, tags, raw_payload, content_type, expires_at, deliver_at)
values (:event_id, :tenant_id, :uid, :channels, :tags, :raw_payload, :content_type, :expires_at, :deliver_at)
on conflict (tenant_id, uid) where uid is not null do nothing
returning event_id;

-- name: message_terms
-- What was said of some events whom they are for and when, and which of these events are not seen yet.
select id, channels, deliver_at, is_seen from rowcast.message_terms(:event_ids);

-- name: raw_message
-- What is posted in the place of an empty payload, and whether that is what was left of a message.
select raw_payload, content_type, expunged_at is not null as is_expunged from rowcast.message where event_id = :event_id;

-- name: find_message
-- One message of one tenant.
select e.id, e.event_type, e.payload::text as payload, e.created_at, m.uid, m.channels, m.tags, m.deliver_at,
       m.expunged_at is not null as is_expunged
from rowcast.event e left join rowcast.message m on m.event_id = e.id
where e.id = :name and e.tenant_id = :tenant_id;

-- name: find_message_by_uid
-- The same by its caller's own id.
select e.id, e.event_type, e.payload::text as payload, e.created_at, m.uid, m.channels, m.tags, m.deliver_at,
       m.expunged_at is not null as is_expunged
from rowcast.message m join rowcast.event e on e.id = m.event_id
where m.tenant_id = :tenant_id and m.uid = :name and e.tenant_id = :tenant_id;

-- name: list_messages
-- One page of a tenant's messages that fit, in the order of their writing or the other way round. Where the one to go on from is
-- gone, so are those beyond it.
(select e.id, e.event_type, e.payload::text as payload, e.created_at, m.uid, m.channels, m.tags, m.deliver_at,
        m.expunged_at is not null as is_expunged
 from rowcast.event e left join rowcast.message m on m.event_id = e.id
 where not :is_falling::boolean and e.tenant_id = :tenant_id
   and (:after::uuid is null
        or e.seq > (select a.seq from rowcast.event a where a.id = :after::uuid and a.tenant_id = :tenant_id))
   and (:event_types::text[] is null or e.event_type = any(:event_types::text[]))
   and (:channel::text is null or :channel::text = any(m.channels)) and (:tag::text is null or :tag::text = any(m.tags))
   and (:since::timestamptz is null or e.created_at > :since) and (:until::timestamptz is null or e.created_at < :until)
 order by e.seq limit :most)
union all
(select e.id, e.event_type, e.payload::text as payload, e.created_at, m.uid, m.channels, m.tags, m.deliver_at,
        m.expunged_at is not null as is_expunged
 from rowcast.event e left join rowcast.message m on m.event_id = e.id
 where :is_falling::boolean and e.tenant_id = :tenant_id
   and (:after::uuid is null
        or e.seq < (select a.seq from rowcast.event a where a.id = :after::uuid and a.tenant_id = :tenant_id))
   and (:event_types::text[] is null or e.event_type = any(:event_types::text[]))
   and (:channel::text is null or :channel::text = any(m.channels)) and (:tag::text is null or :tag::text = any(m.tags))
   and (:since::timestamptz is null or e.created_at > :since) and (:until::timestamptz is null or e.created_at < :until)
 order by e.seq desc limit :most);

-- name: polled_events
-- The next events of a tenant after one, and what decides whether an endpoint wants them; an example is for its own endpoint only.
select e.id, e.seq, e.event_type, m.channels, m.expunged_at is not null as is_expunged,
       coalesce(e.topic like 'rowcast:example:%' and e.topic <> 'rowcast:example:' || :endpoint_id, false) as is_for_another
from (
    select id, seq, event_type, topic from rowcast.event
    where tenant_id = :tenant_id and seq > :position and seq <= :up_to order by seq limit :most
) e left join rowcast.message m on m.event_id = e.id
order by e.seq;

-- name: polled_messages
-- Some messages, in the order in which they are asked for.
select e.id, e.event_type, e.payload, e.created_at, m.uid, m.channels, m.tags, m.deliver_at, m.expunged_at is not null as is_expunged
from unnest(:ids::uuid[]) with ordinality as asked(id, place)
cross join lateral (select id, event_type, payload, created_at from rowcast.event where id = asked.id limit 1) e
left join rowcast.message m on m.event_id = e.id
order by asked.place;

-- name: hold_consumer
-- How far a consumer has come, held until the transaction ends.
select position, given from rowcast.poll_consumer where endpoint_id = :endpoint_id and name = :name for update;

-- name: keep_consumer
-- Keeps how far a consumer has come; a new one only where there are not too many.
insert into rowcast.poll_consumer (tenant_id, endpoint_id, name, position, given)
select :tenant_id::text, :endpoint_id::text, :name::text, :position::bigint, :given::bigint
where (select count(*) from rowcast.poll_consumer where endpoint_id = :endpoint_id) < :most
   or exists (select from rowcast.poll_consumer where endpoint_id = :endpoint_id and name = :name)
on conflict (endpoint_id, name) do update
set position = excluded.position, given = excluded.given, changed_at = clock_timestamp()
returning name;
