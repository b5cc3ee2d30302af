-- Realtime's side of the database, as applications for Supabase know it. Everything only where it is absent: on a database
-- of Supabase most of it is there. What our role may not make is left out with a notice, and `rowcast doctor` says it again.

-- Roles belong to the whole cluster, so another database may be making them now.
do $$
declare
    wanted text;
begin
    foreach wanted in array array['anon', 'authenticated', 'service_role', 'supabase_realtime_admin'] loop
        continue when exists (select from pg_roles where rolname = wanted);
        begin
            execute format('create role %I nologin noinherit%s', wanted, case wanted when 'service_role' then ' bypassrls' else '' end);
        exception
            when duplicate_object or unique_violation then null;
            when insufficient_privilege then
                begin
                    -- A role that may make roles, but none that passes by row-level security.
                    execute format('create role %I nologin noinherit', wanted);
                exception
                    when duplicate_object or unique_violation then null;
                    when insufficient_privilege then
                        raise notice 'the role % is not there; let an administrator make it', quote_ident(wanted);
                end;
        end;
    end loop;
end
$$;

-- Whether our role may act as another one: from PostgreSQL 16 on membership alone does not say so.
create function rowcast.may_act_as(other name) returns boolean
language sql stable
set search_path = pg_catalog, pg_temp
as $$
    select exists (select from pg_roles where rolname = other)
       and pg_has_role(current_user, other, case when current_setting('server_version_num')::integer >= 160000 then 'SET' else 'MEMBER' end)
$$;

-- Policies are asked in the role that a token names, so our own must be able to take it on.
do $$
declare
    wanted text;
begin
    foreach wanted in array array['anon', 'authenticated', 'service_role'] loop
        for attempt in 1..5 loop
            exit when not exists (select from pg_roles where rolname = wanted) or rowcast.may_act_as(wanted);
            begin
                execute format('grant %I to %I', wanted, current_user);
            exception
                -- Another database of the cluster grants the same at this moment.
                when internal_error or unique_violation then perform pg_sleep(0.05);
                when insufficient_privilege or invalid_grant_operation then
                    raise notice 'no right to act; let an administrator run: grant % to %', quote_ident(wanted), quote_ident(current_user);
                    exit;
            end;
        end loop;
    end loop;
end
$$;

do $$
begin
    if to_regnamespace('auth') is null then
        create schema auth;
    end if;
    if to_regnamespace('realtime') is null then
        create schema realtime;
    end if;
end
$$;

-- Who speaks, as the token says. Policies call these.
do $do$
begin
    if to_regprocedure('auth.jwt()') is null then
        create function auth.jwt() returns jsonb
        language sql stable
        as $$
            select coalesce(nullif(pg_catalog.current_setting('request.jwt.claim', true), ''),
                            nullif(pg_catalog.current_setting('request.jwt.claims', true), ''))::pg_catalog.jsonb
        $$;
    end if;
    if to_regprocedure('auth.uid()') is null then
        create function auth.uid() returns uuid
        language sql stable
        as $$
            select coalesce(nullif(pg_catalog.current_setting('request.jwt.claim.sub', true), ''),
                            nullif(pg_catalog.current_setting('request.jwt.claims', true), '')::pg_catalog.jsonb ->> 'sub')::pg_catalog.uuid
        $$;
    end if;
    if to_regprocedure('auth.role()') is null then
        create function auth.role() returns text
        language sql stable
        as $$
            select coalesce(nullif(pg_catalog.current_setting('request.jwt.claim.role', true), ''),
                            nullif(pg_catalog.current_setting('request.jwt.claims', true), '')::pg_catalog.jsonb ->> 'role')::pg_catalog.text
        $$;
    end if;
    if to_regprocedure('auth.email()') is null then
        create function auth.email() returns text
        language sql stable
        as $$
            select coalesce(nullif(pg_catalog.current_setting('request.jwt.claim.email', true), ''),
                            nullif(pg_catalog.current_setting('request.jwt.claims', true), '')::pg_catalog.jsonb ->> 'email')::pg_catalog.text
        $$;
    end if;
    -- The topic that is being joined or written to; null elsewhere.
    if to_regprocedure('realtime.topic()') is null then
        create function realtime.topic() returns text
        language sql stable
        as $$ select nullif(pg_catalog.current_setting('realtime.topic', true), '')::pg_catalog.text $$;
    end if;
