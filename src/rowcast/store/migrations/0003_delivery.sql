-- The delivery ledger: one row for each thing owed to one target, one row for each attempt.

create table rowcast.delivery (
    id bigint generated always as identity primary key,
    tenant_id text not null check (tenant_id <> ''),
    event_id uuid,
    sink text not null,
    target text not null,
    rule text not null default '',
    transform text not null default '',
    key text not null default '',
    priority smallint not null default 2,
    status text not null default 'waiting' check (status in ('waiting', 'running', 'delivered', 'dead', 'cancelled')),
    due_at timestamptz not null default clock_timestamp(),
    attempt integer not null default 0,
    max_attempts integer not null default 0,
    fence bigint not null default 0,
    leased_until timestamptz,
    leased_by text,
    claimed_at timestamptz,
    held text not null default '' check (held in ('', 'rate_limit', 'concurrency', 'breaker', 'event', 'order', 'host', 'store')),
    error text,
    fingerprint text,
    payload json,
    result json,
    replay_of bigint,
    replayed_at timestamptz,
    created_at timestamptz not null default clock_timestamp(),
    settled_at timestamptz
);

-- The heads of the queue: of a whole sink, and of each tenant in it (fair turns when one tenant has a backlog).
create index delivery_due on rowcast.delivery (sink, priority, due_at, id) where status = 'waiting';
create index delivery_turn on rowcast.delivery (sink, tenant_id, priority, due_at, id) where status = 'waiting';
create index delivery_leased on rowcast.delivery (sink, leased_until) where status = 'running';
create index delivery_held on rowcast.delivery (sink, tenant_id, key, id) where status = 'waiting' and held <> '';
-- What keys that are kept in order still owe: `ordered_key` of core/delivery.py begins so.
create index delivery_ordered on rowcast.delivery (sink, tenant_id, key, id)
    where key like 'ordered:%' and status in ('waiting', 'running');
create index delivery_dead on rowcast.delivery (fingerprint, id) where status = 'dead' and replayed_at is null;
create index delivery_event on rowcast.delivery (event_id) where event_id is not null;
create index delivery_tenant on rowcast.delivery (tenant_id, id);
-- Rows change status two times in milliseconds; dead versions at the head of the queue are what a claim pays for.
alter table rowcast.delivery set (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0);

-- One attempt, identified by the claim (`fence`) that made it. `lost`: its worker never came back within the lease.
create table rowcast.attempt (
    delivery_id bigint not null,
    fence bigint not null,
    tenant_id text not null,
    attempt integer not null,
    outcome text not null check (outcome in ('delivered', 'retry', 'rejected', 'lost')),
    reason text not null default '',
    code text not null default '',
    excerpt text not null default '',
    started_at timestamptz not null,
    latency_ms double precision not null,
    worker text not null default '',
    primary key (delivery_id, fence)
);

-- One rate limit each, by the database's clock: the theoretical arrival time of the next permitted attempt (GCRA),
-- and the end of the line of deliveries that were put back because of it.
create table rowcast.rate_limit (
    tenant_id text not null,
    key text not null,
    arrives_at timestamptz not null,
    queued_until timestamptz not null default '-infinity',
    primary key (tenant_id, key)
);

alter table rowcast.delivery enable row level security;
alter table rowcast.delivery force row level security;
create policy engine on rowcast.delivery to current_user using (true) with check (true);
create policy tenant on rowcast.delivery for select using (tenant_id = rowcast.current_tenant());
alter table rowcast.attempt enable row level security;
alter table rowcast.attempt force row level security;
create policy engine on rowcast.attempt to current_user using (true) with check (true);
create policy tenant on rowcast.attempt for select using (tenant_id = rowcast.current_tenant());
alter table rowcast.rate_limit enable row level security;
alter table rowcast.rate_limit force row level security;
create policy engine on rowcast.rate_limit to current_user using (true) with check (true);
create policy tenant on rowcast.rate_limit for select using (tenant_id = rowcast.current_tenant());
grant select on rowcast.delivery, rowcast.attempt to rowcast_app;

-- Of deliveries that a worker has just claimed, gives those that may run now; the others are put back, their attempt
-- not counted. One caller at a time for each sink, and what it counts it reads after it has the lock: so the limits
-- hold across all workers.
-- Spacing and burst are those of `rate_limit.py`, in microseconds (0: no rate limit); concurrency 0: no limit.
create function rowcast.admit(
    sink text, ids bigint[], fences bigint[], spacing_us bigint[], bursts integer[], concurrency integer[],
    hold_s double precision
) returns setof bigint
language plpgsql
set search_path = pg_catalog, pg_temp
-- All joins here are of one batch with itself; the planner, who takes a batch for a single row, would loop over it.
set enable_nestloop = off
as $$
#variable_conflict use_column
declare
    asked_sink text := sink;
    now_us bigint;
