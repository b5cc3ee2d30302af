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

-- name: emit_example
-- The event of an example.
select rowcast.emit_json(:tenant_id, :event_type, :payload::text::json, :aggregate_type, null, null, null, null, null, :topic) as id;

-- name: owe_example
-- What one endpoint alone is owed of an example, as its relay would have written it.
with routed as (
    insert into rowcast.event_state (event_id, status) values (:event_id, 'published')
), said as (
    insert into rowcast.message (event_id, tenant_id, tags) values (:event_id, :tenant_id, :tags)
)
insert into rowcast.delivery (tenant_id, event_id, sink, target, rule, key)
values (:tenant_id, :event_id, 'webhooks', :target, 'example', :key);

-- name: message_stats
-- How many messages of an endpoint are in which state. One that was replayed is counted where its last delivery is.
select count(*) filter (where status = 'delivered') as success, count(*) filter (where status = 'waiting') as pending,
       count(*) filter (where status = 'running') as sending, count(*) filter (where status = 'dead') as fail,
       count(*) filter (where status = 'cancelled') as canceled
from rowcast.delivery
where tenant_id = :tenant_id and sink = 'webhooks' and target = :target and replayed_at is null
  and (:since::timestamptz is null or created_at >= :since) and (:until::timestamptz is null or created_at < :until);

-- name: attempt_stats
-- How many attempts of an endpoint came to what, in whole hours. A delivery that was settled before has none in that time.
select count(*) filter (where a.outcome = 'delivered') as success,
       count(*) filter (where a.outcome <> 'delivered' and a.reason not in ('endpoint_disabled', 'expunged', 'cancelled')) as fail,
       count(*) filter (where a.reason in ('endpoint_disabled', 'expunged', 'cancelled')) as canceled
from rowcast.delivery d join rowcast.attempt a on a.delivery_id = d.id
where d.tenant_id = :tenant_id and d.sink = 'webhooks' and d.target = :target
  and (:since::timestamptz is null or d.settled_at is null or d.settled_at >= date_trunc('hour', :since::timestamptz))
  and (:since::timestamptz is null or a.started_at >= date_trunc('hour', :since::timestamptz))
  and (:until::timestamptz is null
       or a.started_at < date_trunc('hour', :until::timestamptz + interval '59 minutes 59.999999 seconds'));

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

-- name: endpoint_fails
-- The first failure after a success, or the first of all.
update rowcast.endpoint set failing_since = clock_timestamp()
where tenant_id = :tenant_id and id = :id and failing_since is null and not disabled;

-- name: endpoint_works
-- A success: what failed before no longer counts.
update rowcast.endpoint set failing_since = null
where tenant_id = :tenant_id and id = :id and failing_since is not null;

-- name: give_up_endpoint
-- Stops an endpoint and says why; tells whether it was running. Enabled again, it begins anew.
update rowcast.endpoint
set disabled = true, disabled_at = clock_timestamp(), disabled_reason = :reason, failing_since = null,
    changed_at = clock_timestamp()
where tenant_id = :tenant_id and id = :id and not disabled
returning id;

-- name: emit_operational
-- An event about one endpoint, to the tenant that looks after all of them.
select rowcast.emit(:to_tenant, :event_type,
                    jsonb_build_object('appId', coalesce(a.id, e.tenant_id), 'appUid', coalesce(a.uid, e.tenant_id),
                                       'endpointId', e.id, 'endpointUid', e.uid) || :facts::text::jsonb) as id
from rowcast.endpoint e left join rowcast.application a on a.tenant_id = e.tenant_id
where e.tenant_id = :tenant_id and e.id = :endpoint_id;

-- name: expired_messages
-- Some messages whose time is over, held until what they hold is removed.
select tenant_id, event_id from rowcast.message
where expires_at <= clock_timestamp() and expunged_at is null
order by expires_at limit :most for update skip locked;

-- name: next_messages
-- The next messages of a tenant in the order of their writing, of which something is left, and how far that is.
with visited as materialized (
    select id, seq from rowcast.event where tenant_id = :tenant_id and seq > :position and seq <= :up_to order by seq limit :most
)
select coalesce((select max(seq) from visited), :up_to::bigint) as position, (select count(*) from visited) as visited,
       array(select v.id from visited v left join rowcast.message m on m.event_id = v.id
             where m.expunged_at is null order by v.seq) as event_ids;

