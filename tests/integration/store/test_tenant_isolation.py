"""Tenant by tenant: row-level security decides, and the catalogue proves that no table was forgotten."""

import pytest

from rowcast.core.errors import ConfigError
from rowcast.store.pool import Connection, Database
from rowcast.store.sql import parse_query

# Tables that hold nothing of a tenant. Whoever adds one says so here.
_OF_NOBODY = {
    "migration", "feed_cursor", "feed_gap", "bus_message", "bus_key", "message_cursor", "event_type", "idempotent_answer",
}  # fmt: skip

_TABLES = parse_query(
    "tables",
    """
    select c.relname as name, c.relrowsecurity and c.relforcerowsecurity as is_secured,
           exists (select 1 from pg_attribute a where a.attrelid = c.oid and a.attname = 'tenant_id') as has_tenant,
           array(select p.polname::text from pg_policy p where p.polrelid = c.oid order by 1) as policies
    from pg_class c
    where c.relnamespace = 'rowcast'::regnamespace and c.relkind in ('r', 'p') and not c.relispartition
    order by 1
    """,
)
_FUNCTIONS = parse_query(
    "functions",
    """
    select p.oid::regprocedure::text as name, coalesce(p.proconfig::text, '') as settings,
           has_function_privilege('public', p.oid, 'execute') as is_public
    from pg_proc p where p.pronamespace = 'rowcast'::regnamespace and p.prosecdef order by 1
    """,
)
_READABLE = parse_query(
    "readable",
    """
    select c.relname as name, c.relkind::text as kind, c.relispartition as is_partition,
           coalesce('security_invoker=true' = any(c.reloptions), false) as is_invoker
    from pg_class c
    where c.relnamespace = 'rowcast'::regnamespace and c.relkind in ('r', 'p', 'v', 'm')
      and has_any_column_privilege('rowcast_app', c.oid, 'select') order by 1
    """,
)
_ROWS = {
    "event": "select tenant_id from rowcast.event",
    "outbox": "select tenant_id from rowcast.outbox",
    "event_state": "select e.tenant_id from rowcast.event_state s join rowcast.event e on e.id = s.event_id",
    "delivery": "select tenant_id from rowcast.delivery",
    "attempt": "select tenant_id from rowcast.attempt",
    "endpoint": "select tenant_id from rowcast.endpoint",
}
_FILL = """
with emitted as (
    select tenant, rowcast.emit(tenant, 'orders.made', '{}') as id from unnest(array['acme', 'globex']) as tenant
), settled as (
    insert into rowcast.event_state (event_id, status) select id, 'published' from emitted
), delivered as (
    insert into rowcast.delivery (tenant_id, event_id, sink, target) select tenant, id, 'webhooks', 't' from emitted
    returning id, tenant_id
), endpoints as (
    insert into rowcast.endpoint (id, tenant_id, url)
    select 'ep_' || tenant, tenant, 'https://x.example' from emitted
)
insert into rowcast.attempt (delivery_id, fence, tenant_id, attempt, outcome, started_at, latency_ms)
select id, 1, tenant_id, 1, 'delivered', now(), 1 from delivered
"""


async def _tenants(connection: Connection, text: str) -> list[str]:
    return [row["tenant_id"] for row in await connection.fetch(parse_query("seen", text))]


async def test_every_table_of_tenants_is_secured_and_has_both_policies(database: Database) -> None:
    """The engine's, and either the tenant's or, narrower, that of each user for his own rows."""
    both = (["engine", "tenant"], ["engine", "own"])
    wrong = {
        row["name"]: dict(row)
        for row in await database.fetch(_TABLES)
        if row["name"] not in _OF_NOBODY and not (row["is_secured"] and row["policies"] in both)
    }

    assert wrong == {}


async def test_a_table_of_nobody_has_no_tenant_and_cannot_be_read(database: Database) -> None:
    tables = {row["name"]: row["has_tenant"] for row in await database.fetch(_TABLES)}
    readable = {row["name"] for row in await database.fetch(_READABLE)}

    assert {name for name in _OF_NOBODY if tables[name]} == set()
    assert readable & _OF_NOBODY == set()


