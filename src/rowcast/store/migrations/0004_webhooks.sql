-- Webhook endpoints: where a tenant wants its events posted.

create table rowcast.endpoint (
    id text primary key,
    tenant_id text not null check (tenant_id <> ''),
    url text not null,
    description text not null default '',
    event_types text[],
    secret text not null,
    disabled boolean not null default false,
    created_at timestamptz not null default clock_timestamp(),
    changed_at timestamptz not null default clock_timestamp()
);

create index endpoint_tenant on rowcast.endpoint (tenant_id, id);

alter table rowcast.endpoint enable row level security;
alter table rowcast.endpoint force row level security;
create policy engine on rowcast.endpoint to current_user using (true) with check (true);
create policy tenant on rowcast.endpoint using (tenant_id = rowcast.current_tenant());
grant select (id, tenant_id, url, description, event_types, disabled, created_at, changed_at) on rowcast.endpoint to rowcast_app;