-- name: drop_messages
-- Removes what was said of some messages whose events are gone with their days. Days that are kept for longer keep theirs.
delete from rowcast.message where event_id in (
    select m.event_id from rowcast.message m
    where m.event_id < rowcast.uuid7_floor(clock_timestamp() - make_interval(days => :days))
      and (select true from rowcast.event e where e.id = m.event_id) is null
    order by m.event_id limit :most for update skip locked
)
returning event_id;

-- name: known_messages
-- Those of some messages that a tenant has, by their events or by their callers' own ids.
select e.id as event_id, null::text as uid
from unnest(:event_ids::uuid[]) as asked (id)
cross join lateral (select id from rowcast.event where id = asked.id and tenant_id = :tenant_id limit 1) e
union all
select m.event_id, m.uid from rowcast.message m where m.tenant_id = :tenant_id and m.uid = any(:uids::text[]);

-- name: expunge_messages
-- Removes what some messages held and what was answered to them; what still waits is cancelled.
with marked as (
    insert into rowcast.message as m (event_id, tenant_id, expunged_at)
    select asked.event_id, asked.tenant_id, clock_timestamp()
    from unnest(:tenant_ids::text[], :event_ids::uuid[]) as asked (tenant_id, event_id)
    -- The event may be gone with its partition: the row of the message says no longer that something is left.
    where exists (select from rowcast.event e where e.id = asked.event_id and e.tenant_id = asked.tenant_id)
       or exists (select from rowcast.message k where k.event_id = asked.event_id and k.tenant_id = asked.tenant_id)
    on conflict (event_id) do update
    set expunged_at = coalesce(m.expunged_at, excluded.expunged_at), raw_payload = null
    returning m.event_id, m.tenant_id
), emptied as (
    update rowcast.event e set payload = '{}'
    from marked where e.id = marked.event_id and e.tenant_id = marked.tenant_id
), owed as materialized (
    select d.id from rowcast.delivery d join marked on marked.event_id = d.event_id and marked.tenant_id = d.tenant_id
), cleared as (
    update rowcast.attempt a set excerpt = '', detail = null
    where a.delivery_id = any(array(select id from owed)) and (a.detail is not null or a.excerpt <> '')
), settled as (
    update rowcast.delivery d
    set error = split_part(d.error, ':', 1), result = null,
        status = case d.status when 'waiting' then 'cancelled' else d.status end,
        settled_at = case d.status when 'waiting' then clock_timestamp() else d.settled_at end
    where d.id = any(array(select id from owed))
)
select count(*) as expunged from marked;

-- name: add_secret
-- The secret in use of an endpoint.
insert into rowcast.endpoint_secret (tenant_id, endpoint_id, sealed)
values (:tenant_id, :endpoint_id, :sealed);

-- name: secret_in_use
-- The secret in use of one endpoint, sealed.
select sealed from rowcast.endpoint_secret
where tenant_id = :tenant_id and endpoint_id = :endpoint_id and expires_at is null;

-- name: hold_endpoint
-- Holds one endpoint until the transaction ends, so that its secrets are rotated one after the other.
select signature_scheme from rowcast.endpoint where tenant_id = :tenant_id and id = :endpoint_id for update;

-- name: old_secrets
-- How many old secrets of an endpoint still sign, and when the first of them ends.
select count(*) as secrets, min(expires_at) as first_end
from rowcast.endpoint_secret
where endpoint_id = :endpoint_id and expires_at > :now;

-- name: end_secret
-- Lets the secret in use of an endpoint sign until it ends.
update rowcast.endpoint_secret set expires_at = :expires_at
where endpoint_id = :endpoint_id and expires_at is null;

-- name: set_scheme
-- Says how an endpoint is signed for, where that has changed.
update rowcast.endpoint set signature_scheme = :scheme, changed_at = clock_timestamp()
where tenant_id = :tenant_id and id = :endpoint_id and signature_scheme <> :scheme;

-- name: drop_ended_secrets
-- Removes some secrets that no longer sign.
delete from rowcast.endpoint_secret
where id in (
    select s.id from rowcast.endpoint_secret s
    where s.expires_at <= :now
    order by s.expires_at limit :most for update skip locked
);

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

-- name: sealed_values
-- How many values each key has sealed, by place; without a key they lie as they are.
with sealed (place, value) as (
    select 'endpoint_secret', sealed from rowcast.endpoint_secret
    union all select 'endpoint_headers', headers from rowcast.endpoint where headers is not null
    union all select 'endpoint_authentication', authentication from rowcast.endpoint where authentication is not null
    union all select 'idempotent_answer', body from rowcast.idempotent_answer where body is not null
    union all select 'incoming_source', secrets from rowcast.incoming_source
)
select place, case when length(value) > 1 and get_byte(value, 0) = 1
       then encode(substr(value, 3, get_byte(value, 1)), 'escape') end as key, count(*) as values
