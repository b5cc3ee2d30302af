"""Policies on realtime.messages, written as Supabase's documentation writes them, on the real database."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec

from rowcast.core.codec import encode_json
from rowcast.realtime.authorize import Claims
from rowcast.realtime.channel_policy import Access, Fault
from rowcast.realtime.row_policies import RowPolicies
from rowcast.store.pool import PoolSettings, open_database
from tests.integration.capture.feeding import Heard, run

ANN, BOB = "11111111-1111-1111-1111-111111111111", "22222222-2222-2222-2222-222222222222"
NOTHING = Access()

# As in the documentation of Supabase: who may join is a table of members, guarded itself.
MEMBERS = f"""
create table public.rooms_users (user_id uuid, room_topic text, is_admin boolean default false);
alter table public.rooms_users enable row level security;
create policy "users see their own rows" on public.rooms_users for select to authenticated using ((select auth.uid()) = user_id);
insert into public.rooms_users values ('{ANN}', 'room:1', true), ('{BOB}', 'room:2', false);

create policy "authenticated can receive broadcast" on "realtime"."messages" for select to authenticated using (
  exists (
    select user_id from rooms_users
    where user_id = (select auth.uid()) and room_topic = (select realtime.topic())
      and realtime.messages.extension in ('broadcast')
  )
);
create policy "authenticated can send broadcast on topic" on "realtime"."messages" for insert to authenticated with check (
  exists (
    select user_id from rooms_users
    where user_id = (select auth.uid()) and is_admin and room_topic = (select realtime.topic())
      and realtime.messages.extension in ('broadcast')
  )
);
create policy "authenticated can see and track presence" on "realtime"."messages" for all to authenticated
using ( (select realtime.topic()) = 'lobby' and extension = 'presence' )
with check ( (select realtime.topic()) = 'lobby' and extension = 'presence' );
create policy "read orders" on realtime.messages for select to authenticated
using ( realtime.topic() = 'orders:' || (auth.jwt() ->> 'org') and extension = 'broadcast' );
create policy "write anything that begins with open" on realtime.messages for insert to anon with check ( realtime.topic() like 'open:%' );
"""


def person(sub: str | None = None, role: str = "authenticated", **claims: object) -> Claims:
    return Claims(role, 9, document=encode_json({"role": role, "sub": sub, **claims}))


@asynccontextmanager
async def policies(dsn: str, script: str = MEMBERS, **settings: float) -> AsyncIterator[RowPolicies]:
    run(dsn, script)
    async with open_database(dsn, PoolSettings(max_size=4, **settings)) as database:  # type: ignore[arg-type]
        yield RowPolicies(database=database)


async def test_a_membership_table_decides_who_reads(any_dsn: str) -> None:
    async with policies(any_dsn) as rules:
        assert await rules.read(person(ANN), "room:1", wants_presence=True) == Access(True, False)
        for claims, topic in (
            (person(ANN), "room:2"), (person(ANN), "room:10"), (person(ANN), "room:"), (person(BOB), "room:1"),
            (person(None), "room:1"), (person(ANN, "anon"), "room:1"),
        ):  # fmt: skip
            assert await rules.read(claims, topic, wants_presence=True) == NOTHING


async def test_writing_has_policies_of_its_own(any_dsn: str) -> None:
    async with policies(any_dsn) as rules:
        assert await rules.write(person(ANN), "room:1", extension="broadcast") is True
        assert await rules.write(person(ANN), "room:1", extension="presence") is False
        assert await rules.write(person(BOB), "room:2", extension="broadcast") is False
        assert await rules.read(person(BOB), "room:2", wants_presence=False) == Access(True, False)
        assert await rules.write(person(None, "anon"), "open:x", extension="presence") is True
        assert await rules.read(person(None, "anon"), "open:x", wants_presence=True) == NOTHING


async def test_presence_and_broadcast_are_told_apart(dsn: str) -> None:
    async with policies(dsn) as rules:
        assert await rules.read(person(ANN), "lobby", wants_presence=True) == Access(False, True)
        assert await rules.read(person(ANN), "lobby", wants_presence=False) == NOTHING
        assert await rules.write(person(ANN), "lobby", extension="presence") is True


async def test_any_claim_may_be_asked_for_and_only_the_tokens_own_counts(dsn: str) -> None:
    async with policies(dsn) as rules:
        assert await rules.read(person(ANN, org="acme"), "orders:acme", wants_presence=False) == Access(True)
        assert await rules.read(person(ANN, org="acme"), "orders:bell", wants_presence=False) == NOTHING
        assert await rules.read(person(ANN, org="%"), "orders:bell", wants_presence=False) == NOTHING
        assert await rules.read(person(ANN), "orders:", wants_presence=False) == NOTHING


async def test_the_service_passes_by_all_policies_and_a_superuser_by_none(dsn: str) -> None:
    async with policies(dsn) as rules:
        assert await rules.read(person(None, "service_role"), "room:1", wants_presence=True) == Access(True, True)
        assert await rules.write(person(None, "service_role"), "room:1", extension="broadcast") is True
        assert await rules.read(person(None, "postgres"), "room:1", wants_presence=True) == NOTHING


async def test_a_table_without_policies_leaves_it_to_the_next_rule(dsn: str) -> None:
    async with policies(dsn, "select 1") as rules:
        assert await rules.read(person(ANN), "room:1", wants_presence=False) is None
        assert await rules.write(person(ANN), "room:1", extension="broadcast") is None


async def test_nothing_of_a_question_stays_in_the_database(dsn: str) -> None:
    async with policies(dsn) as rules:
        await rules.read(person(ANN), "room:1", wants_presence=True)
        await rules.write(person(ANN), "room:1", extension="broadcast")
        async with rules._database.connection() as connection:
            left = await connection.driver.fetchrow(
                "select current_user::text, current_setting('realtime.topic', true), current_setting('request.jwt.claims', true)"
            )

    assert run(dsn, "select count(*) from realtime.messages") == [(0,)]
    assert (left[0], left[1] or "", left[2] or "") == ("postgres", "", "")


async def test_a_policy_that_is_taken_away_counts_at_the_next_question(dsn: str) -> None:
    async with policies(dsn) as rules:
        assert await rules.read(person(ANN), "room:1", wants_presence=False) == Access(True)
        run(dsn, 'drop policy "authenticated can receive broadcast" on realtime.messages')
        assert await rules.read(person(ANN), "room:1", wants_presence=False) == NOTHING
        run(dsn, "create policy again on realtime.messages for select using (true)")
        assert await rules.read(person(ANN), "room:1", wants_presence=False) == Access(True)


async def test_a_policy_that_fails_opens_nothing_and_is_told(dsn: str) -> None:
    script = "create policy broken on realtime.messages using ((1 / (length(realtime.topic()) - length('room:1'))) = 0)"
    async with policies(dsn, script) as rules:
        with Heard() as heard:
            assert await rules.read(person(ANN), "room:1", wants_presence=False) == NOTHING
            assert await rules.write(person(ANN), "room:1", extension="broadcast") is False

    assert heard.named("policy.failed") == [{"step": "policy", "error": "22012"}] * 2


async def test_a_claim_that_is_no_uuid_opens_nothing(dsn: str) -> None:
    async with policies(dsn) as rules:
        assert await rules.read(person("x' or true --"), "room:1", wants_presence=False) == NOTHING


async def test_a_role_that_is_not_there_is_a_fault(dsn: str) -> None:
    async with policies(dsn) as rules:
        found = await rules.read(person(ANN, "nobody_here"), "room:1", wants_presence=False)

    assert found == Fault("Realtime was unable to connect to the project database")


async def test_a_missing_partition_is_a_fault(dsn: str) -> None:
    run(dsn, "drop table realtime.messages_default")
    for (name,) in run(
        dsn, "select inhrelid::regclass::text from pg_inherits where inhparent = 'realtime.messages'::regclass"
    ):
        run(dsn, f"drop table {name}")
    async with policies(dsn) as rules:
        reading = await rules.read(person(ANN), "room:1", wants_presence=False)
        writing = await rules.write(person(ANN), "room:1", extension="broadcast")

    assert reading == writing == Fault("MissingPartition: Realtime was unable to find the expected messages partition")


async def test_a_policy_that_takes_too_long_is_a_fault_and_ends(dsn: str) -> None:
    script = "create policy slow on realtime.messages using (pg_sleep(30)::text is not null)"
    async with policies(dsn, script, timeout_s=0.3) as rules:
        found = await rules.read(person(ANN), "room:1", wants_presence=False)

        assert found == Fault("QueryCanceled: canceling statement due to statement timeout")
        assert await rules.read(person(None, "service_role"), "room:1", wants_presence=False) == Access(True)


async def test_a_function_of_a_policy_finds_its_tables_by_the_usual_search_path(dsn: str) -> None:
    script = """
    create table public.friends (name text);
    insert into public.friends values ('room:1');
    create function public.is_friend(name text) returns boolean language plpgsql security definer as
    $$ begin return exists (select from friends f where f.name = is_friend.name); end $$;
    create policy friends on realtime.messages using (is_friend(realtime.topic()));
    """
    async with policies(dsn, script) as rules:
        assert await rules.read(person(ANN), "room:1", wants_presence=False) == Access(True)
        assert await rules.read(person(ANN), "room:2", wants_presence=False) == NOTHING


async def test_policies_may_read_the_headers_of_the_socket(dsn: str) -> None:
    script = """
    create policy by_header on realtime.messages using (
        nullif(current_setting('request.headers', true), '')::json ->> 'x-shop' = realtime.topic());
    """
    claims = msgspec.structs.replace(person(ANN), headers=b'{"x-shop":"room:1"}')
    async with policies(dsn, script) as rules:
        assert await rules.read(claims, "room:1", wants_presence=False) == Access(True)
        assert await rules.read(claims, "room:2", wants_presence=False) == NOTHING
        assert await rules.read(person(ANN), "room:1", wants_presence=False) == NOTHING
