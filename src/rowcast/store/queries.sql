-- name: server_version
-- The server's version as a number, such as 180004.
select current_setting('server_version_num') as version;

-- name: lock_migrations
-- One migrating process at a time; the others wait here. The number is "rowcast" in ASCII.
select pg_advisory_lock(32210728961831796);

-- name: unlock_migrations
-- Lets the next process in.
select pg_advisory_unlock(32210728961831796);

-- name: has_migration_table
-- Whether this database has ever been migrated.
select to_regclass('rowcast.migration') is not null as is_there;

-- name: make_migration_table
-- The record of what was run.
create schema if not exists rowcast;
create table if not exists rowcast.migration (
    name text primary key,
    checksum text not null,
    applied_at timestamptz not null default clock_timestamp()
);

-- name: applied_migrations
-- What was run, in order.
select name, checksum from rowcast.migration order by name;

-- name: record_migration
-- Written in the transaction that ran it.
insert into rowcast.migration (name, checksum) values (:name, :checksum);

-- name: speak_for_tenant
-- From here to the end of the transaction row-level security shows one tenant.
select set_config('role', 'rowcast_app', true), set_config('rowcast.tenant_id', :tenant_id, true);