from sealed
group by 1, 2
order by 1, 2 nulls first;

-- name: other_endpoint_secrets
-- Secrets of endpoints that another key has sealed, or none.
select id::text as id, endpoint_id as owner, sealed as value from rowcast.endpoint_secret
where id > :after::text::bigint and substr(sealed, 1, length(:head::bytea)) <> :head
order by endpoint_secret.id limit :most;

-- name: reseal_endpoint_secret
-- Replaces a secret by itself, sealed anew, where it is still what was read.
update rowcast.endpoint_secret set sealed = :value where id = :id::text::bigint and sealed = :was;

-- name: other_endpoint_headers
-- Headers of endpoints that another key has sealed, or none.
select id, id as owner, headers as value from rowcast.endpoint
where id > :after and headers is not null and substr(headers, 1, length(:head::bytea)) <> :head
order by id limit :most;

-- name: reseal_endpoint_headers
-- Replaces an endpoint's headers by themselves, sealed anew, where they are still what was read.
update rowcast.endpoint set headers = :value where id = :id and headers = :was;

-- name: other_endpoint_authentication
-- Authentication of endpoints that another key has sealed, or none.
select id, id as owner, authentication as value from rowcast.endpoint
where id > :after and authentication is not null and substr(authentication, 1, length(:head::bytea)) <> :head
order by id limit :most;

-- name: reseal_endpoint_authentication
-- Replaces an endpoint's authentication by itself, sealed anew, where it is still what was read.
update rowcast.endpoint set authentication = :value where id = :id and authentication = :was;

-- name: other_idempotent_answers
-- Answers to requests with a key of their own that another key has sealed, or none. No caller's name holds a blank.
select caller || ' ' || key as id, caller || ' ' || key as owner, body as value from rowcast.idempotent_answer
where caller || ' ' || key > :after and body is not null and substr(body, 1, length(:head::bytea)) <> :head
order by 1 limit :most;

-- name: reseal_idempotent_answer
-- Replaces an answer by itself, sealed anew, where it is still what was read.
update rowcast.idempotent_answer set body = :value
where caller = split_part(:id, ' ', 1) and key = substr(:id, strpos(:id, ' ') + 1) and body = :was;

-- name: other_incoming_sources
-- Secrets of sources that another key has sealed, or none.
select id, id as owner, secrets as value from rowcast.incoming_source
where id > :after and substr(secrets, 1, length(:head::bytea)) <> :head
order by id limit :most;

-- name: reseal_incoming_source
-- Replaces the secrets of a source by themselves, sealed anew, where they are still what was read.
update rowcast.incoming_source set secrets = :value where id = :id and secrets = :was;

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

-- name: emit_message
-- The event of a message, written in the caller's transaction.
select rowcast.emit_json(:tenant_id, :event_type, :payload::text::json, :aggregate_type, :aggregate_id, :version, null, null,
                         null, null) as id;

-- name: add_message
-- What is said of a message beside its event; nothing where another one has its uid.
insert into rowcast.message
    (event_id, tenant_id, uid, channels, tags, raw_payload, content_type, expires_at, deliver_at)
values (:event_id, :tenant_id, :uid, :channels, :tags, :raw_payload, :content_type, :expires_at, :deliver_at)
on conflict (tenant_id, uid) where uid is not null do nothing
returning event_id;

-- name: attempts_of_endpoint
-- One page of the attempts at an endpoint that fit, in the order of their deliveries or the other way round. What is asked is asked of
-- plain columns, so that the planner knows how many rows it means.
(select delivery_id, fence, event_id, target, attempt, code, reason, excerpt, detail, started_at, latency_ms, url, is_manual,
       attempt_status, id, event_type, payload, created_at, uid, channels, tags, deliver_at, is_expunged
 from rowcast.message_attempt
 where not :is_falling::boolean and tenant_id = :tenant_id and target = :target
   and delivery_id >= :delivery_id::bigint and (delivery_id, fence) > (:delivery_id::bigint, :fence::bigint)
   and (:statuses::integer[] is null or 0 = any(:statuses) and outcome = 'delivered'
        or 2 = any(:statuses) and outcome <> 'delivered' and reason not in ('endpoint_disabled', 'expunged', 'cancelled')
        or 4 = any(:statuses) and outcome <> 'delivered' and reason in ('endpoint_disabled', 'expunged', 'cancelled'))
   and (:code_class::integer is null or :code_class > 0 and code >= :code_class::text and code < (:code_class + 100)::text
        or :code_class = 0 and code !~ '^[1-5][0-9]{2}$')
   and (:event_types::text[] is null or event_type = any(:event_types))
   and (:channel::text is null or :channel = any(channels)) and (:tag::text is null or :tag = any(tags))
   and (:since::timestamptz is null or started_at > :since) and (:until::timestamptz is null or started_at < :until)
 order by delivery_id, fence limit :most)