async def test_a_view_that_applications_read_asks_with_their_rights_and_no_partition_is_open(
    database: Database,
) -> None:
    rows = await database.fetch(_READABLE)

    assert [row["name"] for row in rows if row["kind"] != "r" and row["kind"] != "p" and not row["is_invoker"]] == []
    assert [row["name"] for row in rows if row["is_partition"]] == []


async def test_every_function_with_its_owners_rights_pins_its_search_path_and_is_closed_to_the_public(
    database: Database,
) -> None:
    rows = await database.fetch(_FUNCTIONS)

    # Unless it is named, the schema of temporary objects is searched first, and there anybody can make a type `text`.
    pinned = "search_path=pg_catalog, pg_temp"
    assert [row["name"] for row in rows if pinned not in row["settings"]] == []
    assert [row["name"] for row in rows if row["is_public"]] == []
    names = {row["name"].split("(")[0] for row in rows}
    assert names >= {"rowcast.emit_json", "rowcast.enqueue"}
    # It runs as whoever calls it, so that it costs nothing beside `emit_json`, which it ends in.
    assert "rowcast.emit" not in names


@pytest.mark.parametrize("table", sorted(_ROWS))
async def test_a_tenant_sees_its_own_rows_only(database: Database, table: str) -> None:
    async with database.transaction() as engine:
        await engine.run_script(_FILL)

    async with database.as_tenant("acme") as connection:
        assert await _tenants(connection, _ROWS[table]) == ["acme"]
    async with database.connection() as engine:
        assert sorted(await _tenants(engine, _ROWS[table])) == ["acme", "globex"]


@pytest.mark.parametrize("tenant_id", ["", "ACME", "acme ", "nobody", "acme' or '1'='1"])
async def test_somebody_else_sees_nothing(database: Database, tenant_id: str) -> None:
    async with database.transaction() as engine:
        await engine.run_script(_FILL)

    async with database.as_tenant(tenant_id) as connection:
        assert [await _tenants(connection, text) for text in _ROWS.values()] == [[]] * len(_ROWS)


@pytest.mark.parametrize(
    "text",
    [
        "select hash from rowcast.api_key",
        "select sealed from rowcast.endpoint_secret",
        "select * from rowcast.event_default",
        """insert into rowcast.event (id, tenant_id, aggregate_type, aggregate_id, event_type, occurred_at, payload)
           values (rowcast.uuid7(), 'acme', 'a', 'a', 'a.b', now(), '{}')""",
        "update rowcast.delivery set status = 'cancelled'",
        "delete from rowcast.event_state",
        "select rowcast.make_partition(current_date)",
    ],
)
async def test_a_tenant_reads_no_secrets_and_writes_through_the_one_door_only(database: Database, text: str) -> None:
    with pytest.raises(ConfigError) as refused:
        async with database.as_tenant("acme") as connection:
            await connection.execute(parse_query("try", text))

    assert refused.value.code == "config.privileges"


async def test_the_tenant_is_forgotten_with_the_transaction(database: Database) -> None:
    async with database.transaction() as engine:
        await engine.run_script(_FILL)
    async with database.as_tenant("acme") as connection:
        await _tenants(connection, _ROWS["event"])

    async with database.connection() as engine:
        assert sorted(await _tenants(engine, _ROWS["event"])) == ["acme", "globex"]
        (row,) = await engine.fetch(
            parse_query("who", "select current_user as who, rowcast.current_tenant() as tenant")
        )
        assert (row["who"], row["tenant"]) == ("postgres", None)


async def test_a_type_of_the_callers_own_is_not_used_with_the_owners_rights(database: Database) -> None:
    async with database.as_tenant("acme") as connection:
        await connection.run_script("""
            create function pg_temp.spy(value pg_catalog.text) returns boolean language plpgsql as
                $$ begin raise exception 'called as %', current_user; end $$;
            create domain pg_temp.text as pg_catalog.text check (pg_temp.spy(value));
            create domain pg_temp.timestamptz as pg_catalog.timestamptz check (pg_temp.spy('x'));
        """)

        await connection.execute(parse_query("x", "select rowcast.emit('acme', 'orders.confirmed', '{}')"))
        await connection.execute(parse_query("x", "select rowcast.enqueue('acme', 'shop.pack', '{}')"))
