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
