-- The whole schema of rowcast as it is after all migrations: for reading, and for one test that compares it with them.
-- Databases are made by the migrations (`rowcast migrate`), never from this file.
--
--     event ----------> event_state          what happened, and what became of it      view: outbox
--       |
--       +-------------> delivery --> attempt  what is owed to whom, and each try
--                          endpoint           where a tenant wants its events posted
--
-- Row-level security: policy `engine` lets the owner (the server) see all, policy `tenant` shows a session the rows of the
-- tenant it speaks for (`set role rowcast_app` and `set rowcast.tenant_id`). Functions with their owner's rights pin `search_path`.

-- The schema, the role that applications are given, and the words every later migration uses.

create schema rowcast;

-- What was run on this database, with the SHA-256 of each file.
create table rowcast.migration (
    name text primary key,
    checksum text not null,
    applied_at timestamptz not null default clock_timestamp()
);


-- Roles belong to the whole cluster, so another database may have made this one, or be making it now.
do $$
begin
    -- Looked for first: who may not make roles is refused even where there is nothing left to make.
    if not exists (select from pg_roles where rolname = 'rowcast_app') then
        create role rowcast_app nologin;
    end if;
exception
    when duplicate_object or unique_violation then null;
    when insufficient_privilege then
        raise exception 'config.role: the role rowcast_app is not there; let an administrator run: create role rowcast_app; grant rowcast_app to %',
            quote_ident(current_user) using errcode = 'RC500';
end
$$;

-- An owner that is no superuser must be a member to speak for one tenant (`set role`).
do $$
begin
    execute format('grant rowcast_app to %I', current_user);
exception
    when insufficient_privilege then
        if not pg_has_role(current_user, 'rowcast_app', 'member') then
            raise exception 'config.role: no right to rowcast_app; let an administrator run: grant rowcast_app to %',
                quote_ident(current_user) using errcode = 'RC500';
        end if;
end
$$;

grant usage on schema rowcast to rowcast_app;

-- The tenant that this session speaks for; null where it speaks for all of them.
create function rowcast.current_tenant() returns text
language sql stable parallel safe
set search_path = pg_catalog, pg_temp
as $$ select nullif(current_setting('rowcast.tenant_id', true), '') $$;