union all
(select delivery_id, fence, event_id, target, attempt, code, reason, excerpt, detail, started_at, latency_ms, url, is_manual,
       attempt_status, id, event_type, payload, created_at, uid, channels, tags, deliver_at, is_expunged
 from rowcast.message_attempt
 where :is_falling::boolean and tenant_id = :tenant_id and target = :target
   and delivery_id <= :delivery_id::bigint and (delivery_id, fence) < (:delivery_id::bigint, :fence::bigint)
   and (:statuses::integer[] is null or 0 = any(:statuses) and outcome = 'delivered'
        or 2 = any(:statuses) and outcome <> 'delivered' and reason not in ('endpoint_disabled', 'expunged', 'cancelled')
        or 4 = any(:statuses) and outcome <> 'delivered' and reason in ('endpoint_disabled', 'expunged', 'cancelled'))
   and (:code_class::integer is null or :code_class > 0 and code >= :code_class::text and code < (:code_class + 100)::text
        or :code_class = 0 and code !~ '^[1-5][0-9]{2}$')
   and (:event_types::text[] is null or event_type = any(:event_types))
   and (:channel::text is null or :channel = any(channels)) and (:tag::text is null or :tag = any(tags))
   and (:since::timestamptz is null or started_at > :since) and (:until::timestamptz is null or started_at < :until)
 order by delivery_id desc, fence desc limit :most);

-- name: attempts_of_message
-- The same of one message, which has few.
select delivery_id, fence, event_id, target, attempt, code, reason, excerpt, detail, started_at, latency_ms, url, is_manual,
       attempt_status, id, event_type, payload, created_at, uid, channels, tags, deliver_at, is_expunged
from rowcast.message_attempt
where event_id = :event_id and tenant_id = :tenant_id and (:target::text is null or target = :target)
   and case when :is_falling::boolean then (delivery_id, fence) < (:delivery_id::bigint, :fence::bigint)
            else (delivery_id, fence) > (:delivery_id::bigint, :fence::bigint) end
   and (:statuses::integer[] is null or 0 = any(:statuses) and outcome = 'delivered'
        or 2 = any(:statuses) and outcome <> 'delivered' and reason not in ('endpoint_disabled', 'expunged', 'cancelled')
        or 4 = any(:statuses) and outcome <> 'delivered' and reason in ('endpoint_disabled', 'expunged', 'cancelled'))
   and (:code_class::integer is null or :code_class > 0 and code >= :code_class::text and code < (:code_class + 100)::text
        or :code_class = 0 and code !~ '^[1-5][0-9]{2}$')
   and (:event_types::text[] is null or event_type = any(:event_types))
   and (:channel::text is null or :channel = any(channels)) and (:tag::text is null or :tag = any(tags))
   and (:since::timestamptz is null or started_at > :since) and (:until::timestamptz is null or started_at < :until)
order by case when :is_falling::boolean then -delivery_id else delivery_id end, case when :is_falling::boolean then -fence else fence end
limit :most;

-- name: attempt_of_message
-- One attempt at one message.
select delivery_id, fence, event_id, target, attempt, code, reason, excerpt, detail, started_at, latency_ms, url, is_manual,
       attempt_status, id, event_type, payload, created_at, uid, channels, tags, deliver_at, is_expunged
from rowcast.message_attempt
where delivery_id = :delivery_id and fence = :fence and event_id = :event_id and tenant_id = :tenant_id;

-- name: expunge_attempt
-- Removes what was answered to one attempt. Of its delivery, whose error may quote it, the word for what happened stays.
with cleared as (
    update rowcast.attempt set excerpt = '', detail = (detail::jsonb - 'body' - 'responseHeaders')::json
    where delivery_id = :delivery_id and fence = :fence
)
update rowcast.delivery set error = split_part(error, ':', 1), result = null where id = :delivery_id;

