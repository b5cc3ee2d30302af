-- name: message_stats
-- How many messages of an endpoint are in which state. One that was replayed is counted where its last delivery is.
select count(*) filter (where status = 'delivered') as success, count(*) filter (where status = 'waiting') as pending,
       count(*) filter (where status = 'running') as sending, count(*) filter (where status = 'dead') as fail,
       count(*) filter (where status = 'cancelled') as canceled
from rowcast.delivery
where tenant_id = :tenant_id and sink = 'webhooks' and target = :target and replayed_at is null
  and (:since::timestamptz is null or created_at >= :since) and (:until::timestamptz is null or created_at < :until);

-- name: attempt_stats
-- How many attempts of an endpoint came to what, in whole hours. A delivery that was settled before has none in that time.
select count(*) filter (where a.outcome = 'delivered') as success,
       count(*) filter (where a.outcome <> 'delivered' and a.reason not in ('endpoint_disabled', 'expunged', 'cancelled')) as fail,
       count(*) filter (where a.reason in ('endpoint_disabled', 'expunged', 'cancelled')) as canceled
from rowcast.delivery d join rowcast.attempt a on a.delivery_id = d.id
where d.tenant_id = :tenant_id and d.sink = 'webhooks' and d.target = :target
  and (:since::timestamptz is null or d.settled_at is null or d.settled_at >= date_trunc('hour', :since::timestamptz))
  and (:since::timestamptz is null or a.started_at >= date_trunc('hour', :since::timestamptz))
  and (:until::timestamptz is null
       or a.started_at < date_trunc('hour', :until::timestamptz + interval '59 minutes 59.999999 seconds'));

-- name: attempts_of_endpoint
-- One page of the attempts at an endpoint that fit, in the order of their deliveries or the other way round. What is asked is asked of
-- plain columns, so that the planner knows how many rows it means.
(select delivery_id, fence, event_id, target, attempt, code, reason, excerpt, detail, started_at, latency_ms, url, is_manual,
       attempt_status, id, event_type, payload, created_at, uid, channels, tags, deliver_at, is_expunged
 from rowcast.message_attempt
 where not :is_falling::boolean and tenant_id = :tenant_id and target = :target
   and delivery_id >= :delivery_id::bigint and (delivery_id, fence) > (:delivery_id::bigint, :fence::bigint)
   and (:statuses::integer[] is null or 0 = any(:statuses) and outcome = 'delivered'
        or 2 = any(:statuses) and outcome <> 'delivered' and reason not in ('endpoint_disabled', 'expunged', 'cancelled')
        or 4 = any(:statuses) and outcome <> 'delivered' and reason in ('endpoint_disabled', 'expunged', 'cancelled'))
   and (:code_class::integer is null or :code_class > 0 and code >= :code_class::text and code < (:code_class + 100)::text
        or :code_class = 0 and code !~ '^[1-5][0-9]{2}$')
   and (:event_types::text[] is null or event_type = any(:event_types))
   and (:channel::text is null or :channel = any(channels)) and (:tag::text is null or :tag = any(tags))
   and (:since::timestamptz is null or started_at > :since) and (:until::timestamptz is null or started_at < :until)
 order by delivery_id, fence limit :most)
union all
(select delivery_id, fence, event_id, target, attempt, code, reason, excerpt, detail, started_at, latency_ms, url, is_manual,
       attempt_status, id, event_type, payload, created_at, uid, channels, tags, deliver_at, is_expunged
 from rowcast.message_attempt
 where :is_falling::boolean and tenant_id = :tenant_id and target = :target
   and delivery_id <= :delivery_id::bigint and (delivery_id, fence) < (:delivery_id::bigint, :fence::bigint)
   and (:statuses::integer[] is null or 0 = any(:statuses) and outcome = 'delivered'
        or 2 = any(:statuses) and outcome <> 'delivered' and reason not in ('endpoint_disabled', 'expunged', 'cancelled')
        or 4 = any(:statuses) and outcome <> 'delivered' and reason in ('endpoint_disabled', 'expunged', 'cancelled'))
   and (:code_class::integer is null or :code_class > 0 and code >= :code_class::text and code < (:code_class + 100)::text
        or :code_class = 0 and code !~ '^[1-5][0-9]{2}$')
   and (:event_types::text[] is null or event_type = any(:event_types))
   and (:channel::text is null or :channel = any(channels)) and (:tag::text is null or :tag = any(tags))
   and (:since::timestamptz is null or started_at > :since) and (:until::timestamptz is null or started_at < :until)
 order by delivery_id desc, fence desc limit :most);

-- name: attempts_of_message
-- The same of one message, which has few.
select delivery_id, fence, event_id, target, attempt, code, reason, excerpt, detail, started_at, latency_ms, url, is_manual,
       attempt_status, id, event_type, payload, created_at, uid, channels, tags, deliver_at, is_expunged
