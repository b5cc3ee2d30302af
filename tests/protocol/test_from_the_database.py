"""What the database sends reaches the stock clients, unchanged, where policies as Supabase's documentation writes them allow it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from rowcast.realtime.authorize import sign_token
from tests.integration.capture.feeding import Heard, run, until
from tests.integration.server.running import JWT_SECRET, running
from tests.protocol.js_client import VERSIONS, js_client
from tests.protocol.python_client import PYTHONS, connected, room

ANN = "11111111-1111-1111-1111-111111111111"
SCHEMA = f"""
create table public.rooms_users (user_id uuid, room_topic text);
grant select on public.rooms_users to authenticated;
alter table public.rooms_users enable row level security;
create policy "own rows" on public.rooms_users for select to authenticated using ((select auth.uid()) = user_id);
insert into public.rooms_users values ('{ANN}', 'orders:7');
create policy "authenticated can receive broadcasts" on realtime.messages for select to authenticated using (
    exists (select 1 from rooms_users where user_id = (select auth.uid()) and room_topic = (select realtime.topic())));
create table public.orders (id bigint primary key, status text);
create function public.tell_orders() returns trigger security definer language plpgsql as $$
begin
    perform realtime.broadcast_changes('orders:' || coalesce(new.id, old.id)::text, tg_op, tg_op, tg_table_name, tg_table_schema, new, old);
    return null;
end $$;
create trigger tell after insert or update or delete on public.orders for each row execute function public.tell_orders();
"""


def bearer() -> str:
    return sign_token({"role": "authenticated", "exp": 4_000_000_000, "sub": ANN}, JWT_SECRET)


@asynccontextmanager
async def address(dsn: str) -> AsyncIterator[str]:
    """Run a server on a database with that schema, and give the address of its sockets."""
    run(dsn, SCHEMA)
    with Heard() as heard:
        async with running(dsn, roles=("gateway", "relay"), relay__feed="wal") as server:
            await until(lambda: bool(heard.named("feed.opened")))
            yield f"ws://127.0.0.1:{server.port}/realtime/v1"


def change_orders(dsn: str) -> None:
    run(dsn, "insert into orders values (7, 'new'), (8, 'not for her')")
    run(dsn, "update orders set status = 'paid' where id in (7, 8)")
    run(dsn, "delete from orders where id = 7")


def shown(message: dict[str, Any]) -> tuple[object, ...]:
    body = message["payload"]
    assert message["meta"]["id"] == body["id"]
    return message["event"], body["record"], body["old_record"], body["table"], body["schema"], body["operation"]


EXPECTED = [
    ("INSERT", {"id": 7, "status": "new"}, None, "orders", "public", "INSERT"),
    ("UPDATE", {"id": 7, "status": "paid"}, {"id": 7, "status": "new"}, "orders", "public", "UPDATE"),
    ("DELETE", None, {"id": 7, "status": "paid"}, "orders", "public", "DELETE"),
]


@VERSIONS
async def test_the_javascript_client_hears_the_changes_of_its_own_row(dsn: str, vsn: str) -> None:
    async with address(dsn) as url, js_client(url, bearer(), vsn) as client:
        joined = await client.join("orders:7", token=bearer(), private=True)
        change_orders(dsn)

        assert joined["status"] == "SUBSCRIBED"
        assert [shown(await client.message("orders:7")) for _ in EXPECTED] == EXPECTED


async def test_the_javascript_client_hears_bytes(dsn: str) -> None:
    async with address(dsn) as url, js_client(url, bearer(), "2.0.0") as client:
        await client.join("orders:7", token=bearer(), private=True)
        run(dsn, r"select realtime.send_binary('\x00ff7d', 'picture', 'orders:7')")
        message = await client.message("orders:7")

        assert (message["event"], message["payload"]) == ("picture", {"bytes": [0, 255, 125]})


@PYTHONS
async def test_the_python_client_hears_the_changes_of_its_own_row(dsn: str, python: str) -> None:
    async with address(dsn) as url, connected(url, bearer(), python) as client:
        joined = room(client, "orders:7", "INSERT", "UPDATE", "DELETE", private=True)
        await joined.join()
        change_orders(dsn)
        heard = [shown(await joined.message()) for _ in EXPECTED]

    assert heard == EXPECTED
