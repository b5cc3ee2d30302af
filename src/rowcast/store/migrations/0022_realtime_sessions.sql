-- How far each session that may be recovered has come on each private topic.

-- Every event of the topic below `from_seq`, and every message of the database of a transaction below `from_transaction`, has been
-- received, and nothing can appear there any more; of what is above, the ids in `received`. All of that is true of the client, whoever
-- wrote it last: an older row costs duplicates and never a loss.
create table rowcast.realtime_session (
    tenant_id text not null,
    topic text not null,
    session text not null check (length(session) <= 64),
    from_seq bigint not null,
    from_transaction bigint not null,
    received text[] not null default '{}',
    begun_at timestamptz not null default clock_timestamp(),
    changed_at timestamptz not null default clock_timestamp(),
    primary key (tenant_id, topic, session)
) with (fillfactor = 70);

alter table rowcast.realtime_session enable row level security;
alter table rowcast.realtime_session force row level security;
create policy engine on rowcast.realtime_session to current_user using (true) with check (true);
create policy tenant on rowcast.realtime_session using (tenant_id = rowcast.current_tenant());
