-- name: add_endpoint
-- A new endpoint of one tenant.
insert into rowcast.endpoint (tenant_id, id, uid, url, description, event_types, channels, throttle_rate, metadata, version,
                              disabled, disabled_at, signature_scheme, is_ordered, retry_schedule_s, log_level)
values (:tenant_id, :id, :uid, :url, :description, :event_types, :channels, :throttle_rate, :metadata, :version,
        :disabled::boolean, case when :disabled::boolean then clock_timestamp() end, :signature_scheme, :is_ordered,
        :retry_schedule_s, :log_level)
returning id, tenant_id, uid, url, description, event_types, channels, throttle_rate, metadata, version, disabled as is_disabled,
          signature_scheme, is_ordered, retry_schedule_s, log_level, coalesce((transform ->> 'enabled')::boolean, false) as is_transformed,
          failing_since, disabled_at, coalesce(disabled_reason, '') as disabled_reason, created_at, changed_at;

-- name: has_all_endpoints
-- Whether a tenant has so many endpoints already.
select count(*) >= :most::bigint as is_full
from (select from rowcast.endpoint where tenant_id = :tenant_id limit :most::bigint) as counted;

-- name: named_endpoint
-- The endpoint of one tenant with this id or uid. No uid looks like an id.
select id, tenant_id, uid, url, description, event_types, channels, throttle_rate, metadata, version, disabled as is_disabled,
       signature_scheme, is_ordered, retry_schedule_s, log_level, coalesce((transform ->> 'enabled')::boolean, false) as is_transformed,
       failing_since, disabled_at, coalesce(disabled_reason, '') as disabled_reason, created_at, changed_at
from rowcast.endpoint
where tenant_id = :tenant_id and (id = :name::text or uid = :name::text);

-- name: named_endpoint_held
-- The same, held until the transaction ends: what is changed of it is changed by one after the other.
select id, tenant_id, uid, url, description, event_types, channels, throttle_rate, metadata, version, disabled as is_disabled,
       signature_scheme, is_ordered, retry_schedule_s, log_level, coalesce((transform ->> 'enabled')::boolean, false) as is_transformed,
       failing_since, disabled_at, coalesce(disabled_reason, '') as disabled_reason, created_at, changed_at
from rowcast.endpoint
where tenant_id = :tenant_id and (id = :name::text or uid = :name::text)
for no key update;

-- name: list_endpoints
-- One page of a tenant's endpoints, in the order of their making or the other way round.
(select id, tenant_id, uid, url, description, event_types, channels, throttle_rate, metadata, version, disabled as is_disabled,
       signature_scheme, is_ordered, retry_schedule_s, log_level, coalesce((transform ->> 'enabled')::boolean, false) as is_transformed,
       failing_since, disabled_at, coalesce(disabled_reason, '') as disabled_reason, created_at, changed_at
 from rowcast.endpoint
 where not :is_falling::boolean and tenant_id = :tenant_id and id > :after::text
 order by id limit :most)
union all
(select id, tenant_id, uid, url, description, event_types, channels, throttle_rate, metadata, version, disabled as is_disabled,
       signature_scheme, is_ordered, retry_schedule_s, log_level, coalesce((transform ->> 'enabled')::boolean, false) as is_transformed,
       failing_since, disabled_at, coalesce(disabled_reason, '') as disabled_reason, created_at, changed_at
 from rowcast.endpoint
 where :is_falling::boolean and tenant_id = :tenant_id and (:after::text = '' or id < :after::text)
 order by id desc limit :most);

-- name: update_endpoint
-- Replaces what a tenant may change of an endpoint.
update rowcast.endpoint
set uid = :uid, url = :url, description = :description, event_types = :event_types, channels = :channels,
    throttle_rate = :throttle_rate, metadata = :metadata, version = :version, is_ordered = :is_ordered,
    retry_schedule_s = :retry_schedule_s, log_level = :log_level, disabled = :disabled::boolean,
    -- Enabled again, or posted to elsewhere, it begins anew.
    disabled_at = case when :disabled::boolean then coalesce(disabled_at, clock_timestamp()) end,
    disabled_reason = case when :disabled::boolean then disabled_reason end,
    failing_since = case when :disabled::boolean or not disabled and url = :url then failing_since end,
    changed_at = clock_timestamp()
where tenant_id = :tenant_id and id = :id
returning id, tenant_id, uid, url, description, event_types, channels, throttle_rate, metadata, version, disabled as is_disabled,
          signature_scheme, is_ordered, retry_schedule_s, log_level, coalesce((transform ->> 'enabled')::boolean, false) as is_transformed,
          failing_since, disabled_at, coalesce(disabled_reason, '') as disabled_reason, created_at, changed_at;

-- name: sealed_headers
-- The headers of one endpoint, sealed.
select headers as sealed from rowcast.endpoint where tenant_id = :tenant_id and id = :id;

-- name: seal_headers
-- Replaces the headers of one endpoint.
update rowcast.endpoint set headers = :sealed, changed_at = clock_timestamp() where tenant_id = :tenant_id and id = :id;

-- name: sealed_authentication
-- How one endpoint's receiver knows us, sealed.
select authentication as sealed from rowcast.endpoint where tenant_id = :tenant_id and id = :id;

