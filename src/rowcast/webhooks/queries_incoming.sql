-- name: add_source
-- A new source of one tenant.
insert into rowcast.incoming_source (tenant_id, id, name, scheme, secrets, options)
values (:tenant_id, :id, :name, :scheme, :secrets, :options)
returning id, tenant_id, name, scheme, secrets, options::text as options, disabled, created_at, changed_at;

-- name: get_source
-- One source of one tenant.
select id, tenant_id, name, scheme, secrets, options::text as options, disabled, created_at, changed_at
from rowcast.incoming_source
where tenant_id = :tenant_id and id = :id;

-- name: list_sources
-- One page of a tenant's sources, oldest first.
select id, tenant_id, name, scheme, secrets, options::text as options, disabled, created_at, changed_at
from rowcast.incoming_source
where tenant_id = :tenant_id and id > :after
order by id
limit :most;

-- name: update_source
-- Replaces what a tenant may change of a source.
update rowcast.incoming_source
set options = :options, disabled = :disabled, changed_at = clock_timestamp()
where tenant_id = :tenant_id and id = :id
returning id, tenant_id, name, scheme, secrets, options::text as options, disabled, created_at, changed_at;

-- name: delete_source
-- Removes a source; what comes in for it afterwards finds nobody.
delete from rowcast.incoming_source where tenant_id = :tenant_id and id = :id returning id;

-- name: hold_source
-- One source, held until its secrets have been rotated.
select id, scheme, secrets from rowcast.incoming_source where tenant_id = :tenant_id and id = :id for update;

-- name: set_source_secrets
-- Replaces the secrets of a source.
update rowcast.incoming_source set secrets = :secrets, changed_at = clock_timestamp()
where tenant_id = :tenant_id and id = :id;

-- name: find_source
-- Whose source a request has come in for: its URL names no tenant.
select id, tenant_id, name, scheme, secrets, options::text as options, disabled, created_at, changed_at
from rowcast.incoming_source
where id = :id;

-- name: take_deliveries
-- Keeps a sender's ids of deliveries, always in one order, and gives those that are new.
insert into rowcast.incoming_delivery (source_id, delivery_id, tenant_id, event_id)
select :source_id, taken.delivery_id, :tenant_id, taken.event_id
from unnest(:delivery_ids::text[], :event_ids::uuid[]) as taken (delivery_id, event_id)
order by taken.delivery_id
on conflict (source_id, delivery_id) do nothing
returning delivery_id;

-- name: forget_deliveries
-- Removes what is known of the oldest deliveries: no sender repeats them any more.
delete from rowcast.incoming_delivery d using (
    select o.source_id, o.delivery_id from rowcast.incoming_delivery o
    where o.received_at < clock_timestamp() - make_interval(days => :days)
    order by o.received_at limit :most for update skip locked
) old
where d.source_id = old.source_id and d.delivery_id = old.delivery_id
returning d.delivery_id;
