-- name: claim_due
-- Due deliveries of one sink by priority and due time, and those whose lease ran out, leased to this worker.
with expired as materialized (
    select id, tenant_id, fence, attempt, leased_by, claimed_at,
           attempt >= coalesce(nullif(max_attempts, 0), :max_attempts) as is_last
    from rowcast.delivery
    where sink = :sink and status = 'running' and leased_until < now()
    order by leased_until limit :limit for update skip locked
), lost as (
    insert into rowcast.attempt
        (delivery_id, fence, tenant_id, attempt, outcome, reason, started_at, latency_ms, worker)
    select id, fence, tenant_id, attempt, 'lost', 'lease_expired', coalesce(claimed_at, now()),
           extract(epoch from now() - coalesce(claimed_at, now())) * 1000, coalesce(leased_by, '')
    from expired on conflict do nothing
), given_up as (
    update rowcast.delivery set status = 'dead', settled_at = clock_timestamp(), leased_until = null, leased_by = null,
           error = 'lost: no worker came back from the last attempt', fingerprint = :lost_fingerprint
    where id = any(array(select id from expired where is_last))
), due as materialized (
    -- One head for each priority: the scan stops at now() and never walks over rows that wait for later.
    select head.id, head.due_at,
           row_number() over (partition by head.tenant_id order by head.priority, head.due_at, head.id) as turn
    from (
        select first.id, first.tenant_id, first.priority, first.due_at
        from unnest(array[0, 1, 2, 3]::smallint[]) as level(priority)
        cross join lateral (
            select d.id, d.tenant_id, d.priority, d.due_at from rowcast.delivery d
            where d.sink = :sink and d.status = 'waiting' and d.priority = level.priority and d.due_at <= now()
              and d.due_at >= coalesce(:low_at::timestamptz, '-infinity')
            order by d.due_at, d.id
            limit greatest(0, :limit - (select count(*) from expired)) for update skip locked
        ) first
        order by first.priority, first.due_at, first.id
        limit greatest(0, :limit - (select count(*) from expired))
    ) head
), claimed as (
    update rowcast.delivery d
    set status = 'running', attempt = d.attempt + 1, fence = d.fence + 1, leased_by = :worker,
        claimed_at = clock_timestamp(), leased_until = clock_timestamp() + make_interval(secs => :lease_s)
    where d.id = any(array(select id from due where turn <= :tenant_room
                           union all select id from expired where not is_last))
    returning d.id
)
select coalesce((select array_agg(id) from claimed), '{}') as ids,
       (select count(*) from due) + (select count(*) from expired) as seen,
       (select min(due_at) from due) as oldest_at, now() as looked_at,
       (select count(*) from expired) as lost;

-- name: claim_turns
-- The same from the heads of single tenants, those after the last one served first: nobody waits behind a backlog.
with recursive visited as (
    (select d.tenant_id, 1 as step from rowcast.delivery d
     where d.sink = :sink and d.status = 'waiting' and d.tenant_id > :after_tenant order by d.tenant_id limit 1)
    union all
    select (select d.tenant_id from rowcast.delivery d
            where d.sink = :sink and d.status = 'waiting' and d.tenant_id > v.tenant_id
            order by d.tenant_id limit 1), v.step + 1
    from visited v where v.tenant_id is not null and v.step <= :steps
), due as materialized (
    select head.id, v.step from visited v
    cross join lateral (
        select d.id from rowcast.delivery d
        where d.sink = :sink and d.tenant_id = v.tenant_id and d.status = 'waiting' and d.due_at <= now()
        order by d.priority, d.due_at, d.id limit :share for update skip locked
    ) head
    where v.step <= :steps and v.tenant_id <> all(:full_tenants::text[])
    limit :limit
), claimed as (
    update rowcast.delivery d
    set status = 'running', attempt = d.attempt + 1, fence = d.fence + 1, leased_by = :worker,
        claimed_at = clock_timestamp(), leased_until = clock_timestamp() + make_interval(secs => :lease_s)
    where d.id = any(array(select id from due))
    returning d.id
), served as (
    -- Where the next turn begins: after the last tenant served when the room ran out, else after the last one visited.
    select case when (select count(*) from due) >= :limit then (select max(step) from due)
                when (select count(*) from visited where tenant_id is not null) > :steps then :steps end as step
)
select coalesce((select array_agg(id) from claimed), '{}') as ids,
       coalesce((select v.tenant_id from visited v join served s on s.step = v.step), '') as next_tenant;

-- name: read_claimed
-- Claimed deliveries with their events. Apart from the claim, so that a worker frozen while reading holds no lock. `is_unseen`: the log
-- told the relay of a commit that other sessions do not see yet, because whoever commits waits for a standby or for the processor.
select d.id, d.tenant_id, d.sink, d.target, d.attempt, d.fence, d.due_at, d.event_id, d.payload::text as payload,
       d.rule, d.transform, d.key, d.priority, d.max_attempts,
       e.id as known_event_id, e.aggregate_type, e.aggregate_id, e.event_type, e.version, e.occurred_at,
       e.payload::text as event_payload, e.traceparent, e.topic, e.seq,
       d.event_id is not null and e.id is null and d.created_at > clock_timestamp() - interval '1 minute' as is_unseen
