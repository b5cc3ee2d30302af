"""From a pack, the settings and the database's policies to a socket: who may join what, and what the database sends."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import psycopg
import pytest
from websockets.asyncio.client import ClientConnection, connect

from rowcast import OwnedTopic, Pack, channel
from rowcast.core.errors import UsageError
from rowcast.realtime.authorize import sign_token
from rowcast.server.channel_policies import sort_channels
from tests.integration.capture.feeding import Heard, run, until
from tests.integration.server.running import JWT_SECRET, Running, running

ANN, BOB = "11111111-1111-1111-1111-111111111111", "22222222-2222-2222-2222-222222222222"
REFUSED = "Unauthorized: You do not have permissions to read from this Channel topic: "
POLICY = """
create table public.members (user_id uuid, topic text);
grant select on public.members to authenticated;
alter table public.members enable row level security;
create policy own on public.members for select to authenticated using ((select auth.uid()) = user_id);
create policy hear on realtime.messages for select to authenticated using (
    exists (select from members where user_id = (select auth.uid()) and topic = (select realtime.topic())));
"""


@channel("board:{team}")
def board(claims: Mapping[str, Any], team: str) -> bool:
    return claims.get("team") == team


def bearer(role: str = "authenticated", **claims: object) -> str:
    return sign_token({"role": role, "exp": 4_000_000_000, **claims}, JWT_SECRET)


class Socket:
    """A socket of version 2.0.0 and what comes over it."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection
        self._ref = 0

    async def join(self, *topics: str, is_private: bool = True) -> list[str]:
        """Give `ok`, or the reason of the refusal, for each. Refusals come late, so all are asked for at once."""
        refs: dict[str, int] = {}
        for place, topic in enumerate(topics):
            self._ref += 1
            ref = str(self._ref)
            refs[ref] = place
            config = {"private": is_private, "broadcast": {"ack": True}}
            await self.connection.send(json.dumps([ref, ref, f"realtime:{topic}", "phx_join", {"config": config}]))
        said = [""] * len(topics)
        while not all(said):
            found = await self.read()
            if isinstance(found, list) and found[3] == "phx_reply" and found[1] in refs:
                body = found[4]
                said[refs[found[1]]] = body["status"] if body["status"] == "ok" else body["response"]["reason"]
        return said

    async def read(self) -> Any:
        async with asyncio.timeout(15):
            text = await self.connection.recv()
        return text if isinstance(text, bytes) else json.loads(text)

    async def heard(self) -> tuple[str, str, dict[str, Any], bytes]:
        """Give topic, event, meta and payload of the next broadcast."""
        while not isinstance(found := await self.read(), bytes):
            pass
        sizes, at, parts = found[1:4], 5, []
        for size in sizes:
            parts.append(found[at : at + size].decode())
            at += size
        return parts[0].removeprefix("realtime:"), parts[1], json.loads(parts[2]), found[at:]


@asynccontextmanager
async def telling(dsn: str, feed: str = "wal") -> AsyncIterator[Running]:
    """Run a server, and wait until it reads what the database sends."""
    with Heard() as heard:
        async with running(dsn, roles=("gateway", "relay"), relay__feed=feed) as server:
            await until(lambda: bool(heard.named("feed.opened" if feed == "wal" else "messages.followed")))
            yield server


@asynccontextmanager
async def socket(server: Running, token: str) -> AsyncIterator[Socket]:
    url = f"ws://127.0.0.1:{server.port}/realtime/v1/websocket?apikey={token}&vsn=2.0.0"
    async with connect(url) as connection:
        yield Socket(connection)


async def test_policies_of_the_database_decide_and_what_it_sends_is_heard(dsn: str) -> None:
    run(dsn, POLICY)
    run(dsn, "insert into members values (%s, 'room:1'), (%s, 'room:2')", [ANN, BOB])
    async with (
        telling(dsn) as server,
        socket(server, bearer(sub=ANN)) as ann,
        socket(server, bearer(sub=BOB)) as bob,
    ):
        assert await ann.join("room:2", "room:10", "room:1") == [REFUSED + "room:2", REFUSED + "room:10", "ok"]
        assert await bob.join("room:2") == ["ok"]

        run(
            dsn,
            """select realtime.send('{"for": "bob"}', 'told', 'room:2'), realtime.send('{"for": "ann"}', 'told', 'room:1')""",
        )

        for one, name, topic in ((ann, "ann", "room:1"), (bob, "bob", "room:2")):
            heard_topic, event, meta, payload = await one.heard()
            assert (heard_topic, event) == (topic, "told")
            assert json.loads(payload) == {"for": name, "id": meta["id"]}


