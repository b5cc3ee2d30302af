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
