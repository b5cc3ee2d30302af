-- name: enqueue
-- Adds one run of a task. Everything travels as text: a codec that the caller set for json must not touch it.
select cast(rowcast.enqueue(
    cast(:tenant_id as text), cast(:task as text), cast(cast(:arguments as text) as json), cast(:key as text),
    cast(:priority as integer), cast(cast(:delay_s as text) as double precision), cast(:max_attempts as integer)
) as text) as id;