begin
    perform pg_advisory_xact_lock(hashtextextended('rowcast.admit ' || asked_sink, 0));
    now_us := (extract(epoch from clock_timestamp()) * 1000000)::bigint;
    return query
    with asked as materialized (
        select d.id, d.fence, d.tenant_id, d.key, d.held = 'rate_limit' as is_again,
               a.spacing_us, a.burst, a.concurrency,
               row_number() over (partition by d.tenant_id, d.key order by a.nr) as turn
        from unnest(ids, fences, spacing_us, bursts, concurrency)
            with ordinality as a(id, fence, spacing_us, burst, concurrency, nr)
        join rowcast.delivery d on d.id = a.id and d.fence = a.fence
        where d.id = any(ids) and d.status = 'running'
    ), line as materialized (
        select tenant_id, key, max(spacing_us) as spacing_us, max(burst) as burst, min(concurrency) as concurrency,
               count(*) as wanted
        from asked group by tenant_id, key
    ), busy as materialized (
        -- All that run, those asked for included.
        select d.tenant_id, d.key, count(*) as running
        from rowcast.delivery d
        where d.sink = asked_sink and d.status = 'running' and (select bool_or(concurrency > 0) from line)
        group by d.tenant_id, d.key
    ), room as (
        select l.tenant_id, l.key, l.spacing_us, l.burst,
               case when l.concurrency > 0 then least(l.wanted, greatest(0, l.concurrency + l.wanted - b.running))
                    else l.wanted end as free,
               greatest(now_us, coalesce(case when l.spacing_us > 0 then (
                   select (extract(epoch from r.arrives_at) * 1000000)::bigint from rowcast.rate_limit r
                   where r.tenant_id = l.tenant_id and r.key = asked_sink || ' ' || l.key) end, now_us)) as arrives_us
        from line l left join busy b on b.tenant_id = l.tenant_id and b.key = l.key
    ), granted as materialized (
        select tenant_id, key, spacing_us, burst, free, arrives_us,
               case when spacing_us = 0 then free
                    else least(free, greatest(0, (now_us + burst * spacing_us - arrives_us) / spacing_us)) end as runs
        from room
    ), over as materialized (
        select a.id, a.fence, a.tenant_id, a.key, a.is_again, a.turn > g.free as is_crowded, g.spacing_us,
               row_number() over (
                   partition by a.tenant_id, a.key, a.is_again, a.turn > g.free order by a.turn) - 1 as place
        from asked a join granted g on g.tenant_id = a.tenant_id and g.key = a.key where a.turn > g.runs
    ), slot as materialized (
        -- Who was put back before keeps the next places; newcomers go to the end of the line.
        select g.tenant_id, g.key, g.spacing_us, g.arrives_us + g.runs * g.spacing_us as arrives_us,
               coalesce(o.newcomers, 0) as newcomers,
               g.arrives_us + (g.runs - g.burst + 1) * g.spacing_us as next_us,
               greatest(g.arrives_us + (g.runs - g.burst + 1 + coalesce(o.again, 0)) * g.spacing_us, (
                   select (extract(epoch from nullif(r.queued_until, '-infinity')) * 1000000)::bigint
                   from rowcast.rate_limit r
                   where r.tenant_id = g.tenant_id and r.key = asked_sink || ' ' || g.key)) as tail_us
        from granted g left join (
            select tenant_id, key, count(*) filter (where is_again) as again,
                   count(*) filter (where not is_again) as newcomers
            from over where not is_crowded group by tenant_id, key) o on o.tenant_id = g.tenant_id and o.key = g.key
        where g.spacing_us > 0
    ), stored as (
        insert into rowcast.rate_limit as r (tenant_id, key, arrives_at, queued_until)
        select tenant_id, asked_sink || ' ' || key, to_timestamp(arrives_us / 1e6),
               case when newcomers > 0 then to_timestamp((tail_us + newcomers * spacing_us) / 1e6) else '-infinity' end
        from slot
        on conflict (tenant_id, key) do update
        set arrives_at = excluded.arrives_at, queued_until = greatest(r.queued_until, excluded.queued_until)
    ), put_back as (
        update rowcast.delivery d
        set status = 'waiting', attempt = d.attempt - 1, leased_until = null, leased_by = null,
            held = case when o.is_crowded then 'concurrency' else 'rate_limit' end,
            due_at = case
                when o.is_crowded then clock_timestamp() + make_interval(secs => hold_s * (1 + o.place / 50.0))
                when o.is_again then to_timestamp((s.next_us + o.place * o.spacing_us) / 1e6)
                else to_timestamp((s.tail_us + o.place * o.spacing_us) / 1e6) end
        from over o left join slot s on s.tenant_id = o.tenant_id and s.key = o.key
        where d.id = o.id and d.fence = o.fence and d.id = any(ids) and d.status = 'running'
    )
    select a.id from asked a join granted g on g.tenant_id = a.tenant_id and g.key = a.key where a.turn <= g.runs;
