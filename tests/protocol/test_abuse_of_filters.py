"""Bindings to changed rows that no decent client sends: each is answered in words, and neighbours hear on."""

from typing import Any

import pytest

from rowcast.store.pool import Database
from tests.integration.realtime.changing import publish, run
from tests.protocol.changes_server import serving_changes
from tests.protocol.raw_socket import RawSocket, raw_socket
from tests.protocol.socket_server import token

TABLE = "create table orders (id bigint primary key, status text)"
ORDERS = {"event": "*", "schema": "public", "table": "orders"}
WISHES = [
    ({"filter": "id=eq.1,or(id.eq.2)"}, 'Error parsing `filter` params: ["or(id.eq.2)"]'),
    (
        {"filter": "id=eq.1'; drop table orders; --"},
        'invalid input syntax for type bigint: "1\'; drop table orders; --"',
    ),
    ({"filter": 'id"; drop table orders; --=eq.1'}, 'invalid column for filter id"; drop table orders; --'),
    ({"filter": "id=in.(" + ",".join(map(str, range(101))) + ")"}, "too many values for `in` filter. Maximum 100"),
    ({"filter": "nope=eq.1"}, "invalid column for filter nope"),
    ({"filter": "id=eq.many"}, 'invalid input syntax for type bigint: "many"'),
    ({"filter": "id=eq." + "9" * 5000}, "out of range for type bigint"),
    ({"filter": "status=imatch.(((("}, "parentheses () not balanced"),
    ({"filter": "(" * 50_000}, "Error parsing `filter` params: "),
    ({"table": "orders'; drop table orders; --"}, "Please check Realtime is enabled"),
    ({"schema": "pg_catalog", "table": "pg_authid"}, "Please check Realtime is enabled"),
]


async def follow(client: RawSocket, topic: str, wish: dict[str, str]) -> Any:
    """Join with one binding and give what is said of it."""
    assert (await client.join(topic, postgres_changes=[ORDERS | wish]))["status"] == "ok"
    *_, event, payload = await client.hear()
    assert event == "system"
    return payload


async def test_a_filter_that_makes_no_sense_is_answered_in_words_and_a_neighbour_hears_on(
    dsn: str, database: Database
) -> None:
    publish(dsn, TABLE, tables="orders")
    key = token(role="service_role")
    async with (
        serving_changes(dsn, database) as server,
        raw_socket(server.port, key) as client,
        raw_socket(server.port, key) as neighbour,
    ):
        assert (await follow(neighbour, "n", {}))["status"] == "ok"
        for number, (wish, fault) in enumerate(WISHES):
            told = await follow(client, f"r{number}", wish)
            assert (told["status"], fault in told["message"]) == ("error", True), told
        run(dsn, "insert into orders values (1, 'new')")

        assert (await neighbour.hear())[3] == "postgres_changes"
        await client.heartbeat()


@pytest.mark.parametrize("filter_", [7, [], {"id": "eq.1"}, {"a": "id=eq.1"}, False])
async def test_a_filter_that_is_no_text_hears_nothing_instead_of_everything(
    dsn: str, database: Database, filter_: object
) -> None:
    publish(dsn, TABLE, tables="orders")
    async with serving_changes(dsn, database) as server, raw_socket(server.port, token(role="service_role")) as client:
        answer = await client.join("r", postgres_changes=[ORDERS | {"filter": filter_}])

        assert answer["response"]["postgres_changes"][0]["filter"] == filter_
        assert (await client.hear())[4]["status"] == "error"
