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
    error text,
    fingerprint text,
    payload json,
    result json,
    replay_of bigint,
    created_at timestamptz not null default clock_timestamp(),
    settled_at timestamptz
);

create index delivery_due on rowcast.delivery (sink, priority, due_at, id) where status = 'waiting';
create index delivery_leased on rowcast.delivery (leased_until) where status = 'running';
create index delivery_dead on rowcast.delivery (fingerprint, id) where status = 'dead';
create index delivery_event on rowcast.delivery (event_id);
create index delivery_tenant on rowcast.delivery (tenant_id, id);

-- One attempt, identified by the claim (`fence`) that made it. `lost`: its worker never came back and the lease ran out.
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

-- One rate limit each: the theoretical arrival time of the next permitted attempt (GCRA), by the database's clock.
create table rowcast.rate_limit (
    tenant_id text not null,
    key text not null,
    arrives_at timestamptz not null,
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
