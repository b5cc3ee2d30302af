-- name: create_key
-- A new API key; only its hash is kept.
insert into rowcast.api_key (id, tenant_id, name, hash, scopes, expires_at)
values (:id, :tenant_id, :name, :hash, :scopes, :expires_at);

-- name: list_keys
-- All keys, in force or not.
select id, tenant_id, name, scopes, created_at, expires_at, revoked_at from rowcast.api_key order by created_at, id;

-- name: revoke_key
-- Ends a key that is in force.
update rowcast.api_key set revoked_at = clock_timestamp() where id = :id and revoked_at is null returning id;

-- name: find_key
-- The key in force with this hash.
select id, tenant_id, name, scopes, created_at, expires_at, revoked_at
from rowcast.api_key
where hash = :hash and revoked_at is null and (expires_at is null or expires_at > clock_timestamp());

-- name: advance_order
-- The sample shop: one order takes its next step.
update public.orders
set status = (:next_statuses::text[])[array_position(:statuses::text[], status)], updated_at = now()
where id = (select id from public.orders order by id offset floor(:pick::float8 * (select count(*) from public.orders)) limit 1);

-- name: stream_rights
-- Whether the write-ahead log can be streamed by this role. Amazon gives the right by a membership, everybody else by the attribute.
select current_setting('wal_level') as wal_level,
       exists (select from pg_roles r
               where r.rolname = current_user and (r.rolsuper or r.rolreplication)
                  or r.rolname = 'rds_replication' and pg_has_role(r.oid, 'member')) as may_replicate,
       exists (select from pg_publication where pubname = 'rowcast_events')
       or has_database_privilege(current_database(), 'create') as may_publish;

-- name: keep_key
-- A key of a development server, the same at each start.
insert into rowcast.api_key (id, name, hash, scopes) values (:id, :name, :hash, :scopes)
on conflict (id) do update set hash = excluded.hash, scopes = excluded.scopes;

-- name: doctor
-- What the server says of itself.
select current_setting('server_version_num') as version,
       current_setting('wal_level') as wal_level,
       (select setting from pg_settings where name = 'max_slot_wal_keep_size') as slot_bytes,
       (select string_agg(slot_name, ', ') from pg_replication_slots where wal_status = 'lost' and database = current_database()) as lost_slots,
       clock_timestamp() as now;

-- name: seen_tenants
-- Tenants that have events, in the order of their names; it goes from one to the next by the index.
with recursive seen (tenant_id) as (
    (select e.tenant_id from rowcast.event e order by e.tenant_id limit 1)
    union all
    select (select e.tenant_id from rowcast.event e where e.tenant_id > s.tenant_id order by e.tenant_id limit 1)
    from seen s where s.tenant_id is not null
)
select tenant_id from seen where tenant_id is not null limit :limit;

-- name: is_tenant_seen
-- Whether a tenant has events.
select exists (select from rowcast.event where tenant_id = :tenant_id) as is_seen;

-- name: is_relayed_now
-- Whether any relay works on this database: a claim feed, or the reader of a replication slot.
select exists (
    select from pg_locks where locktype = 'advisory' and classid = :lock_class::integer::oid and objid = :live_lock::integer::oid
      and objsubid = 2 and granted and database = (select oid from pg_database where datname = current_database())
) or exists (
    select from pg_replication_slots where active and database = current_database() and slot_name like 'rowcast%'
) as is_relayed;

-- name: realtime_rights
-- Which roles of tokens our role may not act as, what is missing for it, whether the service's role passes by policies, and whether
-- messages of the database lie in a table of ours, where they are in order.
select current_user::text as owner,
       array(select wanted from unnest(array['anon', 'authenticated', 'service_role']) as wanted
             where not rowcast.may_act_as(wanted::name)) as closed_roles,
       exists (select 1 from pg_roles where rolname = 'service_role' and rolbypassrls)
       or exists (select 1 from pg_policy where polrelid = to_regclass('realtime.messages') and polname = 'service_role')
           as is_service_free,
       exists (select 1 from pg_publication where pubname = 'supabase_realtime') as has_publication,
       (select count(*) = 3 from pg_attribute where attrelid = to_regclass('realtime.messages')
        and attname in ('seq', 'tenant_id', 'transaction_id') and not attisdropped) as has_order;
