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

alter table rowcast.endpoint
    add uid text,
    add channels text[],
    add throttle_rate integer check (throttle_rate > 0),
    add metadata json not null default '{}',
    add version integer not null default 1,
    -- Sealed JSON: headers of the tenant's own, and how to be known to its receiver (basic, OAuth 2, client certificate).
    add headers bytea,
    add authentication bytea,
    add signature_scheme text not null default 'v1' check (signature_scheme in ('v1', 'v1a')),
    add transform json,
    add is_ordered boolean not null default false,
    add retry_schedule_s double precision[],
    add log_level text not null default 'all' check (log_level in ('all', 'failures')),
    -- Since when every attempt has failed, and why and when it was disabled; null where it works.
    add failing_since timestamptz,
    add disabled_at timestamptz,
    add disabled_reason text;

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

-- What was kept so far is not sealed, which the first byte says; `rowcast secrets rotate` seals it.
insert into rowcast.endpoint_secret (tenant_id, endpoint_id, sealed)
select tenant_id, id, '\x00'::bytea || convert_to(secret, 'UTF8') from rowcast.endpoint;
alter table rowcast.endpoint drop column secret;

-- What one attempt was and got, for a person to look at: URL, headers, answer, and the split of its time.
alter table rowcast.attempt add detail json;

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

-- A key that a link was traded for is one of the portal; its session may be ended.
alter table rowcast.api_key add session text;

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
