-- Who hears what now, what sockets did, and how much was told: written by the server, read by each user about himself.

-- The user whose token this session speaks with: its claim `sub`; null where there is none.
create function rowcast.current_user_id() returns text
language sql stable parallel safe
set search_path = pg_catalog, pg_temp
as $$ select nullif(current_setting('request.jwt.claims', true), '')::json ->> 'sub' $$;

-- A channel of a socket, or the right to one that waits for its socket (`joined_at` is null). `id` is the channel id that users are
-- given. The key holds the connection, so that a second tab of one user is a second row.
create table rowcast.realtime_subscriptions (
    id uuid primary key default gen_random_uuid(),
    tenant_id text not null,
    user_id text not null,
    connection_id text not null,
    topic text not null,
    channel text not null,
    table_name text,
    filter json,
    active boolean not null default true,
    created_at timestamptz not null default clock_timestamp(),
    joined_at timestamptz,
    last_ping_at timestamptz not null default clock_timestamp(),
    unique (tenant_id, user_id, connection_id, topic)
) with (fillfactor = 80);

create index realtime_subscriptions_connection on rowcast.realtime_subscriptions (connection_id);
create index realtime_subscriptions_channel on rowcast.realtime_subscriptions (tenant_id, channel);
create index realtime_subscriptions_active on rowcast.realtime_subscriptions (tenant_id, user_id) where active;

-- What a user's sockets did: joins, leaves and refusals, one row each. A message never makes a row.
create table rowcast.realtime_activity_logs (
    id bigint generated always as identity primary key,
    tenant_id text not null,
    user_id text not null,
    channel_id uuid,
    connection_id text not null,
    topic text not null,
    event_type text not null
        check (event_type in ('join', 'leave', 'refusal', 'subscribe', 'unsubscribe', 'expiry')),
    payload json not null default '{}',
    "timestamp" timestamptz not null default clock_timestamp()
);

create index realtime_activity_logs_user on rowcast.realtime_activity_logs (tenant_id, user_id, "timestamp");
create index realtime_activity_logs_timestamp on rowcast.realtime_activity_logs ("timestamp");

-- How many messages a user's sockets heard in each hour.
create table rowcast.realtime_message_counts (
    tenant_id text not null,
    user_id text not null,
    hour timestamptz not null,
    messages bigint not null,
    last_message_at timestamptz not null,
    primary key (tenant_id, user_id, hour)
) with (fillfactor = 80);

create index realtime_message_counts_hour on rowcast.realtime_message_counts (hour);

-- When each user has lately subscribed: what a limit that holds on all nodes together is counted from.
create table rowcast.realtime_turns (
    tenant_id text not null,
    user_id text not null,
    taken_at timestamptz[] not null,
    last_taken_at timestamptz not null,
    primary key (tenant_id, user_id)
) with (fillfactor = 80);

-- Takes so many turns of a user, and gives 0; or takes none, and gives after how many seconds there is room for them. At most `most` are
-- taken in any window of `window_s` seconds, whichever nodes ask.
create function rowcast.take_realtime_turns(for_tenant text, for_user text, wanted integer, most integer, window_s double precision)
returns double precision
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    now_at timestamptz;
    recent timestamptz[];
begin
    insert into rowcast.realtime_turns (tenant_id, user_id, taken_at, last_taken_at)
    values (for_tenant, for_user, '{}', clock_timestamp())
    on conflict (tenant_id, user_id) do nothing;
    select t.taken_at into recent from rowcast.realtime_turns t
    where t.tenant_id = for_tenant and t.user_id = for_user for update;
    -- Read behind the lock: whoever waited for it must not work with the time before.
    now_at := clock_timestamp();
    recent := array(select at from unnest(recent) as at where at > now_at - make_interval(secs => window_s) order by at);
    if cardinality(recent) + wanted > most then
        return greatest(0.001, extract(epoch from recent[cardinality(recent) + wanted - most] - now_at) + window_s);
    end if;
    update rowcast.realtime_turns t
    set taken_at = recent || array_fill(now_at, array[wanted]), last_taken_at = now_at
    where t.tenant_id = for_tenant and t.user_id = for_user;
    return 0;
end
$$;

alter table rowcast.realtime_subscriptions enable row level security;
alter table rowcast.realtime_subscriptions force row level security;
create policy engine on rowcast.realtime_subscriptions to current_user using (true) with check (true);
create policy own on rowcast.realtime_subscriptions
    using (tenant_id = rowcast.current_tenant() and user_id = rowcast.current_user_id());
alter table rowcast.realtime_activity_logs enable row level security;
alter table rowcast.realtime_activity_logs force row level security;
create policy engine on rowcast.realtime_activity_logs to current_user using (true) with check (true);
create policy own on rowcast.realtime_activity_logs for select
    using (tenant_id = rowcast.current_tenant() and user_id = rowcast.current_user_id());
alter table rowcast.realtime_message_counts enable row level security;
alter table rowcast.realtime_message_counts force row level security;
create policy engine on rowcast.realtime_message_counts to current_user using (true) with check (true);
create policy own on rowcast.realtime_message_counts for select
    using (tenant_id = rowcast.current_tenant() and user_id = rowcast.current_user_id());
alter table rowcast.realtime_turns enable row level security;
alter table rowcast.realtime_turns force row level security;
create policy engine on rowcast.realtime_turns to current_user using (true) with check (true);
create policy own on rowcast.realtime_turns for select
    using (tenant_id = rowcast.current_tenant() and user_id = rowcast.current_user_id());

-- A user may make, change and see his own subscriptions; what was logged and counted he may only see.
grant select, insert, update on rowcast.realtime_subscriptions to rowcast_app;
grant select on rowcast.realtime_activity_logs, rowcast.realtime_message_counts to rowcast_app;
revoke execute on function rowcast.take_realtime_turns from public;
grant execute on function rowcast.current_user_id to rowcast_app;