from rowcast.delivery d left join rowcast.event e on e.id = d.event_id
where d.id = any(:ids::bigint[]) and d.status = 'running' and d.leased_by = :worker
order by d.priority, d.due_at, d.id;

-- name: settle
-- The next state of each delivery whose claim is still the same, and the attempt beside it; the others are stale.
with settled as (
    update rowcast.delivery d
    set status = given.status, held = '', leased_until = null, leased_by = null,
        due_at = case given.status when 'waiting' then clock_timestamp() + make_interval(secs => given.wait_s)
                                   else d.due_at end,
        error = given.error, fingerprint = given.fingerprint, result = given.result::json,
        settled_at = case given.status when 'waiting' then null else clock_timestamp() end
    from unnest(:ids::bigint[], :fences::bigint[], :statuses::text[], :waits_s::double precision[], :errors::text[],
                :fingerprints::text[], :results::text[], :outcomes::text[], :reasons::text[], :codes::text[],
                :excerpts::text[], :details::text[], :latencies_ms::double precision[])
        as given(id, fence, status, wait_s, error, fingerprint, result, outcome, reason, code, excerpt, detail,
                 latency_ms)
    where d.id = given.id and d.fence = given.fence and d.status = 'running'
    returning d.id, d.fence, d.tenant_id, d.attempt,
              given.outcome, given.reason, given.code, given.excerpt, given.detail, given.latency_ms
), recorded as (
    insert into rowcast.attempt
        (delivery_id, fence, tenant_id, attempt, outcome, reason, code, excerpt, detail, started_at, latency_ms, worker)
    select id, fence, tenant_id, attempt, outcome, reason, code, excerpt, detail::json,
           clock_timestamp() - make_interval(secs => latency_ms / 1000), latency_ms, :worker
    from settled
)
select count(*) as matched from settled;

-- name: put_back
-- Gives leases back at once; the attempt is not counted. `held` says why it waits, where it does.
with given_back as (
    update rowcast.delivery d
    set status = 'waiting', attempt = d.attempt - 1, leased_until = null, leased_by = null, held = given.held,
        due_at = clock_timestamp() + make_interval(secs => given.wait_s)
    from unnest(:ids::bigint[], :fences::bigint[], :waits_s::double precision[], :held::text[])
        as given(id, fence, wait_s, held)
    where d.id = given.id and d.fence = given.fence and d.status = 'running'
    returning d.id
)
select count(*) as matched from given_back;

-- name: extend
-- Prolongs the leases that this worker still holds and names them.
update rowcast.delivery d set leased_until = clock_timestamp() + make_interval(secs => :lease_s)
from unnest(:ids::bigint[], :fences::bigint[]) as given(id, fence)
where d.id = given.id and d.fence = given.fence and d.status = 'running'
returning d.id;

-- name: admit
-- Those of the claimed deliveries that the limits let run now; the others have been put back.
select rowcast.admit(:sink, :ids, :fences, :spacing_us, :bursts, :concurrency, :hold_s) as id;

-- name: keep_order
-- Those of the claimed deliveries whose key owes an earlier one; they have been put back.
select rowcast.keep_order(:sink, :ids, :fences, :least_s, :most_s) as id;

-- name: call_forward
-- Makes held deliveries of some keys due at once; gives how many.
select rowcast.call_forward(:sink, :tenant_ids, :keys, :places, :reason) as called;

-- name: next_due
-- Seconds until the next delivery of a sink is due or the next lease runs out; null when nothing is owed.
select extract(epoch from min(at) - clock_timestamp())::double precision as wait_s from (
    select (select d.due_at from rowcast.delivery d
            where d.sink = :sink and d.status = 'waiting' and d.priority = level.priority
            order by d.due_at, d.id limit 1) as at
    from unnest(array[0, 1, 2, 3]::smallint[]) as level(priority)
    union all
    select (select leased_until from rowcast.delivery where sink = :sink and status = 'running'
            order by leased_until limit 1)
) moments;

-- name: cancel
-- Takes deliveries off the queue. One that runs is lost to its worker, whose result then changes nothing.
with cancelled as (
    update rowcast.delivery
    set status = 'cancelled', held = '', leased_until = null, settled_at = clock_timestamp()
    where id = any(:ids::bigint[]) and (:tenant_id::text is null or tenant_id = :tenant_id)
      and status in ('waiting', 'running')
    returning id, fence, tenant_id, attempt, leased_by, coalesce(claimed_at, now()) as claimed_at
), recorded as (
    -- Only a running delivery is leased by somebody.
    insert into rowcast.attempt
        (delivery_id, fence, tenant_id, attempt, outcome, reason, started_at, latency_ms, worker)
    select id, fence, tenant_id, attempt, 'lost', 'cancelled', claimed_at,
           extract(epoch from now() - claimed_at) * 1000, leased_by
    from cancelled where leased_by is not null on conflict do nothing
)
select id from cancelled order by id;

