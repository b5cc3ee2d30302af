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
select id, tenant_id, name, scopes, created_at, expires_at, revoked_at, session
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

-- name: lock_idempotency_key
-- Takes the turn of a caller's key until the transaction ends; false where another request has it.
select pg_try_advisory_xact_lock(hashtextextended(:caller || ' ' || :key, 7401)) as is_ours;

-- name: kept_answer
-- The answer that was given to a caller's key, as long as it is kept.
select request_hash, status, body from rowcast.idempotent_answer
where caller = :caller and key = :key and created_at > clock_timestamp() - make_interval(secs => :kept_s);

-- name: keep_answer
-- Keeps an answer; one that is kept no longer makes room.
insert into rowcast.idempotent_answer (caller, key, request_hash, status, body)
values (:caller, :key, :request_hash, :status, :body)
on conflict (caller, key) do update
set request_hash = excluded.request_hash, status = excluded.status, body = excluded.body, created_at = excluded.created_at;

-- name: drop_answers
-- Removes some answers that are kept no longer, the oldest first.
delete from rowcast.idempotent_answer a using (
    select o.caller, o.key from rowcast.idempotent_answer o
    where o.created_at < clock_timestamp() - make_interval(secs => :kept_s)
    order by o.created_at limit :most for update skip locked
) old
where a.caller = old.caller and a.key = old.key
returning a.key;

-- name: add_portal_link
-- A link into the portal; only the hash of its token is kept.
insert into rowcast.portal_link (hash, tenant_id, options, expires_at)
values (:hash, :tenant_id, :options, clock_timestamp() + make_interval(secs => :lives_s));

-- name: use_portal_link
-- Takes a link that is in force and was not used.
update rowcast.portal_link set used_at = clock_timestamp()
where hash = :hash and used_at is null and expires_at > clock_timestamp()
returning tenant_id, options;

-- name: create_portal_key
-- The key that a link is traded for.
insert into rowcast.api_key (id, tenant_id, name, hash, scopes, expires_at, session)
values (:id, :tenant_id, 'portal', :hash, :scopes, clock_timestamp() + make_interval(secs => :lives_s), :session)
returning expires_at;

-- name: end_portal_key
-- Ends a key of the portal, and no other.
update rowcast.api_key set revoked_at = clock_timestamp()
where id = :id and session is not null and revoked_at is null returning id;

-- name: end_portal_keys
-- Ends a tenant's keys of the portal after some seconds, all or those of some sessions.
update rowcast.api_key set expires_at = least(expires_at, clock_timestamp() + make_interval(secs => :after_s))
where tenant_id = :tenant_id and revoked_at is null and session is not null
  and (:sessions::text[] is null or session = any(:sessions::text[]));

-- name: end_portal_links
-- Ends a tenant's links into the portal that were not used, all or those of some sessions.
update rowcast.portal_link set expires_at = least(expires_at, clock_timestamp())
where tenant_id = :tenant_id and used_at is null
  and (:sessions::text[] is null or options ->> 'session' = any(:sessions::text[]));

-- name: drop_portal_links
-- Removes some links that ended a day ago.
delete from rowcast.portal_link l using (
    select hash from rowcast.portal_link where expires_at < clock_timestamp() - interval '1 day'
    order by expires_at, hash limit :most for update skip locked
) old
where l.hash = old.hash
returning l.hash;