end
$do$;

-- The id of a message: later ones are greater. Its body is bound when it is made, so that nobody needs our schema to call it.
do $do$
begin
    if to_regprocedure('realtime.message_id()') is null then
        create function realtime.message_id() returns uuid language sql volatile return rowcast.uuid7();
    end if;
end
$do$;

-- Messages that the database sends to sockets, and the table whose policies say who may join a private channel. The last three
-- columns are ours: the order of messages, whose they are (null: the default tenant), and which transaction wrote them, by which a
-- reader without the log finds out what was committed since it last looked.
do $do$
begin
    if to_regclass('realtime.messages') is null then
        create sequence realtime.messages_seq;
        create table realtime.messages (
            topic text not null,
            extension text not null,
            payload jsonb,
            event text,
            private boolean default false,
            updated_at timestamp not null default (now() at time zone 'utc'),
            inserted_at timestamp not null default (now() at time zone 'utc'),
            id uuid not null default rowcast.uuid7(),
            binary_payload bytea,
            seq bigint not null default nextval('realtime.messages_seq'),
            tenant_id text default rowcast.current_tenant(),
            transaction_id xid8 not null default pg_current_xact_id(),
            primary key (id, inserted_at),
            constraint messages_payload_exclusive check (payload is null or binary_payload is null)
        ) partition by range (inserted_at);
        create index messages_of_topic on realtime.messages (topic, seq) where extension = 'broadcast' and private;
        create index messages_by_transaction on realtime.messages (transaction_id, seq) where extension = 'broadcast';
        -- A message of a day without a partition is kept, too.
        create table realtime.messages_default partition of realtime.messages default;
        alter table realtime.messages enable row level security;
    end if;
end
$do$;

-- Makes the partition of one day, with what the default partition took in for it meanwhile. Several may call it at once.
create function rowcast.make_message_partition(day date) returns void
language plpgsql
set search_path = pg_catalog, pg_temp
set lock_timeout = '5s'
as $$
declare
    name text := 'messages_' || to_char(day, 'YYYY_MM_DD');
    columns text;
