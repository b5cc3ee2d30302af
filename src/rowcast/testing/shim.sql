-- The database side of the shim: accounts, and REST by functions that run with the caller's role, so that row-level security decides.

create schema if not exists rowcast_shim;

select rowcast.grant_new_tables();

create table if not exists rowcast_shim.account (
    id uuid primary key default gen_random_uuid(),
    email text not null unique,
    password bytea not null,
    user_metadata json not null default '{}',
    app_metadata json not null default '{}',
    created_at timestamptz not null default clock_timestamp()
);

create table if not exists rowcast_shim.login (
    refresh_hash bytea primary key,
    account_id uuid not null references rowcast_shim.account on delete cascade,
    created_at timestamptz not null default clock_timestamp()
);

create or replace function rowcast_shim.find_relation(relation text) returns regclass
language plpgsql stable
as $$
begin
    if to_regclass(format('public.%I', relation)) is null then
        raise exception 'Could not find the table ''public.%'' in the schema cache', relation using errcode = '42P01';
    end if;
    return to_regclass(format('public.%I', relation));
end
$$;

-- Conditions from [{"column": "id", "operator": "eq", "values": ["1"]}]: names and values are quoted here, and nowhere else.
create or replace function rowcast_shim.conditions(filters json) returns text
language sql immutable
as $$
    select coalesce(string_agg(
        case
            when json_array_length(f -> 'values') = 0 then 'false'
            else format('%I in (%s)', f ->> 'column',
                        (select string_agg(quote_literal(v), ', ') from json_array_elements_text(f -> 'values') as v))
        end, ' and '), 'true')
    from json_array_elements(filters) as f
$$;

create or replace function rowcast_shim.column_list(document json) returns text
language sql immutable
as $$
    select string_agg(distinct quote_ident(key), ', ' order by quote_ident(key))
    from json_array_elements(case json_typeof(document) when 'array' then document else json_build_array(document) end) as item,
         json_object_keys(item) as key
$$;

create or replace function rowcast_shim.insert_rows(relation text, items json, is_returned boolean) returns setof json
language plpgsql
as $$
declare
    place regclass := rowcast_shim.find_relation(relation);
    columns text := rowcast_shim.column_list(items);
    statement text := format('insert into %s (%s) select %s from json_populate_recordset(null::%s, $1)', place, columns, columns, place);
begin
    if columns is null then
        statement := format('insert into %s default values', place);
    end if;
    if is_returned then
        return query execute format('with done as (%s returning *) select to_json(done) from done', statement) using items;
    else
        execute statement using items;
    end if;
end
$$;

create or replace function rowcast_shim.update_rows(relation text, changes json, filters json, is_returned boolean) returns setof json
language plpgsql
as $$
declare
    place regclass := rowcast_shim.find_relation(relation);
    columns text := rowcast_shim.column_list(changes);
    statement text := format('update %s set (%s) = (select %s from json_populate_record(null::%s, $1)) where %s',
                             place, columns, columns, place, rowcast_shim.conditions(filters));
begin
    if is_returned then
        return query execute format('with done as (%s returning *) select to_json(done) from done', statement) using changes;
    else
        execute statement using changes;
    end if;
end
$$;

create or replace function rowcast_shim.delete_rows(relation text, filters json, is_returned boolean) returns setof json
language plpgsql
as $$
declare
    statement text := format('delete from %s where %s', rowcast_shim.find_relation(relation), rowcast_shim.conditions(filters));
begin
    if is_returned then
        return query execute format('with done as (%s returning *) select to_json(done) from done', statement);
    else
        execute statement;
    end if;
end
$$;

create or replace function rowcast_shim.select_rows(relation text, filters json) returns setof json
language plpgsql stable
as $$
begin
    return query execute format('select to_json(found) from %s as found where %s limit 1000',
                                rowcast_shim.find_relation(relation), rowcast_shim.conditions(filters));
end
$$;

grant usage on schema rowcast_shim to anon, authenticated, service_role;
