-- Postgres changes: who may see a changed row, and filters that only the database can decide. Asked by rowcast's own role.

-- Which of some rows a role with these claims may see now. `keys`: a JSON array of arrays, the texts of a key each. A policy
-- that fails gives one row with its error instead, so that others' questions in the same session go on.
create function rowcast.visible_rows(entity regclass, key_columns text[], keys text, role_name text, claims text)
returns table (place integer, fault text) language plpgsql as $$
declare
    held text := current_setting('role');
    source text;
    condition text;
begin
    select format('%I.%I', n.nspname, c.relname) into source
    from pg_class c join pg_namespace n on n.oid = c.relnamespace where c.oid = entity;
    select string_agg(format('t.%I = (k.cells ->> %s)::%s', a.attname, key.n - 1, format_type(a.atttypid, -1)), ' and ')
    into condition
    from unnest(key_columns) with ordinality as key (name, n)
    join pg_attribute a on a.attrelid = entity and a.attname = key.name and not a.attisdropped;
    begin
        perform rowcast.speak_as(role_name, claims);
        return query execute format(
            -- The limit keeps the planner from a join: each row is found by its key, however large the table is.
            'select k.place::integer, null::text from pg_catalog.jsonb_array_elements($1) with ordinality as k (cells, place)
             cross join lateral (select from %s as t where %s limit 1) as seen', source, condition) using keys::jsonb;
        perform set_config('role', held, true);
    exception when others then
        return query select null::integer, sqlerrm;
    end;
end $$;

-- The same for rows that are gone: their old versions, as a JSON array of objects, against the policies for select.
create function rowcast.visible_old_rows(entity regclass, old_rows text, role_name text, claims text)
returns table (place integer, fault text) language plpgsql as $$
declare
    held text := current_setting('role');
    source text;
    name text;
    allowed text;
    required text;
begin
    select format('%I.%I', n.nspname, c.relname), c.relname into source, name
    from pg_class c join pg_namespace n on n.oid = c.relnamespace where c.oid = entity;
    select string_agg(format('(%s)', pg_get_expr(p.polqual, p.polrelid)), ' or ') filter (where p.polpermissive),
           string_agg(format('(%s)', pg_get_expr(p.polqual, p.polrelid)), ' and ') filter (where not p.polpermissive)
    into allowed, required
    from pg_policy p
    where p.polrelid = entity and p.polcmd in ('r', '*')
      and exists (select from unnest(p.polroles) as r (id) where r.id = 0 or pg_has_role(role_name, r.id, 'usage'));
    begin
        perform rowcast.speak_as(role_name, claims);
        return query execute format(
            'select k.place::integer, null::text from pg_catalog.jsonb_array_elements($1) with ordinality as k (cells, place)
             where exists (select from pg_catalog.jsonb_populate_record(null::%s, k.cells) as %I where (%s) and (%s))',
            source, name, coalesce(allowed, 'false'), coalesce(required, 'true')) using old_rows::jsonb;
        perform set_config('role', held, true);
    exception when others then
        return query select null::integer, sqlerrm;
    end;
end $$;

-- Lets the rest of the transaction speak for a role with the claims of its token, as policies expect it.
create function rowcast.speak_as(role_name text, claims text) returns void language sql as $$
    select set_config('request.jwt.claims', claims, true),
           set_config('request.jwt.claim.sub', coalesce(claims::jsonb ->> 'sub', ''), true),
           set_config('request.jwt.claim.role', role_name, true),
           set_config('role', role_name, true);
$$;

-- Whether each of some values of a column passes one condition of a filter; null where SQL says null.
create function rowcast.filter_passes(entity regclass, column_name text, operator text, operands text[], cells text[])
returns boolean[] language plpgsql set datestyle = 'ISO, YMD' set timezone = 'UTC' set intervalstyle = 'postgres' as $$
declare
    type text;
    collation_words text;
    passed boolean[];
begin
    select format_type(a.atttypid, -1), case when a.attcollation = 0 then '' else ' collate ' || a.attcollation::regcollation end
    into type, collation_words
    from pg_attribute a where a.attrelid = entity and a.attname = column_name and a.attnum > 0 and not a.attisdropped;
    execute format(
        case operator
            when 'in' then 'select array_agg(u.cell::%1$s%2$s = any ($2::%1$s[]) order by u.n)'
            when 'like' then 'select array_agg(u.cell::%1$s%2$s ~~ $2[1] order by u.n)'
            when 'ilike' then 'select array_agg(u.cell::%1$s%2$s ~~* $2[1] order by u.n)'
            when 'match' then 'select array_agg(u.cell::%1$s%2$s ~ $2[1] order by u.n)'
            when 'imatch' then 'select array_agg(u.cell::%1$s%2$s ~* $2[1] order by u.n)'
            else 'select array_agg(u.cell::%1$s%2$s %3$s $2[1]::%1$s order by u.n)'
        end || ' from unnest($1) with ordinality as u (cell, n)',
        type, collation_words,
        case operator when 'eq' then '=' when 'neq' then '<>' when 'lt' then '<' when 'lte' then '<=' when 'gt' then '>'
            when 'gte' then '>=' when 'isdistinct' then 'is distinct from' end
    ) into passed using cells, operands;
    return passed;
end $$;

-- The texts that PostgreSQL itself gives to the literals of a filter, or why it cannot read them.
create function rowcast.filter_literals(entity regclass, column_name text, operator text, operands text[])
returns table (literals text[], fault text)
language plpgsql set datestyle = 'ISO, YMD' set timezone = 'UTC' set intervalstyle = 'postgres' as $$
declare
    type text;
begin
    select format_type(a.atttypid, -1) into type
    from pg_attribute a where a.attrelid = entity and a.attname = column_name and a.attnum > 0 and not a.attisdropped;
    begin
        perform rowcast.filter_passes(entity, column_name, operator, operands, array['']::text[])
            where operator in ('match', 'imatch', 'like', 'ilike');
        perform rowcast.filter_passes(entity, column_name, operator, operands, array[null]::text[]);
        literals := operands;
        if operator not in ('match', 'imatch', 'like', 'ilike') then
            -- As its output function writes it: a cast to text would give other words, `true` for `t`.
            execute format('select coalesce(array_agg(format(''%%s'', u.cell::%s) order by u.n), ''{}'') '
                           'from unnest($1) with ordinality as u (cell, n)', type) into literals using operands;
        end if;
    exception when others then
        fault := sqlerrm;
    end;
    return next;
end $$;

revoke all on function rowcast.visible_rows, rowcast.visible_old_rows, rowcast.speak_as, rowcast.filter_passes,
    rowcast.filter_literals from public;