@pytest.mark.parametrize("feed", ["wal", "claim"])
async def test_a_trigger_tells_what_changed_and_only_after_its_commit(dsn: str, feed: str) -> None:
    run(
        dsn,
        """
        create table public.orders (id bigint primary key, status text);
        create function public.tell_orders() returns trigger language plpgsql security definer set search_path = '' as $$
        begin
            perform realtime.broadcast_changes('orders:' || coalesce(new.id, old.id), tg_op, tg_op, tg_table_name, tg_table_schema,
                                               new, old);
            return null;
        end $$;
        create trigger tell after insert or update or delete on public.orders for each row execute function public.tell_orders();
        """,
    )
    async with (
        telling(dsn, feed) as server,
        socket(server, bearer("service_role")) as listener,
    ):
        assert await listener.join("orders:7", "orders:8") == ["ok", "ok"]
        with psycopg.connect(dsn) as open_one:
            open_one.execute("insert into orders values (7, 'late')")
            run(dsn, "insert into orders values (8, 'first')")
            assert (await listener.heard())[0] == "orders:8"
            open_one.commit()
        run(dsn, "update orders set status = 'paid' where id = 7")
        run(dsn, "delete from orders where id = 7")

        told = [await listener.heard() for _ in range(3)]

    assert [(topic, event) for topic, event, _, _ in told] == [
        ("orders:7", each) for each in ("INSERT", "UPDATE", "DELETE")
    ]
    bodies = [json.loads(payload) for *_, payload in told]
    assert [(body["record"], body["old_record"]) for body in bodies] == [
        ({"id": 7, "status": "late"}, None),
        ({"id": 7, "status": "paid"}, {"id": 7, "status": "late"}),
        (None, {"id": 7, "status": "paid"}),
    ]
    assert {(body["schema"], body["table"], body["operation"]) for body in bodies} == {
        ("public", "orders", "INSERT"), ("public", "orders", "UPDATE"), ("public", "orders", "DELETE"),
    }  # fmt: skip


async def test_public_and_private_topics_of_one_name_never_meet(dsn: str) -> None:
    async with (
        telling(dsn) as server,
        socket(server, bearer("service_role")) as private,
        socket(server, bearer("anon")) as public,
    ):
        assert await private.join("room") + await public.join("room", is_private=False) == ["ok", "ok"]

        run(
            dsn,
            """select realtime.send('{"to": "private"}', 'e', 'room'), realtime.send('{"to": "public"}', 'e', 'room', false)""",
        )
        run(
            dsn,
            r"""select realtime.send_binary('\x00ff', 'b', 'room'), realtime.send_binary('\x01', 'b', 'room', false)""",
        )

        assert [json.loads((await one.heard())[3])["to"] for one in (private, public)] == ["private", "public"]
        assert [(await one.heard())[3] for one in (private, public)] == [b"\x00\xff", b"\x01"]


async def test_one_name_of_three_tenants_is_three_topics(dsn: str) -> None:
    run(dsn, "create policy all_open on realtime.messages using (true)")
    tokens = {"acme": bearer(tenant_id="acme"), "bell": bearer(tenant_id="bell"), "nobody": bearer()}
    async with telling(dsn) as server, AsyncExitStack() as stack:
        sockets = {name: await stack.enter_async_context(socket(server, token)) for name, token in tokens.items()}
        for one in sockets.values():
            assert await one.join("room") == ["ok"]
        assert await sockets["acme"].join("tenant:acme") == ["ok"]
        assert await sockets["bell"].join("tenant:acme") == [REFUSED + "tenant:acme"]
        for name in ("acme", "bell", ""):
            run(
                dsn,
                f"""select set_config('rowcast.tenant_id', '{name}', false), realtime.send('{{"of": "{name}"}}', 'e', 'room')""",
            )
        run(dsn, """select realtime.send('{"of": "the topic"}', 'e', 'tenant:acme')""")
        for name in tokens:
            run(
                dsn,
                f"""select set_config('rowcast.tenant_id', '{name if name != "nobody" else ""}', false),
                                realtime.send('{{"of": "end"}}', 'e', 'room')""",
            )

        expected = {"acme": ["acme", "end", "the topic"], "bell": ["bell", "end"], "nobody": ["", "end"]}
        heard: dict[str, list[str]] = {
            name: sorted([json.loads((await one.heard())[3])["of"] for _ in expected[name]])
            for name, one in sockets.items()
        }

    # What is told on one topic comes in order: a message of another tenant would stand in the place of the last one.
    assert heard == expected


async def test_packs_and_settings_open_topics_and_close_all_others(dsn: str) -> None:
    run(
        dsn,
        f"create table public.orders (id bigint, user_id uuid); insert into orders values (1, '{ANN}'), (10, '{BOB}')",
    )
    run(dsn, f"create table public.notes (slug text, writer uuid); insert into notes values ('a', '{ANN}')")
    pack = Pack(name="shop", channels=(board, OwnedTopic("orders:{id}", "orders")))
    owner = ({"topic": "notes:{slug}", "table": "notes", "key": "slug", "owner": "writer"},)
    async with (
        running(dsn, packs=(pack,), owner=owner) as server,
        socket(server, bearer(sub=ANN, team="red", tenant_id="acme")) as ann,
    ):
        theirs = ("board:blue", "board:red:x", "orders:10", "orders:", "notes:b", "anything", "tenant:bell")

        assert await ann.join("board:red", "orders:1", "notes:a", "tenant:acme") == ["ok"] * 4
        assert await ann.join(*theirs) == [REFUSED + topic for topic in theirs]


async def test_where_nothing_is_declared_a_tenants_members_share_topics_and_nobody_else_has_any(dsn: str) -> None:
    async with (
        running(dsn) as server,
        socket(server, bearer(sub=ANN, tenant_id="acme")) as member,
        socket(server, bearer(sub=BOB)) as stranger,
    ):
        assert await member.join("plans") == ["ok"]
        assert await stranger.join("plans") == [REFUSED + "plans"]


def test_a_pack_that_brings_something_else_is_refused() -> None:
    with pytest.raises(UsageError) as refused:
        sort_channels(("orders:{id}",))

    assert refused.value.code == "usage.channel"
