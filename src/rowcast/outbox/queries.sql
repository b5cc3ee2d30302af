-- name: emit_event
-- Writes one event and gives its id. Everything travels as text: a codec that the caller set for json or uuid must not touch it.
select cast(rowcast.emit_json(
    cast(:tenant_id as text), cast(:event_type as text), cast(cast(:payload as text) as json), cast(:aggregate_type as text),
    cast(:aggregate_id as text), cast(:version as integer), cast(cast(:id as text) as uuid),
    cast(cast(:occurred_at as text) as timestamptz), cast(:traceparent as text), null
) as text) as id;

-- name: emit_events
-- Writes events in the order in which they are given and gives their ids in that order. One text carries them all.
select cast(rowcast.emit_json(
    e.tenant_id, e.event_type, e.payload, e.aggregate_type, e.aggregate_id, e.version, e.id, e.occurred_at, e.traceparent, null
) as text) as id
from (
    select given.* from rows from (json_to_recordset(cast(cast(:events as text) as json)) as (
        tenant_id text, event_type text, version integer, payload json, aggregate_type text, aggregate_id text,
        id uuid, occurred_at timestamptz, traceparent text)) with ordinality as given
    order by given.ordinality
) as e;