-- name: messages_of_endpoint
-- One page of the messages that an endpoint is or was owed and that fit, in the order of their deliveries or the other way round.
(select e.id, e.event_type, e.payload, e.created_at, m.uid, m.channels, m.tags, m.deliver_at,
        m.expunged_at is not null as is_expunged, l.leg_status, l.next_at
 from rowcast.message_leg l
 join rowcast.event e on e.id = l.event_id
 left join rowcast.message m on m.event_id = l.event_id
 where not :is_falling::boolean and l.tenant_id = :tenant_id and l.target = :target
   and (:after::uuid is null or l.delivery_id > (
       select a.delivery_id from rowcast.message_leg a
       where a.tenant_id = :tenant_id and a.target = :target and a.event_id = :after))
   and (:statuses::text[] is null or l.status = any(:statuses))
   and (:event_types::text[] is null or e.event_type = any(:event_types))
   and (:channel::text is null or :channel = any(m.channels)) and (:tag::text is null or :tag = any(m.tags))
   and (:since::timestamptz is null or e.created_at > :since) and (:until::timestamptz is null or e.created_at < :until)
 order by l.delivery_id limit :most)
union all
(select e.id, e.event_type, e.payload, e.created_at, m.uid, m.channels, m.tags, m.deliver_at,
        m.expunged_at is not null as is_expunged, l.leg_status, l.next_at
 from rowcast.message_leg l
 join rowcast.event e on e.id = l.event_id
 left join rowcast.message m on m.event_id = l.event_id
 where :is_falling::boolean and l.tenant_id = :tenant_id and l.target = :target
   and (:after::uuid is null or l.delivery_id < (
       select a.delivery_id from rowcast.message_leg a
       where a.tenant_id = :tenant_id and a.target = :target and a.event_id = :after))
   and (:statuses::text[] is null or l.status = any(:statuses))
   and (:event_types::text[] is null or e.event_type = any(:event_types))
   and (:channel::text is null or :channel = any(m.channels)) and (:tag::text is null or :tag = any(m.tags))
   and (:since::timestamptz is null or e.created_at > :since) and (:until::timestamptz is null or e.created_at < :until)
 order by l.delivery_id desc limit :most);

-- name: legs_of_message
-- Where one message stands with each endpoint that is or was owed it.
select target, leg_status, next_at from rowcast.message_leg where event_id = :event_id and tenant_id = :tenant_id;

-- name: resend_message
-- Owes a message to an endpoint again: what is under way is left alone, what never was owed is owed now.
with leg as materialized (
    select id, status, replayed_at, rule, transform, priority, max_attempts from rowcast.delivery
    where event_id = :event_id and tenant_id = :tenant_id and sink = 'webhooks' and target = :target
    order by id desc limit 1 for update
), marked as (
    update rowcast.delivery d set replayed_at = clock_timestamp() from leg
    where d.id = leg.id and leg.status in ('delivered', 'dead', 'cancelled') and leg.replayed_at is null
    returning d.id, leg.rule, leg.transform, leg.priority, leg.max_attempts
)
insert into rowcast.delivery (tenant_id, event_id, sink, target, rule, transform, key, priority, max_attempts, replay_of)
select :tenant_id, :event_id, 'webhooks', :target, rule, transform, :key, priority, max_attempts, id from marked
union all
select :tenant_id, :event_id, 'webhooks', :target, 'resend', '', :key, 2, 0, null where not exists (select from leg)
returning id;

-- name: message_terms
-- What was said of some events whom they are for and when, and which of these events are not seen yet.
select id, channels, deliver_at, is_seen from rowcast.message_terms(:event_ids);

-- name: raw_message
-- What is posted in the place of an empty payload, and whether that is what was left of a message.
select raw_payload, content_type, expunged_at is not null as is_expunged from rowcast.message where event_id = :event_id;

-- name: find_message
-- One message of one tenant.
select e.id, e.event_type, e.payload::text as payload, e.created_at, m.uid, m.channels, m.tags, m.deliver_at,
       m.expunged_at is not null as is_expunged
from rowcast.event e left join rowcast.message m on m.event_id = e.id
where e.id = :name and e.tenant_id = :tenant_id;

-- name: find_message_by_uid
-- The same by its caller's own id.
select e.id, e.event_type, e.payload::text as payload, e.created_at, m.uid, m.channels, m.tags, m.deliver_at,
       m.expunged_at is not null as is_expunged
from rowcast.message m join rowcast.event e on e.id = m.event_id
where m.tenant_id = :tenant_id and m.uid = :name and e.tenant_id = :tenant_id;

