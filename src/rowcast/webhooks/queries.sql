-- name: add_endpoint
-- A new endpoint of one tenant.
insert into rowcast.endpoint (tenant_id, id, url, description, event_types, secret)
values (:tenant_id, :id, :url, :description, :event_types, :secret)
returning id, tenant_id, url, description, event_types, disabled, created_at, changed_at;

-- name: get_endpoint
-- One endpoint of one tenant.
select id, tenant_id, url, description, event_types, disabled, created_at, changed_at
from rowcast.endpoint
where tenant_id = :tenant_id and id = :id;

-- name: get_secret
-- The secret of one endpoint, for whoever may see it.
select secret from rowcast.endpoint where tenant_id = :tenant_id and id = :id;

-- name: list_endpoints
-- One page of a tenant's endpoints, oldest first.
select id, tenant_id, url, description, event_types, disabled, created_at, changed_at
from rowcast.endpoint
where tenant_id = :tenant_id and id > :after
order by id
limit :most;

-- name: update_endpoint
-- Replaces what a tenant may change of an endpoint.
update rowcast.endpoint
set url = :url, description = :description, event_types = :event_types, disabled = :disabled,
    changed_at = clock_timestamp()
where tenant_id = :tenant_id and id = :id
returning id, tenant_id, url, description, event_types, disabled, created_at, changed_at;

-- name: delete_endpoint
-- Removes an endpoint; deliveries still owed to it become dead letters when they are due.
delete from rowcast.endpoint where tenant_id = :tenant_id and id = :id returning id;

-- name: disable_endpoint
-- Stops an endpoint; tells whether it was running.
update rowcast.endpoint set disabled = true, changed_at = clock_timestamp()
where tenant_id = :tenant_id and id = :id and not disabled
returning id;

-- name: endpoints_of_tenants
-- The running endpoints of a set of tenants, oldest first.
select id, tenant_id, url, description, event_types, disabled, created_at, changed_at
from rowcast.endpoint
where tenant_id = any(:tenant_ids::text[]) and not disabled
order by tenant_id, id;

-- name: signing_endpoints
-- What one attempt each needs of a set of endpoints, each asked for by tenant and id.
select e.tenant_id, e.id, e.url, e.secret, e.disabled
from unnest(:tenant_ids::text[], :ids::text[]) as asked (tenant_id, id)
join rowcast.endpoint e on e.tenant_id = asked.tenant_id and e.id = asked.id;
