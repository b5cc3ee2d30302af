-- name: find_application
-- The application with this id, uid or tenant, in this order.
select id, tenant_id, uid, name, throttle_rate, metadata, created_at, changed_at
from rowcast.application
where (:tenant_id::text is null or tenant_id = :tenant_id)
  and (id = :name::text or uid = :name::text or tenant_id = :name::text)
order by case when id = :name::text then 0 when uid = :name::text then 1 else 2 end
limit 1;

-- name: hold_application
-- One application, held until the transaction ends: who changes a part of it keeps what another one changes.
select id, tenant_id, uid, name, throttle_rate, metadata, created_at, changed_at
from rowcast.application where tenant_id = :tenant_id for update;

-- name: adopt_tenant
-- Makes an application of a tenant that has an endpoint.
insert into rowcast.application (tenant_id, id, uid, name)
select :tenant_id::text, :id, case when starts_with(:tenant_id::text, 'app_') then null else :tenant_id::text end, :tenant_id::text
where exists (select from rowcast.endpoint where tenant_id = :tenant_id::text)
on conflict do nothing;

-- name: add_application
-- A new application. Where the tenant of that name is another application already, it is a tenant by its id.
insert into rowcast.application (tenant_id, id, uid, name, throttle_rate, metadata)
select case when exists (select from rowcast.application where tenant_id = :tenant_id::text) then :id::text else :tenant_id::text end,
       :id::text, :uid, :name, :throttle_rate, :metadata
returning id, tenant_id, uid, name, throttle_rate, metadata, created_at, changed_at;

-- name: replace_application
-- Replaces what is said about an application.
update rowcast.application
set uid = :uid, name = :name, throttle_rate = :throttle_rate, metadata = :metadata, changed_at = clock_timestamp()
where tenant_id = :tenant_id
returning id, tenant_id, uid, name, throttle_rate, metadata, created_at, changed_at;

-- name: delete_application
-- Removes an application's row.
delete from rowcast.application where tenant_id = :tenant_id;

-- name: delete_endpoints_of
-- Removes all endpoints of a tenant.
delete from rowcast.endpoint where tenant_id = :tenant_id;

-- name: cancel_webhooks_of
-- Takes a tenant's webhooks off the queue. One that is posted just now finds no endpoint when it is tried again.
update rowcast.delivery set status = 'cancelled', held = '', settled_at = clock_timestamp()
where tenant_id = :tenant_id and sink = 'webhooks' and status = 'waiting';

-- name: list_applications
-- One page of applications, in the order of their making or the other way round.
(select id, tenant_id, uid, name, throttle_rate, metadata, created_at, changed_at
 from rowcast.application
 where not :is_falling::boolean and id > :after::text and (:tenant_id::text is null or tenant_id = :tenant_id)
 order by id limit :most)
union all
(select id, tenant_id, uid, name, throttle_rate, metadata, created_at, changed_at
 from rowcast.application
 where :is_falling::boolean and (:after::text = '' or id < :after::text) and (:tenant_id::text is null or tenant_id = :tenant_id)
 order by id desc limit :most);

-- name: hold_event_type
-- One event type, held until the transaction ends: who changes a part of it keeps what another one changes.
select name from rowcast.event_type where name = :name for update;

-- name: find_event_type
-- One event type that the API has added.
select name, description, schemas, archived, deprecated, group_name, feature_flags, created_at, changed_at
from rowcast.event_type where name = :name;

-- name: add_event_type
-- A new event type; one that was archived comes back.
insert into rowcast.event_type (name, description, schemas, archived, deprecated, group_name, feature_flags)
values (:name, :description, :schemas, :archived, :deprecated, :group_name, :feature_flags)
on conflict (name) do update
set description = excluded.description, schemas = excluded.schemas, archived = excluded.archived,
    deprecated = excluded.deprecated, group_name = excluded.group_name, feature_flags = excluded.feature_flags,
    changed_at = clock_timestamp()
where event_type.archived
returning name, description, schemas, archived, deprecated, group_name, feature_flags, created_at, changed_at;

-- name: replace_event_type
-- Replaces what is said about an event type.
update rowcast.event_type
set description = :description, schemas = :schemas, archived = :archived, deprecated = :deprecated,
    group_name = :group_name, feature_flags = :feature_flags, changed_at = clock_timestamp()
where name = :name
returning name, description, schemas, archived, deprecated, group_name, feature_flags, created_at, changed_at;

-- name: archive_event_type
-- Puts an event type aside.
update rowcast.event_type set archived = true, changed_at = clock_timestamp() where name = :name returning name;

-- name: expunge_event_type
-- Removes an event type for good.
delete from rowcast.event_type where name = :name returning name;

-- name: list_event_types
-- One page of event types by name, without those that classes declare.
(select name, description, schemas, archived, deprecated, group_name, feature_flags, created_at, changed_at
 from rowcast.event_type
 where not :is_falling::boolean and name > :after::text and (:has_archived::boolean or not archived) and name <> all(:declared::text[])
 order by name limit :most)
union all
(select name, description, schemas, archived, deprecated, group_name, feature_flags, created_at, changed_at
 from rowcast.event_type
 where :is_falling::boolean and (:after::text = '' or name < :after::text) and (:has_archived::boolean or not archived)
   and name <> all(:declared::text[])
 order by name desc limit :most);