-- name: list_messages
-- One page of a tenant's messages that fit, in the order of their writing or the other way round. Where the one to go on from is
-- gone, so are those beyond it.
(select e.id, e.event_type, e.payload::text as payload, e.created_at, m.uid, m.channels, m.tags, m.deliver_at,
        m.expunged_at is not null as is_expunged
 from rowcast.event e left join rowcast.message m on m.event_id = e.id
 where not :is_falling::boolean and e.tenant_id = :tenant_id
   and (:after::uuid is null
        or e.seq > (select a.seq from rowcast.event a where a.id = :after::uuid and a.tenant_id = :tenant_id))
   and (:event_types::text[] is null or e.event_type = any(:event_types::text[]))
   and (:channel::text is null or :channel::text = any(m.channels)) and (:tag::text is null or :tag::text = any(m.tags))
   and (:since::timestamptz is null or e.created_at > :since) and (:until::timestamptz is null or e.created_at < :until)
 order by e.seq limit :most)
union all
(select e.id, e.event_type, e.payload::text as payload, e.created_at, m.uid, m.channels, m.tags, m.deliver_at,
        m.expunged_at is not null as is_expunged
 from rowcast.event e left join rowcast.message m on m.event_id = e.id
 where :is_falling::boolean and e.tenant_id = :tenant_id
   and (:after::uuid is null
        or e.seq < (select a.seq from rowcast.event a where a.id = :after::uuid and a.tenant_id = :tenant_id))
   and (:event_types::text[] is null or e.event_type = any(:event_types::text[]))
   and (:channel::text is null or :channel::text = any(m.channels)) and (:tag::text is null or :tag::text = any(m.tags))
   and (:since::timestamptz is null or e.created_at > :since) and (:until::timestamptz is null or e.created_at < :until)
 order by e.seq desc limit :most);

-- name: task_bounds
-- Until where a task goes that begins now: the last delivery, the last number of an event that was drawn, and the moment.
select coalesce((select max(id) from rowcast.delivery), 0) as last_delivery_id, clock_timestamp() as asked_at,
       (select case when is_called then last_value else last_value - 1 end from rowcast.event_seq) as last_seq;

-- name: has_all_tasks
-- Whether so many tasks of a tenant run already.
select count(*) >= :most::bigint as is_full
from (select from rowcast.background_task where tenant_id = :tenant_id and status = 'running' limit :most::bigint) as counted;

-- name: add_task
-- A new task, which is begun by whoever looks next.
insert into rowcast.background_task (id, tenant_id, endpoint_id, task, arguments)
values (:id, :tenant_id, :endpoint_id, :task, :arguments)
returning id, tenant_id, endpoint_id, task, status, arguments, position, replayed, failures, reason, created_at, changed_at;

-- name: get_task
-- One task.
select id, tenant_id, endpoint_id, task, status, arguments, position, replayed, failures, reason, created_at, changed_at
from rowcast.background_task where id = :id and (:tenant_id::text is null or tenant_id = :tenant_id);

-- name: list_tasks
-- One page of tasks, in the order of their making or the other way round.
(select id, tenant_id, endpoint_id, task, status, arguments, position, replayed, failures, reason, created_at, changed_at
 from rowcast.background_task
 where not :is_falling::boolean and id > :after::text and (:tenant_id::text is null or tenant_id = :tenant_id)
   and (:status::text is null or status = :status) and (:task::text is null or task = :task)
 order by id limit :most)
union all
(select id, tenant_id, endpoint_id, task, status, arguments, position, replayed, failures, reason, created_at, changed_at
 from rowcast.background_task
 where :is_falling::boolean and (:after::text = '' or id < :after::text) and (:tenant_id::text is null or tenant_id = :tenant_id)
   and (:status::text is null or status = :status) and (:task::text is null or task = :task)
 order by id desc limit :most);

-- name: cancel_task
-- Lets a task do nothing more; a step that runs just now is waited for.
update rowcast.background_task set status = 'failed', reason = :reason, changed_at = clock_timestamp()
where id = :id and (:tenant_id::text is null or tenant_id = :tenant_id) and status = 'running';

-- name: drop_tasks
-- Removes some tasks that ended long ago.
delete from rowcast.background_task where id in (
    select id from rowcast.background_task
    where status <> 'running' and changed_at < clock_timestamp() - make_interval(days => :days)
    order by id limit :most for update skip locked
)
returning id;

-- name: bound_step
-- A process that stands still in the middle of a step loses its session, and the step with it.
select set_config('idle_in_transaction_session_timeout', :bound_ms::text, true);

