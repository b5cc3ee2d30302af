"""The realtime part of the schema on the newest and the oldest server: whatever was there, and whatever our role may do."""

import asyncio
from collections.abc import Iterator
from urllib.parse import urlsplit

import psycopg
import pytest
from psycopg import sql

from rowcast.server.doctor import judge_realtime
from rowcast.store.migrate import migrate_database
from rowcast.store.pool import open_database
from rowcast.store.sql import load_queries
from rowcast.testing.cluster import Cluster

ROLES = ("anon", "authenticated", "service_role")
SEND = "select realtime.send('{\"a\": 1}', 'e', 'room:1')"


def say(dsn: str, text: str) -> list[tuple[object, ...]]:
    with psycopg.connect(dsn, autocommit=True) as connection:
        cursor = connection.execute(text)  # type: ignore[call-overload]
        return cursor.fetchall() if cursor.description else []


@pytest.fixture
def empty_dsn(any_cluster: Cluster) -> Iterator[str]:
    """A database in which nothing was done yet."""
    dsn = any_cluster.create(template="template1")
    yield dsn
    any_cluster.drop(dsn)


@pytest.fixture
def owner_dsn(any_cluster: Cluster, empty_dsn: str) -> Iterator[str]:
    """The URL of a role that owns the database and is nothing else."""
    name = f"owner_{urlsplit(empty_dsn).path.removeprefix('/t_')}"
    with psycopg.connect(any_cluster.dsn, autocommit=True) as admin:
        role, database = sql.Identifier(name), sql.Identifier(urlsplit(empty_dsn).path.removeprefix("/"))
        admin.execute(sql.SQL("create role {} login password 'secret'").format(role))
        admin.execute(sql.SQL("grant rowcast_app to {}").format(role))
        admin.execute(sql.SQL("alter database {} owner to {}").format(database, role))
    yield urlsplit(empty_dsn)._replace(netloc=f"{name}:secret@127.0.0.1:{urlsplit(empty_dsn).port}").geturl()
    with psycopg.connect(empty_dsn, autocommit=True) as admin:
        admin.execute(sql.SQL("reassign owned by {} to current_user").format(sql.Identifier(name)))
        admin.execute(sql.SQL("drop owned by {}").format(sql.Identifier(name)))
        admin.execute(sql.SQL("drop role {}").format(sql.Identifier(name)))


def test_the_roles_of_tokens_may_write_messages_and_policies_decide(any_dsn: str) -> None:
    say(
        any_dsn,
        "create policy w on realtime.messages for insert to authenticated with check (realtime.topic() = 'room:1')",
    )
    for role in ROLES:
        say(any_dsn, f"set role {role}; {SEND}")

    assert say(any_dsn, "select count(*) from realtime.messages") == [(2,)]


@pytest.mark.parametrize(
    "broken",
    [
        "drop table realtime.messages cascade",
        "alter table realtime.messages add constraint c check (topic <> 'room:1')",
        "drop function realtime.message_id() cascade",
        "revoke all on realtime.messages from authenticated; set role authenticated",
        "set role authenticated",
    ],
)
def test_whatever_is_wrong_with_a_message_never_fails_the_callers_transaction(any_dsn: str, broken: str) -> None:
    with psycopg.connect(any_dsn) as connection:
        notices: list[str] = []
        connection.add_notice_handler(lambda notice: notices.append(notice.message_primary or ""))
        connection.execute("create table public.paid (id int); grant all on public.paid to public")
        connection.execute(broken)  # type: ignore[call-overload]
        connection.execute("insert into public.paid values (1)")
        connection.execute("select realtime.send('{}', 'e', 'room:1')")
        connection.execute(r"select realtime.send_binary('\x00', 'e', 'room:1')")
        connection.execute("select realtime.send(null, null, null)")
        assert connection.execute("select id from public.paid").fetchall() == [(1,)]

    assert [notice.partition(":")[0] for notice in notices][:2] == ["WarnSendingBroadcastMessage"] * 2


