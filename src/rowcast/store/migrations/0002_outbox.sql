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
    changed_at timestamptz not null default clock_timestamp()
);

insert into rowcast.feed_cursor (shard) select generate_series(0, 63);

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