-- A UUIDv7 of a given moment (RFC 9562): 48 bits of milliseconds, 12 of their fraction, 62 of noise. Not from gen_random_uuid(): a server
-- built without OpenSSL opens /dev/urandom for each. An event's id is no secret; the process number keeps sessions apart that were seeded
-- alike. PostgreSQL 18 has its own, 15 to 17 have not. No `set search_path`: only without it is the body inlined where it is called.
create function rowcast.uuid7(at timestamptz default clock_timestamp()) returns uuid
language sql volatile parallel safe
as $$
    select (pg_catalog.overlay(pg_catalog.lpad(pg_catalog.to_hex((pg_catalog.date_part('epoch', at) * 4096000)::bigint), 15, '0'), '7', 13, 0)
            || pg_catalog.to_hex(2147483648 + ((pg_catalog.random() * 1073741823)::bigint # pg_catalog.pg_backend_pid()))
            || pg_catalog.lpad(pg_catalog.to_hex((pg_catalog.random() * 4294967295)::bigint), 8, '0'))::uuid
$$;

-- The smallest UUID of a moment: the bound of a partition.
create function rowcast.uuid7_floor(at timestamptz) returns uuid
language sql immutable parallel safe
set search_path = pg_catalog, pg_temp
as $$
    select encode(
        substring(int8send((extract(epoch from at) * 1000)::bigint) from 3) || '\x00000000000000000000'::bytea,
        'hex')::uuid
$$;

-- Keys of the HTTP API. Only the SHA-256 of a key is kept. A key without a tenant may act for all of them.
create table rowcast.api_key (
    id text primary key,
    tenant_id text,
    name text not null,
    hash bytea not null unique,
    scopes text[] not null,
    created_at timestamptz not null default clock_timestamp(),
    expires_at timestamptz,
    revoked_at timestamptz,
    session text
);

alter table rowcast.api_key enable row level security;
alter table rowcast.api_key force row level security;
create policy engine on rowcast.api_key to current_user using (true) with check (true);
create policy tenant on rowcast.api_key using (tenant_id = rowcast.current_tenant());


--                            Outbox
-- ------------------------------------------------------------

-- The outbox: events, append-only and partitioned by day, and beside them what became of each.

create sequence rowcast.event_seq;

-- The day is read from the id (a UUIDv7), so that one primary key is unique across all partitions.
-- `seq` is drawn when the row is written, under the caller's lock on the aggregate: it orders an aggregate's events.
-- Nothing may draw from this sequence but an insert into `event`: whoever could still commit a lower number than the last one
-- is then seen by the table lock that the insert holds (outbox/horizon.py). For the same reason the sequence has no cache.
create table rowcast.event (
    id uuid not null primary key,
    seq bigint not null default nextval('rowcast.event_seq'),
    tenant_id text not null,
    aggregate_type text not null,
    aggregate_id text not null,
    event_type text not null,
    version integer not null default 1,
    occurred_at timestamptz not null,
    created_at timestamptz not null default clock_timestamp(),
    payload json not null,
    traceparent text,
    topic text
) partition by range (id);

-- The shard of an aggregate, one of 64: whoever holds it relays the aggregate's events. Worked out by those who read, because a
-- generated column would cost every writer a fifth of its insert. No `set search_path`: only without it is the body inlined.
create function rowcast.shard_of(tenant_id text, aggregate_type text, aggregate_id text) returns smallint
language sql immutable parallel safe
as $$
    select (pg_catalog.hashtextextended(aggregate_id,
            pg_catalog.hashtextextended(aggregate_type, pg_catalog.hashtextextended(tenant_id, 0))) & 63)::smallint
$$;

-- The relay reads in the order of `seq`, across all shards: one place of the index per batch, and the cheapest to keep.
create index event_by_seq on rowcast.event (seq);
create index event_of_tenant on rowcast.event (tenant_id, seq);
create table rowcast.event_default partition of rowcast.event default;

-- Insert-only: no row means pending. A published event stays published (see the trigger).
create table rowcast.event_state (
    event_id uuid not null primary key,
    status text not null check (status in ('published', 'failed', 'dead')),
    changed_at timestamptz not null default clock_timestamp(),
    attempts integer not null default 1,
    error text,
    next_attempt_at timestamptz
) partition by range (event_id);

create index event_state_failed on rowcast.event_state (next_attempt_at) where status = 'failed';
create index event_state_trouble on rowcast.event_state (event_id) where status in ('failed', 'dead');
create table rowcast.event_state_default partition of rowcast.event_state default;

create function rowcast.keep_published() returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
    if tg_op = 'DELETE' or old.status = 'published' or (old.status = 'dead' and new.status <> 'published') then
        raise exception 'outbox.published_is_final: event % is % and stays so; replay it instead',
            old.event_id, old.status using errcode = 'RC409';
    end if;
    return new;
end
$$;

create trigger keep_published before update or delete on rowcast.event_state
    for each row execute function rowcast.keep_published();

-- How far the relays have come, one row a shard. Every event below `low_seq` is settled, and none can appear there any more;
-- below `read_seq` all that was visible is settled, so only an event that commits late can appear there. WAL feed: shard -1 and its LSN.
create table rowcast.feed_cursor (
    shard smallint primary key,
    low_seq bigint not null default 0,
    read_seq bigint not null default 0,
    lsn pg_lsn,
    changed_at timestamptz not null default clock_timestamp(),
    -- Raised by each process that begins to lead the WAL feed. Whoever led before can then settle nothing.
    fence bigint not null default 0
);

insert into rowcast.feed_cursor (shard) select generate_series(-1, 63);

-- Drawn from by a watch's trigger whenever changes could not be captured: a number that survives the rollback of its reason.
create sequence rowcast.capture_failures;

-- A stretch of the log that the WAL feed could not read (the slot was lost), and when the claim feed had healed it.
create table rowcast.feed_gap (
    id bigint generated always as identity primary key,
    reason text not null,
    noticed_at timestamptz not null default clock_timestamp(),
    healed_at timestamptz,
    healed_events bigint not null default 0
);

create view rowcast.outbox with (security_invoker = true) as
    select e.id, e.seq, e.tenant_id, e.aggregate_type, e.aggregate_id, e.event_type, e.version, e.occurred_at, e.created_at,
           e.payload, e.traceparent, e.topic,
           coalesce(s.status, 'pending') as status,
           case when s.status = 'published' then s.changed_at end as published_at,
           s.error,
           coalesce(s.attempts, 0) as attempts,
           s.next_attempt_at
    from rowcast.event e left join rowcast.event_state s on s.event_id = e.id;

alter table rowcast.event enable row level security;
alter table rowcast.event force row level security;
create policy engine on rowcast.event to current_user using (true) with check (true);
create policy tenant on rowcast.event for select using (tenant_id = rowcast.current_tenant());
alter table rowcast.event_state enable row level security;
alter table rowcast.event_state force row level security;
create policy engine on rowcast.event_state to current_user using (true) with check (true);
-- An event's state is seen by whoever sees the event.
create policy tenant on rowcast.event_state for select
    using (exists (select 1 from rowcast.event e where e.id = event_id));
grant select on rowcast.event, rowcast.event_state, rowcast.outbox to rowcast_app;

-- Writes one event in the caller's transaction and gives its id. The one door into the outbox for every driver and language.
create function rowcast.emit_json(
    tenant_id text, event_type text, payload json,
    aggregate_type text, aggregate_id text, version integer, id uuid,
    occurred_at timestamptz, traceparent text, topic text
) returns uuid
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_variable
declare
    event_id uuid := coalesce(id, rowcast.uuid7());
    speaks_for text;
    size_bytes integer;
begin
    -- What nearly every event is, in one question. PostgreSQL prepares each expression anew in each transaction and each pattern takes
    -- microseconds, so asking for everything one by one would cost as much as the insert. Whoever fails here is asked so below.
    if tenant_id is null or event_type is null or payload is null or octet_length(tenant_id || event_type) > 127
        or tenant_id || ' ' || event_type !~ '^[A-Za-z0-9][A-Za-z0-9_.-]* [A-Za-z0-9_][A-Za-z0-9_-]*(?:\.[A-Za-z0-9_-]+)*$'
        or current_setting('rowcast.tenant_id', true) <> tenant_id
        or octet_length(payload::text) > 32768 or position('\u0000' in payload::text) > 0 or version < 1
        or octet_length(aggregate_type) > 128 or octet_length(aggregate_id) > 512 or octet_length(traceparent) > 512
        or id is not null or occurred_at is not null or topic is not null
    then
        if tenant_id is null or tenant_id = '' then
            raise exception 'input.tenant_missing: every event belongs to one tenant; pass tenant_id' using errcode = 'RC400';
        end if;
        if length(tenant_id) > 128 or tenant_id !~ '^[A-Za-z0-9][A-Za-z0-9_.-]*$' then
            raise exception 'input.tenant: the tenant id % is not allowed: 1 to 128 letters, digits, _ - and .', quote_literal(tenant_id)
                using errcode = 'RC400';
        end if;
        speaks_for := nullif(current_setting('rowcast.tenant_id', true), '');
        if speaks_for is not null and speaks_for <> tenant_id then
            raise exception 'auth.denied: this session speaks for tenant %, not for %', speaks_for, tenant_id using errcode = 'RC403';
        end if;
        if event_type is null or length(event_type) > 128 or event_type !~ '^[A-Za-z0-9_][A-Za-z0-9_-]*(?:\.[A-Za-z0-9_-]+)*$' then
            raise exception 'input.event_type: the event type % must be words with dots between them, such as orders.confirmed',
                quote_nullable(event_type) using errcode = 'RC400';
        end if;
        if payload is null then
            raise exception 'input.payload_missing: the payload is null; pass an object, at least {}' using errcode = 'RC400';
        end if;
        if version < 1 then
            raise exception 'input.version: the version is % and must be 1 or more', version using errcode = 'RC400';
        end if;
        if id is not null and (get_byte(uuid_send(id), 6) >> 4) <> 7 then
            raise exception 'input.event_id: the event id % is not a UUIDv7; leave it out, or make one with rowcast.uuid7()', id
                using errcode = 'RC400';
        end if;
        if octet_length(aggregate_type) > 128 or octet_length(aggregate_id) > 512 then
            raise exception 'input.aggregate_id: an aggregate type has at most 128 bytes and an aggregate id 512; pass a shorter one'
                using errcode = 'RC400';
        end if;
        if topic = '' or octet_length(topic) > 246 or topic ~ '[\x01-\x1f\x7f]' then
            raise exception 'input.event_topic: the topic % must have 1 to 246 bytes and no control character', quote_literal(left(topic, 140))
                using errcode = 'RC400';
        end if;
        if length(traceparent) > 512 then
            traceparent := null; -- as W3C asks for what is no trace
        end if;
        -- A time without end, or of a year that other calendars do not have, would be written and then read by nobody.
        if occurred_at < '0001-01-02 00:00+00' or occurred_at >= '9999-12-31 00:00+00' then
            raise exception 'input.occurred_at: the time % is outside the years 1 to 9999; pass when it happened', occurred_at
                using errcode = 'RC400';
        end if;
        size_bytes := octet_length(payload::text);
        if size_bytes > 65536 then
            raise exception 'outbox.payload_too_large: the payload has % bytes and the limit is 65536; emit a reference instead', size_bytes
                using errcode = 'RC413';
        elsif size_bytes > 32768 then
            raise warning 'outbox.payload_large: the payload has % bytes; from 65537 on it is refused', size_bytes;
        end if;
        -- PostgreSQL stores this character in json and then cannot read the payload's texts.
        if position('\u0000' in payload::text) > 0 then
            begin
                perform payload::jsonb;
            exception when untranslatable_character then
                raise exception 'input.payload: the payload has a text with the character U+0000; leave it out' using errcode = 'RC400';
            end;
        end if;
    end if;
    if id is null then
        insert into rowcast.event (id, tenant_id, aggregate_type, aggregate_id, event_type, version, occurred_at, payload, traceparent, topic)
        values (event_id, tenant_id, coalesce(aggregate_type, split_part(event_type, '.', 1)),
                coalesce(aggregate_id, payload ->> 'id', event_id::text), event_type, coalesce(version, 1),
                coalesce(occurred_at, clock_timestamp()), payload, traceparent, topic);
        return event_id;
    end if;
    insert into rowcast.event (id, tenant_id, aggregate_type, aggregate_id, event_type, version, occurred_at, payload, traceparent, topic)
    values (event_id, tenant_id, coalesce(aggregate_type, split_part(event_type, '.', 1)),
            coalesce(aggregate_id, payload ->> 'id', event_id::text), event_type, coalesce(version, 1),
            coalesce(occurred_at, clock_timestamp()), payload, traceparent, topic)
    on conflict do nothing;
    if found then
        return event_id;
    end if;
    -- The id is taken: the same event again is a success, another event under that id is not.
    perform 1 from rowcast.event e
    where e.id = event_id and e.tenant_id = emit_json.tenant_id and e.event_type = emit_json.event_type
      and e.version = coalesce(emit_json.version, 1) and e.payload::jsonb = emit_json.payload::jsonb
      and (emit_json.aggregate_type is null or e.aggregate_type = emit_json.aggregate_type)
      and (emit_json.aggregate_id is null or e.aggregate_id = emit_json.aggregate_id)
      and (emit_json.occurred_at is null or e.occurred_at = emit_json.occurred_at);
    if not found then
        raise exception 'input.conflict: the event id % is taken by another event; make a new id', event_id using errcode = 'RC409';
    end if;
    return event_id;
end
$$;

-- The same for people and other languages: select rowcast.emit('acme', 'orders.confirmed', '{"id": "o1"}').
-- It has no rights of its own, and no `set search_path`: only so is the body inlined where it is called.
create function rowcast.emit(
    tenant_id text, event_type text, payload jsonb,
    aggregate_type text default null, aggregate_id text default null, version integer default 1, id uuid default null,
    occurred_at timestamptz default null, traceparent text default null, topic text default null
) returns uuid
language sql
as $$
    select rowcast.emit_json(tenant_id, event_type, payload::pg_catalog.text::pg_catalog.json, aggregate_type, aggregate_id,
                             version, id, occurred_at, traceparent, topic)
$$;

revoke execute on function rowcast.emit_json from public;
revoke execute on function rowcast.emit from public;
grant execute on function rowcast.emit_json, rowcast.emit, rowcast.uuid7, rowcast.current_tenant to rowcast_app;

-- Makes the partitions of one day. Rows that the default partition took in meanwhile are moved into them.
-- Callable by several at once, and again: a session of PostgreSQL that reads the list of partitions in the very moment when one
-- is attached may keep a list without it, and then adds to the default partition what nobody looks for there. Where the
-- partition exists already, every session is made to read the list again, and what went astray is moved.
-- Where a long query is in the way it gives up after five seconds: call it again later.
create function rowcast.make_partition(day date, parents text[] default array['event', 'event_state']) returns void
language plpgsql
set search_path = pg_catalog, pg_temp
set lock_timeout = '5s'
as $$
declare
    first_id uuid := rowcast.uuid7_floor(day::timestamp at time zone 'utc');
    next_id uuid := rowcast.uuid7_floor((day + 1)::timestamp at time zone 'utc');
    suffix text := to_char(day, 'YYYYMMDD');
    parent text;
    place text;
    key text;
    columns text;
    is_new boolean;
    has_strays boolean;
begin
    perform pg_advisory_xact_lock(hashtextextended('rowcast.make_partition', 0));
    foreach parent in array parents loop
        place := parent || '_' || suffix;
        key := case parent when 'event' then 'id' else 'event_id' end;
        is_new := to_regclass(format('rowcast.%I', place)) is null;
        if is_new then
            execute format('create table rowcast.%I (like rowcast.%I including defaults including constraints including generated)',
                           place, parent);
        else
            -- Changes nothing but tells all sessions that the table has changed; blocks neither readers nor writers.
            execute format('alter table only rowcast.%I alter column %I set statistics -1', parent, key);
            execute format('select exists (select 1 from rowcast.%1$I where %2$I >= %3$L and %2$I < %4$L)',
                           parent || '_default', key, first_id, next_id) into has_strays;
            continue when not has_strays;
        end if;
        -- Attaching needs this lock anyway; taken before the move, no row can slip in between.
        execute format('lock table rowcast.%I in access exclusive mode', parent || '_default');
        execute format('alter table rowcast.%I disable trigger user', parent || '_default');
        select string_agg(quote_ident(attname), ', ' order by attnum) into columns from pg_attribute
        where attrelid = format('rowcast.%I', parent)::regclass and attnum > 0 and not attisdropped and attgenerated = '';
        execute format('with moved as (delete from rowcast.%1$I where %2$I >= %3$L and %2$I < %4$L returning %5$s)
                        insert into rowcast.%6$I (%5$s) select %5$s from moved on conflict do nothing',
                       parent || '_default', key, first_id, next_id, columns, place);
        execute format('alter table rowcast.%I enable trigger user', parent || '_default');
        if is_new then
            execute format('alter table rowcast.%I attach partition rowcast.%I for values from (%L) to (%L)',
                           parent, place, first_id, next_id);
        end if;
    end loop;
end
$$;

-- Takes the partitions of one old day off the event tables: `detached`, or why not: `absent`, `busy` (something in it is pending,
-- failed or still to be delivered) or `young` (a day that has not ended). They stay as rowcast.archived_event_YYYYMMDD and
-- rowcast.archived_event_state_YYYYMMDD, or are dropped. The caller bounds its wait for locks; it needs all events for a moment.
create function rowcast.detach_partition(day date, is_dropped boolean) returns text
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    first_id uuid := rowcast.uuid7_floor(day::timestamp at time zone 'utc');
    next_id uuid := rowcast.uuid7_floor((day + 1)::timestamp at time zone 'utc');
    suffix text := to_char(day, 'YYYYMMDD');
    parent text;
    is_busy boolean;
begin
    if day >= (now() at time zone 'utc')::date then
        return 'young';
    end if;
    perform pg_advisory_xact_lock(hashtextextended('rowcast.make_partition', 0));
    if not exists (select 1 from pg_inherits where inhrelid = to_regclass(format('rowcast.%I', 'event_' || suffix))) then
        return 'absent';
    end if;
    -- From here on nothing can be added to this day; all other days go on.
    execute format('lock table rowcast.%I, rowcast.%I in share row exclusive mode', 'event_' || suffix, 'event_state_' || suffix);
    -- Below the lowest bound everything is settled, so one look at the end of the index by `seq` is enough, however large the day is.
    execute format('select exists (select 1 from rowcast.%I where seq >= (select min(low_seq) from rowcast.feed_cursor where shard >= 0))
                        or exists (select 1 from rowcast.%I where status = ''failed'')
                        or exists (select 1 from rowcast.delivery where event_id >= %L and event_id < %L
                                   and status in (''waiting'', ''running''))',
                   'event_' || suffix, 'event_state_' || suffix, first_id, next_id) into is_busy;
    if is_busy then
        return 'busy';
    end if;
    foreach parent in array array['event', 'event_state'] loop
        execute format('alter table rowcast.%I detach partition rowcast.%I', parent, parent || '_' || suffix);
        if is_dropped then
            execute format('drop table rowcast.%I', parent || '_' || suffix);
        else
            execute format('alter table rowcast.%I rename to %I', parent || '_' || suffix, 'archived_' || parent || '_' || suffix);
        end if;
    end loop;
    return 'detached';
end
$$;

revoke execute on function rowcast.make_partition, rowcast.detach_partition from public;

-- Today and tomorrow, so that a database that was just migrated takes events at once; the server makes later days.
select rowcast.make_partition((now() at time zone 'utc')::date + ahead) from generate_series(0, 1) as ahead;


--                           Delivery
-- ------------------------------------------------------------

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
    detail json,
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


--                           Webhooks
-- ------------------------------------------------------------

-- Webhook endpoints: where a tenant wants its events posted.
create table rowcast.endpoint (
    id text primary key,
    tenant_id text not null check (tenant_id <> ''),
    url text not null,
    description text not null default '',
    event_types text[],
    disabled boolean not null default false,
    created_at timestamptz not null default clock_timestamp(),
    changed_at timestamptz not null default clock_timestamp(),
    uid text,
    channels text[],
    throttle_rate integer check (throttle_rate > 0),
    metadata json not null default '{}',
    version integer not null default 1,
    -- Sealed JSON: headers of the tenant's own, and how to be known to its receiver (basic, OAuth 2, client certificate).
    headers bytea,
    authentication bytea,
    signature_scheme text not null default 'v1' check (signature_scheme in ('v1', 'v1a')),
    transform json,
    is_ordered boolean not null default false,
    retry_schedule_s double precision[],
    log_level text not null default 'all' check (log_level in ('all', 'failures')),
    -- Since when every attempt has failed, and why and when it was disabled; null where it works.
    failing_since timestamptz,
    disabled_at timestamptz,
    disabled_reason text
);

create index endpoint_tenant on rowcast.endpoint (tenant_id, id);

alter table rowcast.endpoint enable row level security;
alter table rowcast.endpoint force row level security;
create policy engine on rowcast.endpoint to current_user using (true) with check (true);
create policy tenant on rowcast.endpoint using (tenant_id = rowcast.current_tenant());
grant select (id, tenant_id, url, description, event_types, disabled, created_at, changed_at) on rowcast.endpoint to rowcast_app;


--                             Bus
-- ------------------------------------------------------------

-- The bus between nodes: what is too long for one NOTIFY lies here for a minute. Unlogged: after a crash nobody misses it.
create unlogged table rowcast.bus_message (
    node bytea not null,
    number bigint not null,
    body bytea not null,
    sent_at timestamptz not null default clock_timestamp(),
    primary key (node, number)
);

create index bus_message_sent_at on rowcast.bus_message (sent_at);

-- Whoever may connect to the database may LISTEN and NOTIFY. What the nodes say is for them alone, so it is sealed with this key.
create table rowcast.bus_key (
    only_one boolean primary key default true check (only_one),
    key bytea not null check (octet_length(key) = 32)
);

insert into rowcast.bus_key (key) values (sha256(uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid())));


--                    Realtime: who hears what
-- ------------------------------------------------------------

-- Who hears what now, what sockets did, and how much was told: written by the server, read by each user about himself.

-- The user whose token this session speaks with: its claim `sub`; null where there is none.
create function rowcast.current_user_id() returns text
language sql stable parallel safe
set search_path = pg_catalog, pg_temp
as $$ select nullif(current_setting('request.jwt.claims', true), '')::json ->> 'sub' $$;

-- A channel of a socket, or the right to one that waits for its socket (`joined_at` is null). `id` is the channel id that users are
-- given. The key holds the connection, so that a second tab of one user is a second row.
create table rowcast.realtime_subscriptions (
    id uuid primary key default gen_random_uuid(),
    tenant_id text not null,
    user_id text not null,
    connection_id text not null,
    topic text not null,
    channel text not null,
    table_name text,
    filter json,
    active boolean not null default true,
    created_at timestamptz not null default clock_timestamp(),
    joined_at timestamptz,
    last_ping_at timestamptz not null default clock_timestamp(),
    unique (tenant_id, user_id, connection_id, topic)
) with (fillfactor = 80);

create index realtime_subscriptions_connection on rowcast.realtime_subscriptions (connection_id);
create index realtime_subscriptions_channel on rowcast.realtime_subscriptions (tenant_id, channel);
create index realtime_subscriptions_active on rowcast.realtime_subscriptions (tenant_id, user_id) where active;

-- What a user's sockets did: joins, leaves and refusals, one row each. A message never makes a row.
create table rowcast.realtime_activity_logs (
    id bigint generated always as identity primary key,
    tenant_id text not null,
    user_id text not null,
    channel_id uuid,
    connection_id text not null,
    topic text not null,
    event_type text not null
        check (event_type in ('join', 'leave', 'refusal', 'subscribe', 'unsubscribe', 'expiry')),
    payload json not null default '{}',
    "timestamp" timestamptz not null default clock_timestamp()
);

create index realtime_activity_logs_user on rowcast.realtime_activity_logs (tenant_id, user_id, "timestamp");
create index realtime_activity_logs_timestamp on rowcast.realtime_activity_logs ("timestamp");

-- How many messages a user's sockets heard in each hour.
create table rowcast.realtime_message_counts (
    tenant_id text not null,
    user_id text not null,
    hour timestamptz not null,
    messages bigint not null,
    last_message_at timestamptz not null,
    primary key (tenant_id, user_id, hour)
) with (fillfactor = 80);

create index realtime_message_counts_hour on rowcast.realtime_message_counts (hour);

-- When each user has lately subscribed: what a limit that holds on all nodes together is counted from.
create table rowcast.realtime_turns (
    tenant_id text not null,
    user_id text not null,
    taken_at timestamptz[] not null,
    last_taken_at timestamptz not null,
    primary key (tenant_id, user_id)
) with (fillfactor = 80);

-- Takes so many turns of a user, and gives 0; or takes none, and gives after how many seconds there is room for them. At most `most` are
-- taken in any window of `window_s` seconds, whichever nodes ask.
create function rowcast.take_realtime_turns(for_tenant text, for_user text, wanted integer, most integer, window_s double precision)
returns double precision
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    now_at timestamptz;
    recent timestamptz[];
begin
    insert into rowcast.realtime_turns (tenant_id, user_id, taken_at, last_taken_at)
    values (for_tenant, for_user, '{}', clock_timestamp())
    on conflict (tenant_id, user_id) do nothing;
    select t.taken_at into recent from rowcast.realtime_turns t
    where t.tenant_id = for_tenant and t.user_id = for_user for update;
    -- Read behind the lock: whoever waited for it must not work with the time before.
    now_at := clock_timestamp();
    recent := array(select at from unnest(recent) as at where at > now_at - make_interval(secs => window_s) order by at);
    if cardinality(recent) + wanted > most then
        return greatest(0.001, extract(epoch from recent[cardinality(recent) + wanted - most] - now_at) + window_s);
    end if;
    update rowcast.realtime_turns t
    set taken_at = recent || array_fill(now_at, array[wanted]), last_taken_at = now_at
    where t.tenant_id = for_tenant and t.user_id = for_user;
    return 0;
end
$$;

alter table rowcast.realtime_subscriptions enable row level security;
alter table rowcast.realtime_subscriptions force row level security;
create policy engine on rowcast.realtime_subscriptions to current_user using (true) with check (true);
create policy own on rowcast.realtime_subscriptions
    using (tenant_id = rowcast.current_tenant() and user_id = rowcast.current_user_id());
alter table rowcast.realtime_activity_logs enable row level security;
alter table rowcast.realtime_activity_logs force row level security;
create policy engine on rowcast.realtime_activity_logs to current_user using (true) with check (true);
create policy own on rowcast.realtime_activity_logs for select
    using (tenant_id = rowcast.current_tenant() and user_id = rowcast.current_user_id());
alter table rowcast.realtime_message_counts enable row level security;
alter table rowcast.realtime_message_counts force row level security;
create policy engine on rowcast.realtime_message_counts to current_user using (true) with check (true);
create policy own on rowcast.realtime_message_counts for select
    using (tenant_id = rowcast.current_tenant() and user_id = rowcast.current_user_id());
alter table rowcast.realtime_turns enable row level security;
alter table rowcast.realtime_turns force row level security;
create policy engine on rowcast.realtime_turns to current_user using (true) with check (true);
create policy own on rowcast.realtime_turns for select
    using (tenant_id = rowcast.current_tenant() and user_id = rowcast.current_user_id());

-- A user may make, change and see his own subscriptions; what was logged and counted he may only see.
grant select, insert, update on rowcast.realtime_subscriptions to rowcast_app;
grant select on rowcast.realtime_activity_logs, rowcast.realtime_message_counts to rowcast_app;
revoke execute on function rowcast.take_realtime_turns from public;
grant execute on function rowcast.current_user_id to rowcast_app;
-- Realtime's side of the database, as applications for Supabase know it. Everything only where it is absent: on a database
-- of Supabase most of it is there. What our role may not make is left out with a notice, and `rowcast doctor` says it again.

-- Roles belong to the whole cluster, so another database may be making them now.
do $$
declare
    wanted text;
begin
    foreach wanted in array array['anon', 'authenticated', 'service_role', 'supabase_realtime_admin'] loop
        continue when exists (select from pg_roles where rolname = wanted);
        begin
            execute format('create role %I nologin noinherit%s', wanted, case wanted when 'service_role' then ' bypassrls' else '' end);
        exception
            when duplicate_object or unique_violation then null;
            when insufficient_privilege then
                begin
                    -- A role that may make roles, but none that passes by row-level security.
                    execute format('create role %I nologin noinherit', wanted);
                exception
                    when duplicate_object or unique_violation then null;
                    when insufficient_privilege then
                        raise notice 'the role % is not there; let an administrator make it', quote_ident(wanted);
                end;
        end;
    end loop;
end
$$;

-- Whether our role may act as another one: from PostgreSQL 16 on membership alone does not say so.
create function rowcast.may_act_as(other name) returns boolean
language sql stable
set search_path = pg_catalog, pg_temp
as $$
    select exists (select from pg_roles where rolname = other)
       and pg_has_role(current_user, other, case when current_setting('server_version_num')::integer >= 160000 then 'SET' else 'MEMBER' end)
$$;

-- Policies are asked in the role that a token names, so our own must be able to take it on.
do $$
declare
    wanted text;
begin
    foreach wanted in array array['anon', 'authenticated', 'service_role'] loop
        for attempt in 1..5 loop
            exit when not exists (select from pg_roles where rolname = wanted) or rowcast.may_act_as(wanted);
            begin
                execute format('grant %I to %I', wanted, current_user);
            exception
                -- Another database of the cluster grants the same at this moment.
                when internal_error or unique_violation then perform pg_sleep(0.05);
                when insufficient_privilege or invalid_grant_operation then
                    raise notice 'no right to act; let an administrator run: grant % to %', quote_ident(wanted), quote_ident(current_user);
                    exit;
            end;
        end loop;
    end loop;
end
$$;

do $$
begin
    if to_regnamespace('auth') is null then
        create schema auth;
    end if;
    if to_regnamespace('realtime') is null then
        create schema realtime;
    end if;
end
$$;

-- Who speaks, as the token says. Policies call these.
do $do$
begin
    if to_regprocedure('auth.jwt()') is null then
        create function auth.jwt() returns jsonb
        language sql stable
        as $$
            select coalesce(nullif(pg_catalog.current_setting('request.jwt.claim', true), ''),
                            nullif(pg_catalog.current_setting('request.jwt.claims', true), ''))::pg_catalog.jsonb
        $$;
    end if;
    if to_regprocedure('auth.uid()') is null then
        create function auth.uid() returns uuid
        language sql stable
        as $$
            select coalesce(nullif(pg_catalog.current_setting('request.jwt.claim.sub', true), ''),
                            nullif(pg_catalog.current_setting('request.jwt.claims', true), '')::pg_catalog.jsonb ->> 'sub')::pg_catalog.uuid
        $$;
    end if;
    if to_regprocedure('auth.role()') is null then
        create function auth.role() returns text
        language sql stable
        as $$
            select coalesce(nullif(pg_catalog.current_setting('request.jwt.claim.role', true), ''),
                            nullif(pg_catalog.current_setting('request.jwt.claims', true), '')::pg_catalog.jsonb ->> 'role')::pg_catalog.text
        $$;
    end if;
    if to_regprocedure('auth.email()') is null then
        create function auth.email() returns text
        language sql stable
        as $$
            select coalesce(nullif(pg_catalog.current_setting('request.jwt.claim.email', true), ''),
                            nullif(pg_catalog.current_setting('request.jwt.claims', true), '')::pg_catalog.jsonb ->> 'email')::pg_catalog.text
        $$;
    end if;
    -- The topic that is being joined or written to; null elsewhere.
    if to_regprocedure('realtime.topic()') is null then
        create function realtime.topic() returns text
        language sql stable
        as $$ select nullif(pg_catalog.current_setting('realtime.topic', true), '')::pg_catalog.text $$;
    end if;
end
$do$;

-- The id of a message: later ones are greater. Its body is bound when it is made, so that nobody needs our schema to call it.
do $do$
begin
    if to_regprocedure('realtime.message_id()') is null then
        create function realtime.message_id() returns uuid language sql volatile return rowcast.uuid7();
    end if;
end
$do$;

-- Messages that the database sends to sockets, and the table whose policies say who may join a private channel. The last three
-- columns are ours: the order of messages, whose they are (null: the default tenant), and which transaction wrote them, by which a
-- reader without the log finds out what was committed since it last looked.
do $do$
begin
    if to_regclass('realtime.messages') is null then
        create sequence realtime.messages_seq;
        create table realtime.messages (
            topic text not null,
            extension text not null,
            payload jsonb,
            event text,
            private boolean default false,
            updated_at timestamp not null default (now() at time zone 'utc'),
            inserted_at timestamp not null default (now() at time zone 'utc'),
            id uuid not null default rowcast.uuid7(),
            binary_payload bytea,
            seq bigint not null default nextval('realtime.messages_seq'),
            tenant_id text default rowcast.current_tenant(),
            transaction_id xid8 not null default pg_current_xact_id(),
            primary key (id, inserted_at),
            constraint messages_payload_exclusive check (payload is null or binary_payload is null)
        ) partition by range (inserted_at);
        create index messages_of_topic on realtime.messages (topic, seq) where extension = 'broadcast' and private;
        create index messages_by_transaction on realtime.messages (transaction_id, seq) where extension = 'broadcast';
        -- A message of a day without a partition is kept, too.
        create table realtime.messages_default partition of realtime.messages default;
        alter table realtime.messages enable row level security;
    end if;
end
$do$;

-- Makes the partition of one day, with what the default partition took in for it meanwhile. Several may call it at once.
create function rowcast.make_message_partition(day date) returns void
language plpgsql
set search_path = pg_catalog, pg_temp
set lock_timeout = '5s'
as $$
declare
    name text := 'messages_' || to_char(day, 'YYYY_MM_DD');
    columns text;
begin
    if to_regclass(format('realtime.%I', name)) is not null then
        return;
    end if;
    perform pg_advisory_xact_lock(hashtextextended('rowcast.make_message_partition', 0));
    if to_regclass(format('realtime.%I', name)) is not null then
        return;
    end if;
    execute format('create table realtime.%I (like realtime.messages including defaults including constraints)', name);
    if to_regclass('realtime.messages_default') is not null then
        -- Attaching needs this lock anyway; taken before the move, no row can slip in between.
        lock table realtime.messages_default in access exclusive mode;
        select string_agg(quote_ident(attname), ', ' order by attnum) into columns from pg_attribute
        where attrelid = 'realtime.messages'::regclass and attnum > 0 and not attisdropped;
        execute format('with moved as (delete from realtime.messages_default where inserted_at >= %1$L and inserted_at < %2$L returning %3$s)
                        insert into realtime.%4$I (%3$s) select %3$s from moved', day, day + 1, columns, name);
    end if;
    execute format('alter table realtime.messages attach partition realtime.%I for values from (%L) to (%L)', name, day, day + 1);
end
$$;

-- Drops the partitions whose messages are all older, and such messages of the default partition; gives how many partitions went.
create function rowcast.drop_old_messages(kept interval) returns integer
language plpgsql
set search_path = pg_catalog, pg_temp
set lock_timeout = '2s'
as $$
declare
    oldest timestamp := (now() at time zone 'utc') - kept;
    name text;
    dropped integer := 0;
begin
    for name in
        select c.relname from pg_inherits i join pg_class c on c.oid = i.inhrelid
        where i.inhparent = 'realtime.messages'::regclass and c.relname ~ '^messages_\d{4}_\d{2}_\d{2}$'
          and to_date(substring(c.relname from 10), 'YYYY_MM_DD') + 1 <= oldest
        order by c.relname
    loop
        execute format('drop table realtime.%I', name);
        dropped := dropped + 1;
    end loop;
    if to_regclass('realtime.messages_default') is not null then
        delete from realtime.messages_default where inserted_at < oldest;
    end if;
    return dropped;
end
$$;

-- From yesterday on, because a transaction that began before midnight writes into the day before.
do $$
begin
    if to_regclass('realtime.messages_default') is not null then
        perform rowcast.make_message_partition((now() at time zone 'utc')::date + ahead) from generate_series(-1, 3) as ahead;
    end if;
end
$$;

-- Sends a message to all who have joined a topic, when the caller's transaction commits. It never fails that transaction. None of
-- these has rights of its own or a search path of its own: policies are asked as the caller, and may call functions of any schema.
do $do$
begin
    if to_regprocedure('realtime.send(jsonb, text, text, boolean)') is null then
        create function realtime.send(payload jsonb, event text, topic text, private boolean default true) returns void
        language plpgsql
        as $$
        declare
            message_id pg_catalog.uuid;
        begin
            message_id := realtime.message_id();
            if not (payload ? 'id') then
                payload := pg_catalog.jsonb_set(payload, '{id}', pg_catalog.to_jsonb(message_id));
            end if;
            perform pg_catalog.set_config('realtime.topic', topic, true);
            insert into realtime.messages (id, payload, event, topic, private, extension)
            values (message_id, payload, event, topic, private, 'broadcast');
        exception
            when others then raise warning 'WarnSendingBroadcastMessage: %', sqlerrm;
        end
        $$;
    end if;
    if to_regprocedure('realtime.send_binary(bytea, text, text, boolean)') is null then
        create function realtime.send_binary(payload bytea, event text, topic text, private boolean default true) returns void
        language plpgsql
        as $$
        begin
            perform pg_catalog.set_config('realtime.topic', topic, true);
            insert into realtime.messages (id, binary_payload, event, topic, private, extension)
            values (realtime.message_id(), payload, event, topic, private, 'broadcast');
        exception
            when others then raise warning 'WarnSendingBroadcastMessage: %', sqlerrm;
        end
        $$;
    end if;
    -- What a trigger for each row calls: perform realtime.broadcast_changes(topic, tg_op, tg_op, tg_table_name, tg_table_schema, new, old).
    if to_regprocedure('realtime.broadcast_changes(text, text, text, text, text, record, record, text)') is null then
        create function realtime.broadcast_changes(
            topic_name text, event_name text, operation text, table_name text, table_schema text, new record, old record,
            level text default 'ROW'
        ) returns void
        language plpgsql
        as $$
        begin
            if level = 'STATEMENT' then
                raise exception 'function can only be triggered for each row, not for each statement';
            end if;
            if operation is null or operation not in ('INSERT', 'UPDATE', 'DELETE') then
                raise exception 'Unexpected operation type: %', operation;
            end if;
            perform realtime.send(
                pg_catalog.jsonb_build_object('old_record', old, 'record', new, 'operation', operation,
                                              'table', table_name, 'schema', table_schema),
                event_name, topic_name);
        exception
            when others then raise exception 'Failed to process the row: %', sqlerrm;
        end
        $$;
    end if;
end
$do$;

-- Gives the roles of tokens what they need here; those that are missing are passed over. Run it again when an administrator has made them.
create function rowcast.open_realtime() returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    role name;
begin
    foreach role in array array['anon', 'authenticated', 'service_role', 'supabase_realtime_admin'] loop
        continue when not exists (select from pg_roles where rolname = role);
        execute format('grant usage on schema realtime, auth to %I', role);
        execute format('grant select, insert, update on realtime.messages to %I', role);
        execute format('grant execute on all functions in schema realtime to %I', role);
        if to_regclass('realtime.messages_seq') is not null then
            execute format('grant usage on sequence realtime.messages_seq to %I', role);
        end if;
        if role = 'supabase_realtime_admin' then
            execute format('grant all on schema realtime to %I', role);
        else
            execute format('grant usage on schema public to %I', role);
        end if;
    end loop;
    -- A service role that no superuser could make passes by a policy instead.
    if exists (select from pg_roles where rolname = 'service_role' and not rolbypassrls)
        and not exists (select from pg_policy where polrelid = 'realtime.messages'::regclass and polname = 'service_role') then
        create policy service_role on realtime.messages to service_role using (true) with check (true);
    end if;
end
$$;

-- As Supabase does: whoever has a token may read and write each table that the calling role makes in schema public from now on, and only
-- row-level security guards its rows. No migration does that to a database; call it where you want it.
create function rowcast.grant_new_tables() returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    role name;
    kind text;
begin
    foreach role in array array['anon', 'authenticated', 'service_role'] loop
        continue when not exists (select from pg_roles where rolname = role);
        foreach kind in array array['tables', 'sequences', 'functions'] loop
            execute format('alter default privileges in schema public grant all on %s to %I', kind, role);
        end loop;
    end loop;
end
$$;

revoke execute on function rowcast.grant_new_tables from public;

do $$
begin
    perform rowcast.open_realtime();
exception
    when insufficient_privilege then raise notice 'the roles of tokens got no rights in schema realtime: %', sqlerrm;
end
$$;

-- What the log tells: rows of tables that users add, and the messages.
do $$
begin
    if not exists (select from pg_publication where pubname = 'supabase_realtime') then
        create publication supabase_realtime;
    end if;
    if not exists (select from pg_publication where pubname = 'supabase_realtime_messages_publication') then
        create publication supabase_realtime_messages_publication for table realtime.messages;
    end if;
exception
    when insufficient_privilege then raise notice 'the publications of realtime were not made: %', sqlerrm;
    -- Another session makes the same one.
    when duplicate_object or unique_violation then null;
end
$$;

-- Asks the policies of realtime.messages what a token may do on a topic: which extensions it may read, or write. Rows are probed in the
-- token's role, and nothing of it stays: the probes, the role and the settings go with the inner transaction. `fault` says why it could
-- not be found out (`partition`, `role`, `probe`), what a policy failed with (`policy`), that there is none (`unset`), or that the role
-- passes by all of them and so none may speak for it (`superuser`). No search path of its own: policies of the
-- application may call functions that look for their tables in it.
create function rowcast.channel_rights(
    asked_role text, claims text, headers text, asked_topic text, extensions text[], is_write boolean,
    out allowed text[], out fault text, out detail text
)
language plpgsql
as $$
#variable_conflict use_variable
declare
    asked_at pg_catalog.timestamp := pg_catalog.timezone('utc', pg_catalog.now());
    probes pg_catalog.uuid[];
    step pg_catalog.text := 'probe';
    extension pg_catalog.text;
begin
    allowed := '{}';
    if not exists (select from pg_catalog.pg_policy p 
                   where p.polrelid = 'realtime.messages'::pg_catalog.regclass and p.polname <> 'service_role') then
        fault := 'unset';
        return;
    end if;
    if exists (select from pg_catalog.pg_roles r where r.rolname = asked_role and r.rolsuper) then
        fault := 'superuser';
        return;
    end if;
    -- Nothing of this is worth waiting for the disk.
    perform pg_catalog.set_config('synchronous_commit', 'off', true);
    begin
        if not is_write then
            with probe as (
                insert into realtime.messages as m (topic, extension, inserted_at)
                select asked_topic, wanted, asked_at from pg_catalog.unnest(extensions) as wanted returning m.id)
            select pg_catalog.array_agg(probe.id) into probes from probe;
        end if;
        step := 'role';
        perform pg_catalog.set_config('request.jwt.claims', claims, true),
                pg_catalog.set_config('request.jwt.claim.sub', coalesce(claims::pg_catalog.jsonb ->> 'sub', ''), true),
                pg_catalog.set_config('request.jwt.claim.role', asked_role, true),
                pg_catalog.set_config('request.headers', headers, true),
                pg_catalog.set_config('realtime.topic', asked_topic, true),
                pg_catalog.set_config('role', asked_role, true);
        step := 'policy';
        if is_write then
            foreach extension in array extensions loop
                begin
                    insert into realtime.messages (topic, extension, inserted_at) values (asked_topic, extension, asked_at);
                    allowed := allowed || extension;
                exception
                    when insufficient_privilege then null;
                end;
            end loop;
        else
            select coalesce(pg_catalog.array_agg(m.extension), '{}') into allowed from realtime.messages m
            where m.id = any(probes) and m.inserted_at = asked_at;
        end if;
        raise exception using errcode = 'RC001';
    exception
        when sqlstate 'RC001' then null;
        when check_violation then
            allowed := '{}';
            fault := 'partition';
            detail := sqlerrm;
        when others then
            allowed := '{}';
            fault := step;
            detail := sqlstate || ' ' || sqlerrm;
    end;
end
$$;

-- Whether a row of some table has one of the given owners: what a declared table of owners asks. Null: it cannot be asked.
create function rowcast.is_owner(schema_name text, table_name text, key_column text, key_value text, owner_column text, owners text[])
returns boolean
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
    found_one boolean;
begin
    -- Literals take on the type of their column, so that an index is used.
    execute format('select exists (select from %I.%I where %I = %L and %I = any (%L))',
                   schema_name, table_name, key_column, key_value, owner_column, owners) into found_one;
    return found_one;
exception
    -- A text that is no value of the column's type is nobody's key.
    when invalid_text_representation or numeric_value_out_of_range or datetime_field_overflow or invalid_datetime_format then return false;
    -- What was declared is not there, or is not for us to read: nobody knows.
    when undefined_table or undefined_column or undefined_function or insufficient_privilege then return null;
end
$$;

-- Lets the publication of the WAL feed tell the messages too; gives whether it does. Added to that one, because a slot reads a change by
-- the publications of its own time: what was written before is passed over, where an own publication would stop the stream.
create function rowcast.publish_messages() returns boolean
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    columns text;
begin
    if exists (select from pg_publication_tables
               where pubname = 'rowcast_events' and schemaname = 'realtime' and tablename = 'messages') then
        return true;
    end if;
    select string_agg(quote_ident(attname), ', ' order by attnum) into columns from pg_attribute
    where attrelid = to_regclass('realtime.messages') and not attisdropped
      and attname in ('id', 'topic', 'extension', 'payload', 'event', 'private', 'binary_payload', 'inserted_at', 'tenant_id');
    if columns is null or not exists (select from pg_publication where pubname = 'rowcast_events') then
        return false;
    end if;
    execute format('alter publication rowcast_events add table realtime.messages (%s)', columns);
    return true;
exception
    -- Another session does the same.
    when duplicate_object or unique_violation or internal_error then return true;
    when insufficient_privilege then return false;
end
$$;

-- How far the reader of messages has come where the log is not streamed: all that this snapshot saw is told.
create table rowcast.message_cursor (
    only_one boolean primary key default true check (only_one),
    seen pg_snapshot not null,
    changed_at timestamptz not null default clock_timestamp()
);

revoke execute on function rowcast.make_message_partition, rowcast.drop_old_messages, rowcast.open_realtime, rowcast.channel_rights,
    rowcast.publish_messages, rowcast.is_owner from public;

-- Every event of the topic below `from_seq`, and every message of the database of a transaction below `from_transaction`, has been
-- received, and nothing can appear there any more; of what is above, the ids in `received`. All of that is true of the client, whoever
-- wrote it last: an older row costs duplicates and never a loss.
create table rowcast.realtime_session (
    tenant_id text not null,
    topic text not null,
    session text not null check (length(session) <= 64),
    from_seq bigint not null,
    from_transaction bigint not null,
    received text[] not null default '{}',
    begun_at timestamptz not null default clock_timestamp(),
    changed_at timestamptz not null default clock_timestamp(),
    primary key (tenant_id, topic, session)
) with (fillfactor = 70);

alter table rowcast.realtime_session enable row level security;
alter table rowcast.realtime_session force row level security;
create policy engine on rowcast.realtime_session to current_user using (true) with check (true);
create policy tenant on rowcast.realtime_session using (tenant_id = rowcast.current_tenant());

-- Postgres changes: who may see a changed row, and filters that only the database can decide. Asked by rowcast's own role.

-- Which of some rows a role with these claims may see now. `keys`: a JSON array of arrays, the texts of a key each. A policy
-- that fails gives one row with its error instead, so that others' questions in the same session go on.
create function rowcast.visible_rows(entity regclass, key_columns text[], keys text, role_name text, claims text)
returns table (place integer, fault text) language plpgsql as $$
declare
    held text := current_setting('role');
    source text;
    condition text;
begin
    select format('%I.%I', n.nspname, c.relname) into source
    from pg_class c join pg_namespace n on n.oid = c.relnamespace where c.oid = entity;
    select string_agg(format('t.%I = (k.cells ->> %s)::%s', a.attname, key.n - 1, format_type(a.atttypid, -1)), ' and ')
    into condition
    from unnest(key_columns) with ordinality as key (name, n)
    join pg_attribute a on a.attrelid = entity and a.attname = key.name and not a.attisdropped;
    begin
        perform rowcast.speak_as(role_name, claims);
        return query execute format(
            -- The limit keeps the planner from a join: each row is found by its key, however large the table is.
            'select k.place::integer, null::text from pg_catalog.jsonb_array_elements($1) with ordinality as k (cells, place)
             cross join lateral (select from %s as t where %s limit 1) as seen', source, condition) using keys::jsonb;
        perform set_config('role', held, true);
    exception when others then
        return query select null::integer, sqlerrm;
    end;
end $$;

-- The same for rows that are gone: their old versions, as a JSON array of objects, against the policies for select.
create function rowcast.visible_old_rows(entity regclass, old_rows text, role_name text, claims text)
returns table (place integer, fault text) language plpgsql as $$
declare
    held text := current_setting('role');
    source text;
    name text;
    allowed text;
    required text;
begin
    select format('%I.%I', n.nspname, c.relname), c.relname into source, name
    from pg_class c join pg_namespace n on n.oid = c.relnamespace where c.oid = entity;
    select string_agg(format('(%s)', pg_get_expr(p.polqual, p.polrelid)), ' or ') filter (where p.polpermissive),
           string_agg(format('(%s)', pg_get_expr(p.polqual, p.polrelid)), ' and ') filter (where not p.polpermissive)
    into allowed, required
    from pg_policy p
    where p.polrelid = entity and p.polcmd in ('r', '*')
      and exists (select from unnest(p.polroles) as r (id) where r.id = 0 or pg_has_role(role_name, r.id, 'usage'));
    begin
        perform rowcast.speak_as(role_name, claims);
        return query execute format(
            'select k.place::integer, null::text from pg_catalog.jsonb_array_elements($1) with ordinality as k (cells, place)
             where exists (select from pg_catalog.jsonb_populate_record(null::%s, k.cells) as %I where (%s) and (%s))',
            source, name, coalesce(allowed, 'false'), coalesce(required, 'true')) using old_rows::jsonb;
        perform set_config('role', held, true);
    exception when others then
        return query select null::integer, sqlerrm;
    end;
end $$;

-- Lets the rest of the transaction speak for a role with the claims of its token, as policies expect it.
create function rowcast.speak_as(role_name text, claims text) returns void language sql as $$
    select set_config('request.jwt.claims', claims, true),
           set_config('request.jwt.claim.sub', coalesce(claims::jsonb ->> 'sub', ''), true),
           set_config('request.jwt.claim.role', role_name, true),
           set_config('role', role_name, true);
$$;

-- Whether each of some values of a column passes one condition of a filter; null where SQL says null.
create function rowcast.filter_passes(entity regclass, column_name text, operator text, operands text[], cells text[])
returns boolean[] language plpgsql set datestyle = 'ISO, YMD' set timezone = 'UTC' set intervalstyle = 'postgres' as $$
declare
    type text;
    collation_words text;
    passed boolean[];
begin
    select format_type(a.atttypid, -1), case when a.attcollation = 0 then '' else ' collate ' || a.attcollation::regcollation end
    into type, collation_words
    from pg_attribute a where a.attrelid = entity and a.attname = column_name and a.attnum > 0 and not a.attisdropped;
    execute format(
        case operator
            when 'in' then 'select array_agg(u.cell::%1$s%2$s = any ($2::%1$s[]) order by u.n)'
            when 'like' then 'select array_agg(u.cell::%1$s%2$s ~~ $2[1] order by u.n)'
            when 'ilike' then 'select array_agg(u.cell::%1$s%2$s ~~* $2[1] order by u.n)'
            when 'match' then 'select array_agg(u.cell::%1$s%2$s ~ $2[1] order by u.n)'
            when 'imatch' then 'select array_agg(u.cell::%1$s%2$s ~* $2[1] order by u.n)'
            else 'select array_agg(u.cell::%1$s%2$s %3$s $2[1]::%1$s order by u.n)'
        end || ' from unnest($1) with ordinality as u (cell, n)',
        type, collation_words,
        case operator when 'eq' then '=' when 'neq' then '<>' when 'lt' then '<' when 'lte' then '<=' when 'gt' then '>'
            when 'gte' then '>=' when 'isdistinct' then 'is distinct from' end
    ) into passed using cells, operands;
    return passed;
end $$;

-- The texts that PostgreSQL itself gives to the literals of a filter, or why it cannot read them.
create function rowcast.filter_literals(entity regclass, column_name text, operator text, operands text[])
returns table (literals text[], fault text)
language plpgsql set datestyle = 'ISO, YMD' set timezone = 'UTC' set intervalstyle = 'postgres' as $$
declare
    type text;
begin
    select format_type(a.atttypid, -1) into type
    from pg_attribute a where a.attrelid = entity and a.attname = column_name and a.attnum > 0 and not a.attisdropped;
    begin
        perform rowcast.filter_passes(entity, column_name, operator, operands, array['']::text[])
            where operator in ('match', 'imatch', 'like', 'ilike');
        perform rowcast.filter_passes(entity, column_name, operator, operands, array[null]::text[]);
        literals := operands;
        if operator not in ('match', 'imatch', 'like', 'ilike') then
            -- As its output function writes it: a cast to text would give other words, `true` for `t`.
            execute format('select coalesce(array_agg(format(''%%s'', u.cell::%s) order by u.n), ''{}'') '
                           'from unnest($1) with ordinality as u (cell, n)', type) into literals using operands;
        end if;
    exception when others then
        fault := sqlerrm;
    end;
    return next;
end $$;

revoke all on function rowcast.visible_rows, rowcast.visible_old_rows, rowcast.speak_as, rowcast.filter_passes,
    rowcast.filter_literals from public;

-- The webhook platform: applications, event types, messages, and what an endpoint can be told beyond its URL.

-- What the webhook API calls an application is a tenant. `uid` is the caller's own name for it.
create table rowcast.application (
    tenant_id text primary key check (tenant_id <> ''),
    id text collate "C" not null unique,
    uid text unique,
    name text not null,
    throttle_rate integer check (throttle_rate > 0),
    metadata json not null default '{}',
    created_at timestamptz not null default clock_timestamp(),
    changed_at timestamptz not null default clock_timestamp()
);

-- Types that were added by the API, with a JSON Schema for each version. Types that classes declare are not kept here.
create table rowcast.event_type (
    name text collate "C" primary key,
    description text not null default '',
    schemas json,
    archived boolean not null default false,
    deprecated boolean not null default false,
    group_name text,
    feature_flags text[],
    created_at timestamptz not null default clock_timestamp(),
    changed_at timestamptz not null default clock_timestamp()
);

-- What a message has beside its event: the caller's own id of it, its channels, when it is posted, and until when its payload is
-- kept.
create table rowcast.message (
    event_id uuid primary key,
    tenant_id text not null check (tenant_id <> ''),
    uid text,
    channels text[],
    tags text[],
    raw_payload text,
    content_type text,
    deliver_at timestamptz,
    expires_at timestamptz,
    expunged_at timestamptz
);

create unique index message_uid on rowcast.message (tenant_id, uid) where uid is not null;
create index message_expires on rowcast.message (expires_at) where expires_at is not null and expunged_at is null;

-- What was said of some events whom they are for and when, and which of these events are not seen yet. Both are asked one by one, so
-- that no plan ever reads all events or all messages, not even one that was made while a day had none. One plan for good: to plan it
-- for each batch, over all partitions, takes longer than the answer.
create function rowcast.message_terms(event_ids uuid[])
returns table (id uuid, channels text[], deliver_at timestamptz, is_seen boolean)
language plpgsql stable
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
as $$
#variable_conflict use_column
begin
    return query
    select asked.id, m.channels, m.deliver_at,
           m.event_id is not null or coalesce((select true from rowcast.event e where e.id = asked.id), false)
    from unnest(event_ids) as asked (id)
    left join lateral (
        select event_id, channels, deliver_at from rowcast.message where event_id = asked.id limit 1
    ) m on true
    where m.channels is not null or m.deliver_at is not null
       or m.event_id is null and (select true from rowcast.event e where e.id = asked.id) is null;
end
$$;

revoke execute on function rowcast.message_terms from public;

create unique index endpoint_uid on rowcast.endpoint (tenant_id, uid) where uid is not null;

-- The secrets of an endpoint, sealed. The one without an end is in use; the others sign beside it until theirs.
create table rowcast.endpoint_secret (
    id bigint generated always as identity primary key,
    tenant_id text not null,
    endpoint_id text not null references rowcast.endpoint (id) on delete cascade,
    sealed bytea not null,
    created_at timestamptz not null default clock_timestamp(),
    expires_at timestamptz
);

create index endpoint_secret_of on rowcast.endpoint_secret (endpoint_id, id);
create unique index endpoint_secret_in_use on rowcast.endpoint_secret (endpoint_id) where expires_at is null;
create index endpoint_secret_end on rowcast.endpoint_secret (expires_at) where expires_at is not null;

-- Attempts at posting messages as the webhook API shows them: 0 success, 2 fail, 4 canceled.
create view rowcast.message_attempt with (security_invoker = true) as
    select d.tenant_id, d.event_id, d.target, d.id as delivery_id, a.fence, a.attempt, a.outcome, a.code, a.reason, a.excerpt,
           a.detail, a.started_at, a.latency_ms, p.url, d.replay_of is not null or d.rule = 'resend' as is_manual,
           case when a.outcome = 'delivered' then 0
                when a.reason in ('endpoint_disabled', 'expunged', 'cancelled') then 4 else 2 end as attempt_status,
           e.id, e.event_type, e.payload, e.created_at, m.uid, m.channels, m.tags, m.deliver_at,
           m.expunged_at is not null as is_expunged
    from rowcast.delivery d
    join rowcast.attempt a on a.delivery_id = d.id
    left join rowcast.event e on e.id = d.event_id
    left join rowcast.message m on m.event_id = d.event_id
    left join rowcast.endpoint p on p.id = d.target and p.tenant_id = d.tenant_id
    where d.sink = 'webhooks' and d.event_id is not null;

-- Where each message stands with each endpoint that is or was owed it: the last of its deliveries, 1 pending and 3 sending beside these.
create view rowcast.message_leg with (security_invoker = true) as
    select d.tenant_id, d.event_id, d.target, d.id as delivery_id, d.status,
           case d.status when 'delivered' then 0 when 'waiting' then 1 when 'dead' then 2 when 'running' then 3 else 4 end as leg_status,
           case d.status when 'waiting' then d.due_at end as next_at
    from rowcast.delivery d
    where d.sink = 'webhooks' and d.event_id is not null and not exists (
        select from rowcast.delivery n
        where n.event_id = d.event_id and n.sink = d.sink and n.target = d.target and n.id > d.id);

-- How far a long task of the API has come: recover, replay what is missing, bulk replay. `position` is the last row that it has looked at.
create table rowcast.background_task (
    id text collate "C" primary key,
    tenant_id text not null check (tenant_id <> ''),
    endpoint_id text not null,
    task text not null,
    status text not null default 'running' check (status in ('running', 'finished', 'failed')),
    arguments json not null default '{}',
    position bigint not null default 0,
    replayed bigint not null default 0,
    failures integer not null default 0,
    reason text not null default '',
    created_at timestamptz not null default clock_timestamp(),
    changed_at timestamptz not null default clock_timestamp()
);

create index background_task_running on rowcast.background_task (changed_at) where status = 'running';
create index background_task_of on rowcast.background_task (tenant_id, id);

-- How far the consumers of an endpoint have come that is polled, in numbers of events: `position` is theirs, up to `given` they were given.
create table rowcast.poll_consumer (
    tenant_id text not null check (tenant_id <> ''),
    endpoint_id text not null references rowcast.endpoint (id) on delete cascade,
    name text not null,
    position bigint not null,
    given bigint not null,
    changed_at timestamptz not null default clock_timestamp(),
    primary key (endpoint_id, name)
);

-- Answers to requests with an idempotency key: the same key and request again get the same answer.
create table rowcast.idempotent_answer (
    caller text not null,
    key text not null,
    request_hash bytea not null,
    status integer,
    body bytea,
    created_at timestamptz not null default clock_timestamp(),
    primary key (caller, key)
);

create index idempotent_answer_age on rowcast.idempotent_answer (created_at);

-- Links into the portal: used once, short-lived; what they open is a key of that tenant.
create table rowcast.portal_link (
    hash bytea primary key,
    tenant_id text not null check (tenant_id <> ''),
    options json not null default '{}',
    created_at timestamptz not null default clock_timestamp(),
    expires_at timestamptz not null,
    used_at timestamptz
);

-- Senders whose webhooks come in at /in/<id>; the types of their events begin with `name`. The secrets are sealed JSON.
create table rowcast.incoming_source (
    id text primary key,
    tenant_id text not null check (tenant_id <> ''),
    name text not null,
    scheme text not null,
    secrets bytea not null,
    options json not null default '{}',
    disabled boolean not null default false,
    created_at timestamptz not null default clock_timestamp(),
    changed_at timestamptz not null default clock_timestamp()
);

create index incoming_source_of on rowcast.incoming_source (tenant_id, id);

-- A sender repeats what it believes lost: its own id of a delivery is taken once.
create table rowcast.incoming_delivery (
    source_id text not null references rowcast.incoming_source (id) on delete cascade,
    delivery_id text not null,
    tenant_id text not null,
    event_id uuid not null,
    received_at timestamptz not null default clock_timestamp(),
    primary key (source_id, delivery_id)
);

create index incoming_delivery_age on rowcast.incoming_delivery (received_at);

alter table rowcast.application enable row level security;
alter table rowcast.application force row level security;
create policy engine on rowcast.application to current_user using (true) with check (true);
create policy tenant on rowcast.application for select using (tenant_id = rowcast.current_tenant());
alter table rowcast.message enable row level security;
alter table rowcast.message force row level security;
create policy engine on rowcast.message to current_user using (true) with check (true);
create policy tenant on rowcast.message for select using (tenant_id = rowcast.current_tenant());
alter table rowcast.endpoint_secret enable row level security;
alter table rowcast.endpoint_secret force row level security;
create policy engine on rowcast.endpoint_secret to current_user using (true) with check (true);
create policy tenant on rowcast.endpoint_secret for select using (tenant_id = rowcast.current_tenant());
alter table rowcast.background_task enable row level security;
alter table rowcast.background_task force row level security;
create policy engine on rowcast.background_task to current_user using (true) with check (true);
create policy tenant on rowcast.background_task for select using (tenant_id = rowcast.current_tenant());
alter table rowcast.poll_consumer enable row level security;
alter table rowcast.poll_consumer force row level security;
create policy engine on rowcast.poll_consumer to current_user using (true) with check (true);
create policy tenant on rowcast.poll_consumer for select using (tenant_id = rowcast.current_tenant());
alter table rowcast.portal_link enable row level security;
alter table rowcast.portal_link force row level security;
create policy engine on rowcast.portal_link to current_user using (true) with check (true);
create policy tenant on rowcast.portal_link for select using (tenant_id = rowcast.current_tenant());
alter table rowcast.incoming_source enable row level security;
alter table rowcast.incoming_source force row level security;
create policy engine on rowcast.incoming_source to current_user using (true) with check (true);
create policy tenant on rowcast.incoming_source for select using (tenant_id = rowcast.current_tenant());
alter table rowcast.incoming_delivery enable row level security;
alter table rowcast.incoming_delivery force row level security;
create policy engine on rowcast.incoming_delivery to current_user using (true) with check (true);
create policy tenant on rowcast.incoming_delivery for select using (tenant_id = rowcast.current_tenant());

grant select on rowcast.application, rowcast.message to rowcast_app;
grant select (uid, channels, throttle_rate, metadata, version, log_level, failing_since, disabled_at, disabled_reason)
    on rowcast.endpoint to rowcast_app;