end
$$;

-- Puts back those claimed deliveries of ordered keys whose key owes an earlier one still, and gives their ids. They are
-- called forward when that one is settled; at the latest they look again when it is due, within `least_s` to `most_s`.
-- Under the lock of `admit`: see `call_forward`.
create function rowcast.keep_order(
    sink text, ids bigint[], fences bigint[], least_s double precision, most_s double precision
) returns setof bigint
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
    asked_sink text := sink;
begin
    perform pg_advisory_xact_lock(hashtextextended('rowcast.admit ' || asked_sink, 0));
    return query
    with early as materialized (
        select d.id, d.fence, first.due_at
        from unnest(ids, fences) as a(id, fence)
        join rowcast.delivery d on d.id = a.id and d.fence = a.fence and d.status = 'running'
        cross join lateral (
            select e.id, e.due_at from rowcast.delivery e
            where e.sink = asked_sink and e.tenant_id = d.tenant_id and e.key = d.key and e.key like 'ordered:%'
              and e.status in ('waiting', 'running')
            order by e.id limit 1
        ) first
        where first.id < d.id
    )
    update rowcast.delivery d
    set status = 'waiting', attempt = d.attempt - 1, leased_until = null, leased_by = null, held = 'order',
        due_at = clock_timestamp() + make_interval(
            secs => least(most_s, greatest(least_s, extract(epoch from e.due_at - clock_timestamp()))))
    from early e where d.id = e.id and d.fence = e.fence and d.status = 'running'
    returning d.id;
end
$$;

-- Makes deliveries that were put back by a concurrency limit, an open breaker or the order due at once; gives how many.
-- Under the lock of `admit`, so that none is put back unseen while the place it waits for becomes free.
create function rowcast.call_forward(
    sink text, tenant_ids text[], keys text[], places integer[], reason text
) returns bigint
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
    asked_sink text := sink;
    called bigint;
begin
    perform pg_advisory_xact_lock(hashtextextended('rowcast.admit ' || asked_sink, 0));
    update rowcast.delivery d set due_at = clock_timestamp()
    where d.status = 'waiting' and d.id = any(array(
        select h.id from unnest(tenant_ids, keys, places) as a(tenant_id, key, places)
        cross join lateral (
            select w.id from rowcast.delivery w
            where w.sink = asked_sink and w.tenant_id = a.tenant_id and w.key = a.key
              and w.status = 'waiting' and w.held <> '' and w.held = reason and w.due_at > now()
            order by w.id limit a.places for update skip locked) h));
    get diagnostics called = row_count;
    return called;
end
$$;

-- Settles a batch of events: the state of each, unless it has a final one already, and what those owe whose state is new, in the order
-- given. Gives the events whose state was written; whoever was faster with the others owes for them already. One statement of the relay
-- is one transaction: no round trip in which it could stand still.
create function rowcast.settle_events(
    event_ids uuid[], statuses text[], errors text[], waits_s double precision[],
    owed_event_ids uuid[], tenant_ids text[], sinks text[], targets text[], rules text[], transforms text[], keys text[],
    priorities smallint[], max_attempts integer[], delays_s double precision[]
) returns uuid[]
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
    written uuid[];