from rowcast.message_attempt
where event_id = :event_id and tenant_id = :tenant_id and (:target::text is null or target = :target)
   and case when :is_falling::boolean then (delivery_id, fence) < (:delivery_id::bigint, :fence::bigint)
            else (delivery_id, fence) > (:delivery_id::bigint, :fence::bigint) end
   and (:statuses::integer[] is null or 0 = any(:statuses) and outcome = 'delivered'
        or 2 = any(:statuses) and outcome <> 'delivered' and reason not in ('endpoint_disabled', 'expunged', 'cancelled')
        or 4 = any(:statuses) and outcome <> 'delivered' and reason in ('endpoint_disabled', 'expunged', 'cancelled'))
   and (:code_class::integer is null or :code_class > 0 and code >= :code_class::text and code < (:code_class + 100)::text
        or :code_class = 0 and code !~ '^[1-5][0-9]{2}$')
   and (:event_types::text[] is null or event_type = any(:event_types))
   and (:channel::text is null or :channel = any(channels)) and (:tag::text is null or :tag = any(tags))
   and (:since::timestamptz is null or started_at > :since) and (:until::timestamptz is null or started_at < :until)
order by case when :is_falling::boolean then -delivery_id else delivery_id end, case when :is_falling::boolean then -fence else fence end
limit :most;

-- name: attempt_of_message
-- One attempt at one message.
select delivery_id, fence, event_id, target, attempt, code, reason, excerpt, detail, started_at, latency_ms, url, is_manual,
       attempt_status, id, event_type, payload, created_at, uid, channels, tags, deliver_at, is_expunged
from rowcast.message_attempt
where delivery_id = :delivery_id and fence = :fence and event_id = :event_id and tenant_id = :tenant_id;

-- name: expunge_attempt
-- Removes what was answered to one attempt. Of its delivery, whose error may quote it, the word for what happened stays.
with cleared as (
    update rowcast.attempt set excerpt = '', detail = (detail::jsonb - 'body' - 'responseHeaders')::json
    where delivery_id = :delivery_id and fence = :fence
)
update rowcast.delivery set error = split_part(error, ':', 1), result = null where id = :delivery_id;

-- name: messages_of_endpoint
-- One page of the messages that an endpoint is or was owed and that fit, in the order of their deliveries or the other way round.
(select e.id, e.event_type, e.payload, e.created_at, m.uid, m.channels, m.tags, m.deliver_at,
        m.expunged_at is not null as is_expunged, l.leg_status, l.next_at
 from rowcast.message_leg l
 join rowcast.event e on e.id = l.event_id
 left join rowcast.message m on m.event_id = l.event_id
 where not :is_falling::boolean and l.tenant_id = :tenant_id and l.target = :target
   and (:after::uuid is null or l.delivery_id > (
       select a.delivery_id from rowcast.message_leg a
       where a.tenant_id = :tenant_id and a.target = :target and a.event_id = :after))
   and (:statuses::text[] is null or l.status = any(:statuses))
   and (:event_types::text[] is null or e.event_type = any(:event_types))
   and (:channel::text is null or :channel = any(m.channels)) and (:tag::text is null or :tag = any(m.tags))
   and (:since::timestamptz is null or e.created_at > :since) and (:until::timestamptz is null or e.created_at < :until)
 order by l.delivery_id limit :most)
union all
(select e.id, e.event_type, e.payload, e.created_at, m.uid, m.channels, m.tags, m.deliver_at,
        m.expunged_at is not null as is_expunged, l.leg_status, l.next_at
 from rowcast.message_leg l
 join rowcast.event e on e.id = l.event_id
 left join rowcast.message m on m.event_id = l.event_id
 where :is_falling::boolean and l.tenant_id = :tenant_id and l.target = :target
   and (:after::uuid is null or l.delivery_id < (
       select a.delivery_id from rowcast.message_leg a
       where a.tenant_id = :tenant_id and a.target = :target and a.event_id = :after))
   and (:statuses::text[] is null or l.status = any(:statuses))
   and (:event_types::text[] is null or e.event_type = any(:event_types))
   and (:channel::text is null or :channel = any(m.channels)) and (:tag::text is null or :tag = any(m.tags))
   and (:since::timestamptz is null or e.created_at > :since) and (:until::timestamptz is null or e.created_at < :until)
 order by l.delivery_id desc limit :most);

-- name: legs_of_message
-- Where one message stands with each endpoint that is or was owed it.
select target, leg_status, next_at from rowcast.message_leg where event_id = :event_id and tenant_id = :tenant_id;

-- name: resend_message
-- Owes a message to an endpoint again: what waits for its next attempt is due now, what is being tried or waits for its turn is left
-- alone, what never was owed is owed now.
with leg as materialized (
    select id, status, attempt, held, replayed_at, rule, transform, priority, max_attempts from rowcast.delivery
    where event_id = :event_id and tenant_id = :tenant_id and sink = 'webhooks' and target = :target
    order by id desc limit 1 for update
), marked as (
    update rowcast.delivery d set replayed_at = clock_timestamp() from leg
    where d.id = leg.id and leg.status in ('delivered', 'dead', 'cancelled') and leg.replayed_at is null
    returning d.id, leg.rule, leg.transform, leg.priority, leg.max_attempts
), hastened as (
    update rowcast.delivery d set due_at = clock_timestamp() from leg
    where d.id = leg.id and leg.status = 'waiting' and leg.attempt > 0
      and leg.held not in ('rate_limit', 'concurrency', 'order') and d.due_at > clock_timestamp()
    returning d.id
), added as (
    insert into rowcast.delivery (tenant_id, event_id, sink, target, rule, transform, key, priority, max_attempts, replay_of)
    select :tenant_id, :event_id, 'webhooks', :target, rule, transform, :key, priority, max_attempts, id from marked
    union all
    select :tenant_id, :event_id, 'webhooks', :target, 'resend', '', :key, 2, 0, null where not exists (select from leg)
    returning id
)
select id from added union all select id from hastened;
