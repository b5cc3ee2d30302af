-- name: task_bounds
-- Until where a task goes that begins now: the last delivery, the last number of an event that was drawn, and the moment.
select coalesce((select max(id) from rowcast.delivery), 0) as last_delivery_id, clock_timestamp() as asked_at,
       (select case when is_called then last_value else last_value - 1 end from rowcast.event_seq) as last_seq;

-- name: has_all_tasks
-- Whether so many tasks of a tenant run already.
select count(*) >= :most::bigint as is_full
from (select from rowcast.background_task where tenant_id = :tenant_id and status = 'running' limit :most::bigint) as counted;

-- name: add_task
-- A new task, which is begun by whoever looks next.
insert into rowcast.background_task (id, tenant_id, endpoint_id, task, arguments)
values (:id, :tenant_id, :endpoint_id, :task, :arguments)
returning id, tenant_id, endpoint_id, task, status, arguments, position, replayed, failures, reason, created_at, changed_at;

-- name: get_task
-- One task.
select id, tenant_id, endpoint_id, task, status, arguments, position, replayed, failures, reason, created_at, changed_at
from rowcast.background_task where id = :id and (:tenant_id::text is null or tenant_id = :tenant_id);

-- name: list_tasks
-- One page of tasks, in the order of their making or the other way round.
(select id, tenant_id, endpoint_id, task, status, arguments, position, replayed, failures, reason, created_at, changed_at
 from rowcast.background_task
 where not :is_falling::boolean and id > :after::text and (:tenant_id::text is null or tenant_id = :tenant_id)
   and (:status::text is null or status = :status) and (:task::text is null or task = :task)
 order by id limit :most)
union all
(select id, tenant_id, endpoint_id, task, status, arguments, position, replayed, failures, reason, created_at, changed_at
 from rowcast.background_task
 where :is_falling::boolean and (:after::text = '' or id < :after::text) and (:tenant_id::text is null or tenant_id = :tenant_id)
   and (:status::text is null or status = :status) and (:task::text is null or task = :task)
 order by id desc limit :most);

-- name: cancel_task
-- Lets a task do nothing more; a step that runs just now is waited for.
update rowcast.background_task set status = 'failed', reason = :reason, changed_at = clock_timestamp()
where id = :id and (:tenant_id::text is null or tenant_id = :tenant_id) and status = 'running';

-- name: drop_tasks
-- Removes some tasks that ended long ago.
delete from rowcast.background_task where id in (
    select id from rowcast.background_task
    where status <> 'running' and changed_at < clock_timestamp() - make_interval(days => :days)
    order by id limit :most for update skip locked
)
returning id;

-- name: bound_step
-- A process that stands still in the middle of a step loses its session, and the step with it.
select set_config('idle_in_transaction_session_timeout', :bound_ms::text, true);

-- name: take_task
-- The task that nobody has looked at for the longest time, held for one step.
select id, tenant_id, endpoint_id, task, status, arguments, position, replayed, failures, reason, created_at, changed_at
from rowcast.background_task where status = 'running'
order by changed_at limit 1 for update skip locked;

-- name: take_turn
-- One step after another that may find the same message missing.
select pg_advisory_xact_lock(hashtextextended('rowcast.replay_missing ' || :endpoint_id, 0));

-- name: task_endpoint
-- What a task has to know of its endpoint, if that is still there.
select is_ordered, event_types, channels from rowcast.endpoint where tenant_id = :tenant_id and id = :endpoint_id;

-- name: step_done
-- How far a task has come.
update rowcast.background_task
set position = :position, replayed = replayed + :replayed, failures = 0, changed_at = clock_timestamp()
where id = :id;

-- name: step_failed
-- A step came to nothing; whoever fails again and again is given up, and does not hold up the others until then.
update rowcast.background_task
set failures = failures + :count::integer, changed_at = clock_timestamp(),
    status = case when failures + :count >= :most then 'failed' else status end,
    reason = case when failures + :count >= :most then :reason else reason end
where id = :id and status = 'running';

-- name: end_task
-- A task has come to its end.
update rowcast.background_task set status = :status, reason = :reason, changed_at = clock_timestamp()
where id = :id and status = 'running'
returning id, tenant_id, endpoint_id, task, status, arguments, position, replayed, failures, reason, created_at, changed_at;

-- name: first_delivery_since
-- Below which id all deliveries of a tenant were made before a moment. Ids and times rise together; a minute is for clocks that were set.
with recursive narrowed (low, high) as (
    select 0::bigint, :up_to::bigint + 1
    union all
    select case when probe.is_before then probe.id + 1 else n.low end, case when probe.is_before then n.high else m.middle end
    from narrowed n
    cross join lateral (select (n.low + n.high) / 2 as middle) m
    left join lateral (
        select d.id, d.created_at < :since::timestamptz - interval '1 minute' as is_before
        from rowcast.delivery d where d.tenant_id = :tenant_id and d.id >= m.middle and d.id < n.high order by d.id limit 1
    ) probe on true
    where n.low < n.high
)
select low as first from narrowed where low >= high limit 1;