begin
    with states as (
        insert into rowcast.event_state as s (event_id, status, attempts, error, next_attempt_at)
        select event_id, status, 1, error, clock_timestamp() + make_interval(secs => wait_s)
        from unnest(settle_events.event_ids, settle_events.statuses, settle_events.errors, settle_events.waits_s)
            as given(event_id, status, error, wait_s)
        on conflict (event_id) do update
        set status = excluded.status, changed_at = clock_timestamp(), attempts = s.attempts + 1, error = excluded.error,
            next_attempt_at = excluded.next_attempt_at
        where s.status = 'failed'
        returning event_id
    )
    select coalesce(array_agg(event_id), '{}') into written from states;
    if cardinality(settle_events.owed_event_ids) > 0 then
        insert into rowcast.delivery
            (event_id, tenant_id, sink, target, rule, transform, key, priority, max_attempts, due_at)
        select event_id, tenant_id, sink, target, rule, transform, key, priority, max_attempts,
               clock_timestamp() + make_interval(secs => delay_s)
        from unnest(settle_events.owed_event_ids, settle_events.tenant_ids, settle_events.sinks, settle_events.targets,
                    settle_events.rules, settle_events.transforms, settle_events.keys, settle_events.priorities,
                    settle_events.max_attempts, settle_events.delays_s) with ordinality
            as owed(event_id, tenant_id, sink, target, rule, transform, key, priority, max_attempts, delay_s, place)
        where event_id in (select unnest(written))
        order by place;
    end if;
    return written;
end
$$;

revoke execute on function rowcast.admit, rowcast.keep_order, rowcast.call_forward, rowcast.settle_events from public;

-- Adds one run of a task, in the caller's transaction, and gives its delivery's id: select rowcast.enqueue('acme', 'shop.pack', '{"order_id": "o1"}').
-- A runner's poll finds it. No NOTIFY: one on the write path costs the application two thirds of its commits.
create function rowcast.enqueue(
    tenant_id text, task text, arguments json default '{}', key text default null, priority integer default 2,
    delay_s double precision default 0, max_attempts integer default 0
) returns bigint
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_variable
declare
    size_bytes integer := octet_length(arguments::text);
    speaks_for text := nullif(current_setting('rowcast.tenant_id', true), '');
    delivery_id bigint;
begin
    if tenant_id is null or tenant_id = '' then
        raise exception 'input.tenant_missing: every job belongs to one tenant; pass tenant_id' using errcode = 'RC400';
    end if;
    if tenant_id !~ '^[A-Za-z0-9][A-Za-z0-9_.-]{0,127}$' then
        raise exception 'input.tenant: the tenant id % is not allowed: 1 to 128 letters, digits, _ - and .', quote_literal(tenant_id)
            using errcode = 'RC400';
    end if;
    if speaks_for is not null and speaks_for <> tenant_id then
        raise exception 'auth.denied: this session speaks for tenant %, not for %', speaks_for, tenant_id using errcode = 'RC403';
    end if;
    if task is null or task !~ '^[a-z][a-z0-9_]*(\.[a-z0-9][a-z0-9_]*)*$' or length(task) > 128 then
        raise exception 'input.task: the task % must be lower-case words with dots between them, such as shop.write_receipt',
            quote_nullable(task) using errcode = 'RC400';
    end if;
    if size_bytes > 65536 then
        raise exception 'outbox.payload_too_large: the payload has % bytes and the limit is 65536; pass a reference instead', size_bytes
            using errcode = 'RC413';
    end if;
    if json_typeof(coalesce(arguments, 'null')) <> 'object' then
        raise exception 'input.arguments: the arguments must be an object with the names of the task''s parameters' using errcode = 'RC400';
    end if;
    if position('\u0000' in arguments::text) > 0 then
        begin
            perform arguments::jsonb;
        exception when untranslatable_character then
            raise exception 'input.arguments: the arguments have a text with the character U+0000; leave it out' using errcode = 'RC400';
        end;
    end if;
    if coalesce(priority, 2) not between 0 and 3 or coalesce(max_attempts, 0) < 0 or coalesce(delay_s, 0) not between 0 and 31622400
       or octet_length(key) > 512 then
        raise exception 'input.job_options: priority is 0 to 3, max_attempts 0 (as the task says) or more, delay_s 0 to a year, key 512 bytes'
            using errcode = 'RC400';
    end if;
    insert into rowcast.delivery (tenant_id, sink, target, key, priority, due_at, max_attempts, payload)
    values (tenant_id, 'jobs', task, coalesce(nullif(key, ''), task), coalesce(priority, 2),
            clock_timestamp() + make_interval(secs => coalesce(delay_s, 0)), coalesce(max_attempts, 0), arguments)
    returning id into delivery_id;
    return delivery_id;
end
$$;

revoke execute on function rowcast.enqueue from public;
grant execute on function rowcast.enqueue to rowcast_app;