-- name: seal_authentication
-- Replaces how one endpoint's receiver knows us.
update rowcast.endpoint set authentication = :sealed, changed_at = clock_timestamp()
where tenant_id = :tenant_id and id = :id;

-- name: endpoint_transformation
-- The transformation of one endpoint, enabled or not.
select transform from rowcast.endpoint where tenant_id = :tenant_id and id = :id;

-- name: set_transformation
-- Replaces the transformation of one endpoint.
update rowcast.endpoint set transform = :transform, changed_at = clock_timestamp() where tenant_id = :tenant_id and id = :id;

-- name: delete_endpoint
-- Removes an endpoint; deliveries still owed to it become dead letters when they are due.
delete from rowcast.endpoint where tenant_id = :tenant_id and id = :id returning id;

-- name: disable_endpoint
-- Stops an endpoint; tells whether it was running.
update rowcast.endpoint set disabled = true, changed_at = clock_timestamp()
where tenant_id = :tenant_id and id = :id and not disabled
returning id;

-- name: endpoints_of_tenants
-- The endpoints of a set of tenants, the disabled ones too, oldest first.
select id, tenant_id, uid, url, description, event_types, channels, throttle_rate, metadata, version, disabled as is_disabled,
       signature_scheme, is_ordered, retry_schedule_s, log_level, coalesce((transform ->> 'enabled')::boolean, false) as is_transformed,
       failing_since, disabled_at, coalesce(disabled_reason, '') as disabled_reason, created_at, changed_at
from rowcast.endpoint
where tenant_id = any(:tenant_ids::text[])
order by tenant_id, id;

-- name: signing_endpoints
-- What one attempt each needs of a set of endpoints, each asked for by tenant and id; the secret in use comes first.
select e.tenant_id, e.id, e.url, e.disabled, e.disabled_reason, e.failing_since, e.retry_schedule_s, e.log_level,
       e.headers, e.authentication, case when e.transform ->> 'enabled' = 'true' then e.transform end as transformation,
       array(
           select s.sealed from rowcast.endpoint_secret s
           where s.endpoint_id = e.id and (s.expires_at is null or s.expires_at > :now)
           order by s.expires_at is not null, s.id desc
       ) as sealed
from unnest(:tenant_ids::text[], :ids::text[]) as asked (tenant_id, id)
join rowcast.endpoint e on e.tenant_id = asked.tenant_id and e.id = asked.id;

-- name: throttle_rates
-- Messages a second to each of those endpoints that run: their own rate, at most their tenant's; null where neither says one.
select e.tenant_id, e.id, least(e.throttle_rate, a.throttle_rate) as rate
from unnest(:tenant_ids::text[], :ids::text[]) as asked (tenant_id, id)
join rowcast.endpoint e on e.tenant_id = asked.tenant_id and e.id = asked.id and not e.disabled
left join rowcast.application a on a.tenant_id = e.tenant_id;

-- name: shorten_line
-- What waits for the rate that some endpoints had is due now: those that may not go yet get new places, as close as the new rate allows.
with line as (
    update rowcast.rate_limit r set queued_until = '-infinity'
    from unnest(:tenant_ids::text[], :keys::text[]) as asked (tenant_id, key)
    where r.tenant_id = asked.tenant_id and r.key = 'webhooks ' || asked.key
)
update rowcast.delivery d set due_at = clock_timestamp()
from unnest(:tenant_ids::text[], :keys::text[]) as asked (tenant_id, key)
where d.sink = 'webhooks' and d.tenant_id = asked.tenant_id and d.key = asked.key
  and d.status = 'waiting' and d.held <> '' and d.held = 'rate_limit' and d.due_at > clock_timestamp();

-- name: endpoint_fails
-- The first failure after a success, or the first of all.
update rowcast.endpoint set failing_since = clock_timestamp()
where tenant_id = :tenant_id and id = :id and failing_since is null and not disabled;

-- name: endpoint_works
-- A success: what failed before no longer counts.
update rowcast.endpoint set failing_since = null
where tenant_id = :tenant_id and id = :id and failing_since is not null;

-- name: give_up_endpoint
-- Stops an endpoint and says why; tells whether it was running, and still the one that the attempt was made at: one that got another
-- URL meanwhile, or for a failure too many was healed, goes on. Enabled again, it begins anew.
update rowcast.endpoint
set disabled = true, disabled_at = clock_timestamp(), disabled_reason = :reason, failing_since = null,
    changed_at = clock_timestamp()
where tenant_id = :tenant_id and id = :id and not disabled and url = :url
  and (not :is_healable::boolean or failing_since = :failing_since)
returning id;

-- name: emit_operational
-- An event about one endpoint, to the tenant that looks after all of them.
select rowcast.emit(:to_tenant, :event_type,
                    jsonb_build_object('appId', coalesce(a.id, e.tenant_id), 'appUid', coalesce(a.uid, e.tenant_id),
                                       'endpointId', e.id, 'endpointUid', e.uid) || :facts::text::jsonb) as id
from rowcast.endpoint e left join rowcast.application a on a.tenant_id = e.tenant_id
where e.tenant_id = :tenant_id and e.id = :endpoint_id;