begin
    if to_regclass(format('realtime.%I', name)) is not null then
        return;
    end if;
    perform pg_advisory_xact_lock(hashtextextended('rowcast.make_message_partition', 0));
    if to_regclass(format('realtime.%I', name)) is not null then
        return;
    end if;
    execute format('create table realtime.%I (like realtime.messages including defaults including constraints)', name);
    if to_regclass('realtime.messages_default') is not null then
        -- Attaching needs this lock anyway; taken before the move, no row can slip in between.
        lock table realtime.messages_default in access exclusive mode;
        select string_agg(quote_ident(attname), ', ' order by attnum) into columns from pg_attribute
        where attrelid = 'realtime.messages'::regclass and attnum > 0 and not attisdropped;
        execute format('with moved as (delete from realtime.messages_default where inserted_at >= %1$L and inserted_at < %2$L returning %3$s)
                        insert into realtime.%4$I (%3$s) select %3$s from moved', day, day + 1, columns, name);
    end if;
    execute format('alter table realtime.messages attach partition realtime.%I for values from (%L) to (%L)', name, day, day + 1);
end
$$;

-- Drops the partitions whose messages are all older, and such messages of the default partition; gives how many partitions went.
create function rowcast.drop_old_messages(kept interval) returns integer
language plpgsql
set search_path = pg_catalog, pg_temp
set lock_timeout = '2s'
as $$
declare
    oldest timestamp := (now() at time zone 'utc') - kept;
    name text;
    dropped integer := 0;
begin
    for name in
        select c.relname from pg_inherits i join pg_class c on c.oid = i.inhrelid
        where i.inhparent = 'realtime.messages'::regclass and c.relname ~ '^messages_\d{4}_\d{2}_\d{2}$'
          and to_date(substring(c.relname from 10), 'YYYY_MM_DD') + 1 <= oldest
        order by c.relname
    loop
        execute format('drop table realtime.%I', name);
        dropped := dropped + 1;
    end loop;
    if to_regclass('realtime.messages_default') is not null then
        delete from realtime.messages_default where inserted_at < oldest;
    end if;
    return dropped;
end
$$;

-- From yesterday on, because a transaction that began before midnight writes into the day before.
do $$
begin
    if to_regclass('realtime.messages_default') is not null then
        perform rowcast.make_message_partition((now() at time zone 'utc')::date + ahead) from generate_series(-1, 3) as ahead;
    end if;
end
$$;

-- Sends a message to all who have joined a topic, when the caller's transaction commits. It never fails that transaction. None of
-- these has rights of its own or a search path of its own: policies are asked as the caller, and may call functions of any schema.
do $do$
begin
    if to_regprocedure('realtime.send(jsonb, text, text, boolean)') is null then
        create function realtime.send(payload jsonb, event text, topic text, private boolean default true) returns void
        language plpgsql
        as $$
        declare
            message_id pg_catalog.uuid;
        begin
            message_id := realtime.message_id();
            if not (payload ? 'id') then
                payload := pg_catalog.jsonb_set(payload, '{id}', pg_catalog.to_jsonb(message_id));
            end if;
            perform pg_catalog.set_config('realtime.topic', topic, true);
            insert into realtime.messages (id, payload, event, topic, private, extension)
            values (message_id, payload, event, topic, private, 'broadcast');
        exception
            when others then raise warning 'WarnSendingBroadcastMessage: %', sqlerrm;
        end
        $$;
    end if;
    if to_regprocedure('realtime.send_binary(bytea, text, text, boolean)') is null then
        create function realtime.send_binary(payload bytea, event text, topic text, private boolean default true) returns void
        language plpgsql
        as $$
        begin
            perform pg_catalog.set_config('realtime.topic', topic, true);
            insert into realtime.messages (id, binary_payload, event, topic, private, extension)
            values (realtime.message_id(), payload, event, topic, private, 'broadcast');
        exception
            when others then raise warning 'WarnSendingBroadcastMessage: %', sqlerrm;
        end
        $$;
    end if;
    -- What a trigger for each row calls: perform realtime.broadcast_changes(topic, tg_op, tg_op, tg_table_name, tg_table_schema, new, old).
    if to_regprocedure('realtime.broadcast_changes(text, text, text, text, text, record, record, text)') is null then
        create function realtime.broadcast_changes(
            topic_name text, event_name text, operation text, table_name text, table_schema text, new record, old record,
            level text default 'ROW'
        ) returns void
        language plpgsql
        as $$
        begin
            if level = 'STATEMENT' then
                raise exception 'function can only be triggered for each row, not for each statement';
            end if;
            if operation is null or operation not in ('INSERT', 'UPDATE', 'DELETE') then
                raise exception 'Unexpected operation type: %', operation;
            end if;
            perform realtime.send(
                pg_catalog.jsonb_build_object('old_record', old, 'record', new, 'operation', operation,
                                              'table', table_name, 'schema', table_schema),
                event_name, topic_name);
        exception
            when others then raise exception 'Failed to process the row: %', sqlerrm;
        end
        $$;
    end if;
end
$do$;

-- Gives the roles of tokens what they need here; those that are missing are passed over. Run it again when an administrator has made them.
create function rowcast.open_realtime() returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    role name;
begin
    foreach role in array array['anon', 'authenticated', 'service_role', 'supabase_realtime_admin'] loop
        continue when not exists (select from pg_roles where rolname = role);
        execute format('grant usage on schema realtime, auth to %I', role);
        execute format('grant select, insert, update on realtime.messages to %I', role);
        execute format('grant execute on all functions in schema realtime to %I', role);
        if to_regclass('realtime.messages_seq') is not null then
            execute format('grant usage on sequence realtime.messages_seq to %I', role);
        end if;
        if role = 'supabase_realtime_admin' then
            execute format('grant all on schema realtime to %I', role);
        else
            execute format('grant usage on schema public to %I', role);
        end if;
    end loop;
    -- A service role that no superuser could make passes by a policy instead.
    if exists (select from pg_roles where rolname = 'service_role' and not rolbypassrls)
        and not exists (select from pg_policy where polrelid = 'realtime.messages'::regclass and polname = 'service_role') then
        create policy service_role on realtime.messages to service_role using (true) with check (true);
    end if;
end
$$;

-- As Supabase does: whoever has a token may read and write each table that the calling role makes in schema public from now on, and only
-- row-level security guards its rows. No migration does that to a database; call it where you want it.
create function rowcast.grant_new_tables() returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    role name;
    kind text;
begin
    foreach role in array array['anon', 'authenticated', 'service_role'] loop
        continue when not exists (select from pg_roles where rolname = role);
        foreach kind in array array['tables', 'sequences', 'functions'] loop
            execute format('alter default privileges in schema public grant all on %s to %I', kind, role);
        end loop;
    end loop;
end
$$;

revoke execute on function rowcast.grant_new_tables from public;

do $$
begin
    perform rowcast.open_realtime();
exception
    when insufficient_privilege then raise notice 'the roles of tokens got no rights in schema realtime: %', sqlerrm;
end
$$;

-- What the log tells: rows of tables that users add, and the messages.
do $$
begin
    if not exists (select from pg_publication where pubname = 'supabase_realtime') then
        create publication supabase_realtime;
    end if;
    if not exists (select from pg_publication where pubname = 'supabase_realtime_messages_publication') then
        create publication supabase_realtime_messages_publication for table realtime.messages;
    end if;
exception
    when insufficient_privilege then raise notice 'the publications of realtime were not made: %', sqlerrm;
    -- Another session makes the same one.
    when duplicate_object or unique_violation then null;
end
$$;

-- Asks the policies of realtime.messages what a token may do on a topic: which extensions it may read, or write. Rows are probed in the
-- token's role, and nothing of it stays: the probes, the role and the settings go with the inner transaction. `fault` says why it could
-- not be found out (`partition`, `role`, `probe`), what a policy failed with (`policy`), that there is none (`unset`), or that the role
-- passes by all of them and so none may speak for it (`superuser`). No search path of its own: policies of the
-- application may call functions that look for their tables in it.
create function rowcast.channel_rights(
    asked_role text, claims text, headers text, asked_topic text, extensions text[], is_write boolean,
    out allowed text[], out fault text, out detail text
)
language plpgsql
as $$
#variable_conflict use_variable
declare
    asked_at pg_catalog.timestamp := pg_catalog.timezone('utc', pg_catalog.now());
    probes pg_catalog.uuid[];
    step pg_catalog.text := 'probe';
    extension pg_catalog.text;
begin
    allowed := '{}';
    if not exists (select from pg_catalog.pg_policy p 
                   where p.polrelid = 'realtime.messages'::pg_catalog.regclass and p.polname <> 'service_role') then
        fault := 'unset';
        return;
    end if;
    if exists (select from pg_catalog.pg_roles r where r.rolname = asked_role and r.rolsuper) then
        fault := 'superuser';
        return;
    end if;
    -- Nothing of this is worth waiting for the disk.
    perform pg_catalog.set_config('synchronous_commit', 'off', true);
    begin
        if not is_write then
            with probe as (
                insert into realtime.messages as m (topic, extension, inserted_at)
                select asked_topic, wanted, asked_at from pg_catalog.unnest(extensions) as wanted returning m.id)
            select pg_catalog.array_agg(probe.id) into probes from probe;
        end if;
        step := 'role';
        perform pg_catalog.set_config('request.jwt.claims', claims, true),
                pg_catalog.set_config('request.jwt.claim.sub', coalesce(claims::pg_catalog.jsonb ->> 'sub', ''), true),
                pg_catalog.set_config('request.jwt.claim.role', asked_role, true),
                pg_catalog.set_config('request.headers', headers, true),
                pg_catalog.set_config('realtime.topic', asked_topic, true),
                pg_catalog.set_config('role', asked_role, true);
        step := 'policy';
        if is_write then
            foreach extension in array extensions loop
                begin
                    insert into realtime.messages (topic, extension, inserted_at) values (asked_topic, extension, asked_at);
                    allowed := allowed || extension;
                exception
                    when insufficient_privilege then null;
                end;
            end loop;
        else
            select coalesce(pg_catalog.array_agg(m.extension), '{}') into allowed from realtime.messages m
            where m.id = any(probes) and m.inserted_at = asked_at;
        end if;
        raise exception using errcode = 'RC001';
    exception
        when sqlstate 'RC001' then null;
        when check_violation then
            allowed := '{}';
            fault := 'partition';
            detail := sqlerrm;
        when others then
            allowed := '{}';
            fault := step;
            detail := sqlstate || ' ' || sqlerrm;
    end;
end
$$;

-- Whether a row of some table has one of the given owners: what a declared table of owners asks. Null: it cannot be asked.
create function rowcast.is_owner(schema_name text, table_name text, key_column text, key_value text, owner_column text, owners text[])
returns boolean
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
    found_one boolean;
begin
    -- Literals take on the type of their column, so that an index is used.
    execute format('select exists (select from %I.%I where %I = %L and %I = any (%L))',
                   schema_name, table_name, key_column, key_value, owner_column, owners) into found_one;
    return found_one;
exception
    -- A text that is no value of the column's type is nobody's key.
    when invalid_text_representation or numeric_value_out_of_range or datetime_field_overflow or invalid_datetime_format then return false;
    -- What was declared is not there, or is not for us to read: nobody knows.
    when undefined_table or undefined_column or undefined_function or insufficient_privilege then return null;
end
$$;

-- Lets the publication of the WAL feed tell the messages too; gives whether it does. Added to that one, because a slot reads a change by
-- the publications of its own time: what was written before is passed over, where an own publication would stop the stream.
create function rowcast.publish_messages() returns boolean
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    columns text;
begin
    if exists (select from pg_publication_tables
               where pubname = 'rowcast_events' and schemaname = 'realtime' and tablename = 'messages') then
        return true;
    end if;
    select string_agg(quote_ident(attname), ', ' order by attnum) into columns from pg_attribute
    where attrelid = to_regclass('realtime.messages') and not attisdropped
      and attname in ('id', 'topic', 'extension', 'payload', 'event', 'private', 'binary_payload', 'inserted_at', 'tenant_id');
    if columns is null or not exists (select from pg_publication where pubname = 'rowcast_events') then
        return false;
    end if;
    execute format('alter publication rowcast_events add table realtime.messages (%s)', columns);
    return true;
exception
    -- Another session does the same.
    when duplicate_object or unique_violation or internal_error then return true;
    when insufficient_privilege then return false;
end
$$;

-- How far the reader of messages has come where the log is not streamed: all that this snapshot saw is told.
create table rowcast.message_cursor (
    only_one boolean primary key default true check (only_one),
    seen pg_snapshot not null,
    changed_at timestamptz not null default clock_timestamp()
);

revoke execute on function rowcast.make_message_partition, rowcast.drop_old_messages, rowcast.open_realtime, rowcast.channel_rights,
    rowcast.publish_messages, rowcast.is_owner from public;
