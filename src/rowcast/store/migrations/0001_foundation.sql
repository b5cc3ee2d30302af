-- The schema, the role that applications are given, and the words every later migration uses.

create schema if not exists rowcast;

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
    revoked_at timestamptz
);

alter table rowcast.api_key enable row level security;
alter table rowcast.api_key force row level security;
create policy engine on rowcast.api_key to current_user using (true) with check (true);
create policy tenant on rowcast.api_key using (tenant_id = rowcast.current_tenant());