-- name: take_task
-- The task that nobody has looked at for the longest time, held for one step.
select id, tenant_id, endpoint_id, task, status, arguments, position, replayed, failures, reason, created_at, changed_at
from rowcast.background_task where status = 'running'
order by changed_at limit 1 for update skip locked;

-- name: take_turn
-- One step after another that may find the same message missing.
select pg_advisory_xact_lock(hashtextextended('rowcast.replay_missing ' || :endpoint_id, 0));

-- name: task_endpoint
-- What a task has to know of its endpoint, if that is still there.
select is_ordered, event_types, channels from rowcast.endpoint where tenant_id = :tenant_id and id = :endpoint_id;

-- name: step_done
-- How far a task has come.
update rowcast.background_task
set position = :position, replayed = replayed + :replayed, failures = 0, changed_at = clock_timestamp()
where id = :id;

-- name: step_failed
-- A step came to nothing; whoever fails again and again is given up, and does not hold up the others until then.
update rowcast.background_task
set failures = failures + :count::integer, changed_at = clock_timestamp(),
    status = case when failures + :count >= :most then 'failed' else status end,
    reason = case when failures + :count >= :most then :reason else reason end
where id = :id and status = 'running';

-- name: end_task
-- A task has come to its end.
update rowcast.background_task set status = :status, reason = :reason, changed_at = clock_timestamp()
where id = :id and status = 'running'
returning id, tenant_id, endpoint_id, task, status, arguments, position, replayed, failures, reason, created_at, changed_at;

-- name: first_delivery_since
-- Below which id all deliveries of a tenant were made before a moment. Ids and times rise together; a minute is for clocks that were set.
with recursive narrowed (low, high) as (
    select 0::bigint, :up_to::bigint + 1
    union all
    select case when probe.is_before then probe.id + 1 else n.low end, case when probe.is_before then n.high else m.middle end
    from narrowed n
    cross join lateral (select (n.low + n.high) / 2 as middle) m
    left join lateral (
        select d.id, d.created_at < :since::timestamptz - interval '1 minute' as is_before
        from rowcast.delivery d where d.tenant_id = :tenant_id and d.id >= m.middle and d.id < n.high order by d.id limit 1
    ) probe on true
    where n.low < n.high
)
select low as first from narrowed where low >= high limit 1;

-- name: first_event_since
-- The same of events, by their numbers; and the first of them that was made since then.
with recursive narrowed (low, high) as (
    select 0::bigint, :up_to::bigint + 1
    union all
    select case when probe.is_before then probe.seq + 1 else n.low end, case when probe.is_before then n.high else m.middle end
    from narrowed n
    cross join lateral (select (n.low + n.high) / 2 as middle) m
    left join lateral (
        select e.seq, e.created_at < :since::timestamptz - interval '1 minute' as is_before
        from rowcast.event e where e.tenant_id = :tenant_id and e.seq >= m.middle and e.seq < n.high order by e.seq limit 1
    ) probe on true
    where n.low < n.high
), bound as (
    select low from narrowed where low >= high limit 1
)
select low as first, (
    select e.seq from rowcast.event e
    where e.tenant_id = :tenant_id and e.seq >= bound.low and e.seq <= :up_to and e.created_at >= :since order by e.seq limit 1
) as exact
from bound;

-- name: replay_chosen
-- One step of a recovery or a bulk replay: looks at the next deliveries of a tenant, and adds a new one for each that is chosen.
with visited as materialized (
    select id, event_id, sink, target, status, fence, settled_at, replayed_at from rowcast.delivery
    where tenant_id = :tenant_id and id > :position and id <= :up_to order by id limit :most
), fitting as materialized (
    select v.id from visited v
    cross join lateral (select event_type, created_at from rowcast.event where id = v.event_id limit 1) e
    left join rowcast.message m on m.event_id = v.event_id
    where v.sink = 'webhooks' and v.target = :endpoint_id and v.status = any(:statuses::text[]) and v.replayed_at is null
      and v.settled_at <= :asked_at and e.created_at >= :since and (:until::timestamptz is null or e.created_at < :until)
      and (:event_types::text[] is null or e.event_type = any(:event_types)) and m.expunged_at is null
      and (:channel::text is null or :channel = any(m.channels)) and (:tag::text is null or :tag = any(m.tags))
      and (:code_class::integer is null or :code_class = coalesce((
          select case when a.code ~ '^[1-5][0-9]{2}$' then left(a.code, 1)::integer * 100 end
          from rowcast.attempt a where a.delivery_id = v.id order by a.fence desc limit 1), 0))
), chosen as materialized (
    -- Waits for whoever replays the same one just now, and then leaves it alone.
    select id from rowcast.delivery
    where id = any(array(select id from fitting)) and status = any(:statuses::text[]) and replayed_at is null
    order by id for update
), marked as (
    update rowcast.delivery d set replayed_at = clock_timestamp() where d.id = any(array(select id from chosen))
    returning d.id, d.tenant_id, d.event_id, d.sink, d.target, d.rule, d.transform, d.max_attempts
), added as (
    insert into rowcast.delivery (tenant_id, event_id, sink, target, rule, transform, key, priority, max_attempts, replay_of)
    select tenant_id, event_id, sink, target, rule, transform, :key, :priority, max_attempts, id
    from marked order by id
    returning id
)
select coalesce((select max(id) from visited), :up_to) as position, (select count(*) from visited) as visited,
       (select count(*) from added) as replayed;