-- name: deliveries_page
-- One page of deliveries, newest first, below the last id of the page before.
select id, tenant_id, event_id, sink, target, rule, key, priority, status, due_at, attempt, max_attempts, held, error,
       fingerprint, result::text as result, replay_of, replayed_at, created_at, settled_at, leased_by, leased_until
from rowcast.delivery
where (:tenant_id::text is null or tenant_id = :tenant_id) and (:before_id::bigint is null or id < :before_id)
  and (:event_id::uuid is null or event_id = :event_id) and (:status::text is null or status = :status)
  and (:sink::text is null or sink = :sink) and (:target::text is null or target = :target)
order by id desc limit :limit;

-- name: delivery_by_id
-- One delivery.
select id, tenant_id, event_id, sink, target, rule, key, priority, status, due_at, attempt, max_attempts, held, error,
       fingerprint, result::text as result, replay_of, replayed_at, created_at, settled_at, leased_by, leased_until
from rowcast.delivery
where id = :id and (:tenant_id::text is null or tenant_id = :tenant_id);

-- name: attempts_of
-- The attempts of some deliveries in the order they were made.
select delivery_id, fence, attempt, outcome, reason, code, excerpt, started_at, latency_ms, worker
from rowcast.attempt
where delivery_id = any(:delivery_ids::bigint[]) and (:tenant_id::text is null or tenant_id = :tenant_id)
order by delivery_id, fence;

-- name: count_by_status
-- How many deliveries there are of each sink and state.
select sink, status, count(*) as deliveries from rowcast.delivery
where :tenant_id::text is null or tenant_id = :tenant_id group by sink, status order by sink, status;

-- name: dead_groups
-- Dead letters that were not replayed, gathered by fingerprint, the latest first.
select d.sink, d.fingerprint, count(*) as deliveries, count(distinct d.tenant_id) as tenants,
       min(d.settled_at) as first_at, max(d.settled_at) as last_at, max(d.id) as sample_id,
       (array_agg(d.error order by d.id desc))[1] as sample_error
from rowcast.delivery d
where d.status = 'dead' and d.replayed_at is null and (:tenant_id::text is null or d.tenant_id = :tenant_id)
group by d.sink, d.fingerprint order by max(d.settled_at) desc, d.fingerprint limit :limit;

-- name: replay_dead
-- New deliveries for some dead letters up to an id, which are marked so that none is replayed twice.
with chosen as materialized (
    select id from rowcast.delivery
    where status = 'dead' and replayed_at is null and id <= :up_to_id
      and (:tenant_id::text is null or tenant_id = :tenant_id) and (:ids::bigint[] is null or id = any(:ids))
      and (:fingerprint::text is null or fingerprint = :fingerprint) and (:sink::text is null or sink = :sink)
      and (:target::text is null or target = :target) and (:event_id::uuid is null or event_id = :event_id)
    order by id limit :limit for update skip locked
), marked as (
    update rowcast.delivery d set replayed_at = clock_timestamp() where d.id = any(array(select id from chosen))
    returning d.id, d.tenant_id, d.event_id, d.sink, d.target, d.rule, d.transform, d.key, d.priority,
              d.max_attempts, d.payload
), added as (
    insert into rowcast.delivery
        (tenant_id, event_id, sink, target, rule, transform, key, priority, max_attempts, payload, replay_of)
    select tenant_id, event_id, sink, target, rule, transform, key, priority, max_attempts, payload, id
    from marked order by id
    returning id
)
select coalesce(array_agg(id order by id), '{}') as ids from added;

-- name: latest_delivery_id
-- The bound of a replay: what dies after it began is not replayed by it.
select coalesce(max(id), 0) as id from rowcast.delivery;

-- name: replay_legs
-- New deliveries for the settled legs of an event; a leg on its way is left alone, so a second click adds nothing.
with legs as materialized (
    select distinct on (sink, target, rule) id, status from rowcast.delivery
    where event_id = :event_id and (:tenant_id::text is null or tenant_id = :tenant_id)
      and (:sink::text is null or sink = :sink) and (:target::text is null or target = :target)
      and (:rule::text is null or rule = :rule)
    order by sink, target, rule, id desc
), chosen as materialized (
    select id from rowcast.delivery
    where id = any(array(select id from legs where status in ('delivered', 'dead', 'cancelled')))
      and status in ('delivered', 'dead', 'cancelled') and replayed_at is null
    order by id for update skip locked
), marked as (
    update rowcast.delivery d set replayed_at = clock_timestamp() where d.id = any(array(select id from chosen))
    returning d.id, d.tenant_id, d.event_id, d.sink, d.target, d.rule, d.transform, d.key, d.priority,
              d.max_attempts, d.payload
), added as (
    insert into rowcast.delivery
        (tenant_id, event_id, sink, target, rule, transform, key, priority, max_attempts, payload, replay_of)
    select tenant_id, event_id, sink, target, rule, transform, key, priority, max_attempts, payload, id
    from marked order by id
    returning id
)
select coalesce(array_agg(id order by id), '{}') as ids from added;