-- name: first_event_since
-- The same of events, by their numbers; and the first of them that was made since then.
with recursive narrowed (low, high) as (
    select 0::bigint, :up_to::bigint + 1
    union all
    select case when probe.is_before then probe.seq + 1 else n.low end, case when probe.is_before then n.high else m.middle end
    from narrowed n
    cross join lateral (select (n.low + n.high) / 2 as middle) m
    left join lateral (
        select e.seq, e.created_at < :since::timestamptz - interval '1 minute' as is_before
        from rowcast.event e where e.tenant_id = :tenant_id and e.seq >= m.middle and e.seq < n.high order by e.seq limit 1
    ) probe on true
    where n.low < n.high
), bound as (
    select low from narrowed where low >= high limit 1
)
select low as first, (
    select e.seq from rowcast.event e
    where e.tenant_id = :tenant_id and e.seq >= bound.low and e.seq <= :up_to and e.created_at >= :since order by e.seq limit 1
) as exact
from bound;

-- name: replay_chosen
-- One step of a recovery or a bulk replay: looks at the next deliveries of a tenant, and adds a new one for each that is chosen.
with visited as materialized (
    select id, event_id, sink, target, status, fence, settled_at, replayed_at from rowcast.delivery
    where tenant_id = :tenant_id and id > :position and id <= :up_to order by id limit :most
), fitting as materialized (
    select v.id from visited v
    cross join lateral (select event_type, created_at from rowcast.event where id = v.event_id limit 1) e
    left join rowcast.message m on m.event_id = v.event_id
    where v.sink = 'webhooks' and v.target = :endpoint_id and v.status = any(:statuses::text[]) and v.replayed_at is null
      and v.settled_at <= :asked_at and e.created_at >= :since and (:until::timestamptz is null or e.created_at < :until)
      and (:event_types::text[] is null or e.event_type = any(:event_types)) and m.expunged_at is null
      and (:channel::text is null or :channel = any(m.channels)) and (:tag::text is null or :tag = any(m.tags))
      and (:code_class::integer is null or :code_class = coalesce((
          select case when a.code ~ '^[1-5][0-9]{2}$' then left(a.code, 1)::integer * 100 end
          from rowcast.attempt a where a.delivery_id = v.id order by a.fence desc limit 1), 0))
), chosen as materialized (
    -- Waits for whoever replays the same one just now, and then leaves it alone.
    select id from rowcast.delivery
    where id = any(array(select id from fitting)) and status = any(:statuses::text[]) and replayed_at is null
    order by id for update
), marked as (
    update rowcast.delivery d set replayed_at = clock_timestamp() where d.id = any(array(select id from chosen))
    returning d.id, d.tenant_id, d.event_id, d.sink, d.target, d.rule, d.transform, d.max_attempts
), added as (
    insert into rowcast.delivery (tenant_id, event_id, sink, target, rule, transform, key, priority, max_attempts, replay_of)
    select tenant_id, event_id, sink, target, rule, transform, :key, :priority, max_attempts, id
    from marked order by id
    returning id
)
select coalesce((select max(id) from visited), :up_to) as position, (select count(*) from visited) as visited,
       (select count(*) from added) as replayed;

-- name: owe_missing
-- One step of replaying what is missing: looks at the next events of a tenant that were routed, and owes those that an endpoint wants and
-- was never owed. What was made more than `known_days` ago may have been delivered and forgotten.
with visited as materialized (
    select id, seq, event_type, created_at from rowcast.event
    -- An example is for one endpoint and nobody else.
    where tenant_id = :tenant_id and seq > :position and seq <= :up_to and coalesce(topic, '') not like 'rowcast:example:%'
    order by seq limit :most
), missing as materialized (
    select v.id, v.seq, m.deliver_at from visited v
    left join rowcast.message m on m.event_id = v.id
    where v.created_at >= :since and (:until::timestamptz is null or v.created_at < :until) and m.expunged_at is null
      and v.created_at >= clock_timestamp() - make_interval(days => :known_days)
      and (:event_types::text[] is null or exists (
          select from unnest(:event_types) as pattern
          where pattern = v.event_type or (right(pattern, 1) = '*' and starts_with(v.event_type, left(pattern, -1)))))
      and (:channels::text[] is null or m.channels && :channels)
      and (select status from rowcast.event_state s where s.event_id = v.id) = 'published'
      and not exists (select from rowcast.delivery d where d.event_id = v.id and d.sink = 'webhooks' and d.target = :endpoint_id)
), added as (
    insert into rowcast.delivery (tenant_id, event_id, sink, target, rule, key, priority, due_at)
    select :tenant_id, id, 'webhooks', :endpoint_id, 'rowcast.webhooks', :key, :priority, greatest(clock_timestamp(), deliver_at)
    from missing order by seq
    returning id
)
select coalesce((select max(seq) from visited), :up_to) as position, (select count(*) from visited) as visited,
       (select count(*) from added) as replayed;