def test_a_payload_gets_the_rows_id_unless_it_has_one(any_dsn: str) -> None:
    say(any_dsn, SEND)
    say(any_dsn, """select realtime.send('{"id": 7}', 'e', 'room:1', false)""")

    assert (
        say(
            any_dsn, "select payload ->> 'id' = id::text, payload ->> 'id', private from realtime.messages order by seq"
        )[0][0]
        is True
    )
    assert say(any_dsn, "select payload ->> 'id', private from realtime.messages order by seq offset 1") == [
        ("7", False)
    ]


@pytest.mark.parametrize(("operation", "level"), [("TRUNCATE", "ROW"), ("INSERT", "STATEMENT")])
def test_changes_that_are_no_rows_are_refused(any_dsn: str, operation: str, level: str) -> None:
    call = f"select realtime.broadcast_changes('t', 'e', '{operation}', 'x', 'public', null::record, null::record, '{level}')"
    with pytest.raises(psycopg.errors.RaiseException, match="Failed to process the row"):
        say(any_dsn, call)


async def test_what_another_tool_made_is_left_as_it_is(empty_dsn: str) -> None:
    say(
        empty_dsn,
        """
        create schema auth; create schema realtime;
        create function auth.uid() returns uuid language sql as $$ select '11111111-1111-1111-1111-111111111111'::uuid $$;
        create function realtime.topic() returns text language sql as $$ select 'theirs' $$;
        create table realtime.messages (topic text not null, extension text not null, payload jsonb, event text,
            private boolean default false, updated_at timestamp not null default now(), inserted_at timestamp not null default now(),
            id uuid not null default gen_random_uuid(), binary_payload bytea, primary key (id, inserted_at))
            partition by range (inserted_at);
        create publication supabase_realtime;
        """,
    )

    await migrate_database(empty_dsn)

    assert say(empty_dsn, "select auth.uid()::text, realtime.topic()") == [
        ("11111111-1111-1111-1111-111111111111", "theirs")
    ]
    assert say(
        empty_dsn, "select count(*) from pg_attribute where attrelid = 'realtime.messages'::regclass and attnum > 0"
    ) == [(9,)]
    assert say(empty_dsn, "select count(*) from pg_inherits where inhparent = 'realtime.messages'::regclass") == [(0,)]
    say(empty_dsn, "select rowcast.make_message_partition((now() at time zone 'utc')::date)")
    say(empty_dsn, SEND)
    assert say(empty_dsn, "select count(*) from realtime.messages") == [(1,)]
    async with open_database(empty_dsn) as database:
        row = await database.fetch_one(load_queries("rowcast.server")["realtime_rights"])
    assert row is not None
    assert judge_realtime(row).found == "another tool made realtime.messages"


async def test_a_role_that_owns_nothing_but_its_database_migrates_and_is_told_what_is_missing(owner_dsn: str) -> None:
    await migrate_database(owner_dsn)
    say(owner_dsn, SEND)
    async with open_database(owner_dsn) as database:
        row = await database.fetch_one(load_queries("rowcast.server")["realtime_rights"])
    assert row is not None
    found = judge_realtime(row)

    assert say(owner_dsn, "select count(*) from realtime.messages") == [(1,)]
    assert (found.verdict, "anon" in found.found) == ("warn", True)
    assert "grant anon, authenticated, service_role to owner_" in found.fix


async def test_many_databases_of_one_server_can_be_migrated_at_once(any_cluster: Cluster) -> None:
    dsns = [any_cluster.create(template="template1") for _ in range(6)]
    try:
        async with asyncio.TaskGroup() as group:
            for dsn in dsns:
                group.create_task(migrate_database(dsn), name="test:migrate")
        for dsn in dsns:
            assert say(
                dsn, "select count(*) from pg_roles where rolname in ('anon', 'authenticated', 'service_role')"
            ) == [(3,)]
    finally:
        for dsn in dsns:
            any_cluster.drop(dsn)