-- name: owe_missing
-- One step of replaying what is missing: looks at the next events of a tenant that were routed, and owes those that an endpoint wants and
-- was never owed. What was made more than `known_days` ago may have been delivered and forgotten.
with visited as materialized (
    select id, seq, event_type, created_at from rowcast.event
    -- An example is for one endpoint and nobody else.
    where tenant_id = :tenant_id and seq > :position and seq <= :up_to and coalesce(topic, '') not like 'rowcast:example:%'
    order by seq limit :most
), missing as materialized (
    select v.id, v.seq, m.deliver_at from visited v
    left join rowcast.message m on m.event_id = v.id
    where v.created_at >= :since and (:until::timestamptz is null or v.created_at < :until) and m.expunged_at is null
      and v.created_at >= clock_timestamp() - make_interval(days => :known_days)
      and (:event_types::text[] is null or exists (
          select from unnest(:event_types) as pattern
          where pattern = v.event_type or (right(pattern, 1) = '*' and starts_with(v.event_type, left(pattern, -1)))))
      and (:channels::text[] is null or m.channels && :channels)
      and (select status from rowcast.event_state s where s.event_id = v.id) = 'published'
      and not exists (select from rowcast.delivery d where d.event_id = v.id and d.sink = 'webhooks' and d.target = :endpoint_id)
), added as (
    insert into rowcast.delivery (tenant_id, event_id, sink, target, rule, key, priority, due_at)
    select :tenant_id, id, 'webhooks', :endpoint_id, 'rowcast.webhooks', :key, :priority, greatest(clock_timestamp(), deliver_at)
    from missing order by seq
    returning id
)
select coalesce((select max(seq) from visited), :up_to) as position, (select count(*) from visited) as visited,
       (select count(*) from added) as replayed;

-- name: polled_events
-- The next events of a tenant after one, and what decides whether an endpoint wants them; an example is for its own endpoint only.
select e.id, e.seq, e.event_type, m.channels, m.expunged_at is not null as is_expunged,
       coalesce(e.topic like 'rowcast:example:%' and e.topic <> 'rowcast:example:' || :endpoint_id, false) as is_for_another
from (
    select id, seq, event_type, topic from rowcast.event
    where tenant_id = :tenant_id and seq > :position and seq <= :up_to order by seq limit :most
) e left join rowcast.message m on m.event_id = e.id
order by e.seq;

-- name: polled_messages
-- Some messages, in the order in which they are asked for.
select e.id, e.event_type, e.payload, e.created_at, m.uid, m.channels, m.tags, m.deliver_at, m.expunged_at is not null as is_expunged
from unnest(:ids::uuid[]) with ordinality as asked(id, place)
cross join lateral (select id, event_type, payload, created_at from rowcast.event where id = asked.id limit 1) e
left join rowcast.message m on m.event_id = e.id
order by asked.place;

-- name: hold_consumer
-- How far a consumer has come, held until the transaction ends.
select position, given from rowcast.poll_consumer where endpoint_id = :endpoint_id and name = :name for update;

-- name: keep_consumer
-- Keeps how far a consumer has come; a new one only where there are not too many.
insert into rowcast.poll_consumer (tenant_id, endpoint_id, name, position, given)
select :tenant_id::text, :endpoint_id::text, :name::text, :position::bigint, :given::bigint
where (select count(*) from rowcast.poll_consumer where endpoint_id = :endpoint_id) < :most
   or exists (select from rowcast.poll_consumer where endpoint_id = :endpoint_id and name = :name)
on conflict (endpoint_id, name) do update
set position = excluded.position, given = excluded.given, changed_at = clock_timestamp()
returning name;
