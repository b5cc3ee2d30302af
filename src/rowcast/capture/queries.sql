-- name: describe_table
-- A table's columns and primary key, in order.
select c.relkind::text as kind,
       array(select a.attname::text from pg_attribute a
             where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped order by a.attnum) as columns,
       array(select a.attname::text from pg_index i, unnest(i.indkey) with ordinality as k (attnum, place), pg_attribute a
             where i.indrelid = c.oid and i.indisprimary and a.attrelid = c.oid and a.attnum = k.attnum
             order by k.place) as key
from pg_class c join pg_namespace n on n.oid = c.relnamespace
where n.nspname = :schema and c.relname = :name and c.relkind in ('r', 'p', 'v', 'm', 'f');

-- name: installed_watches
-- The functions of watches, with the table and the enabled triggers that call each.
select p.proname::text as function, obj_description(p.oid, 'pg_proc') as comment,
       (select n.nspname || '.' || c.relname from pg_trigger t
        join pg_class c on c.oid = t.tgrelid join pg_namespace n on n.oid = c.relnamespace
        where t.tgfoid = p.oid order by c.oid limit 1) as table,
       array(select t.tgname::text from pg_trigger t where t.tgfoid = p.oid and t.tgenabled <> 'D' order by t.tgname) as triggers
from pg_proc p
where p.pronamespace = 'rowcast'::regnamespace and p.proname like 'watch\_%';
