"""Who is told what: strangers try every route there is into another tenant's and another user's realtime, and see nothing.

All of it happens once, on one server (`isolation_world.py`); each test looks at what one kind of stranger saw over one route.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import psycopg
import pytest
import pytest_asyncio

from rowcast.testing.cluster import Cluster
from tests.protocol.isolation_world import (
    ANN,
    BOB,
    EVE,
    FORMS,
    NEIGHBOURS,
    NOBODIES,
    OUTSIDERS,
    STREAMS,
    Evidence,
    World,
    isolation_world,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")
KINDS = pytest.mark.parametrize("kind", ["public", "private"])
OUTSIDER = pytest.mark.parametrize("who", OUTSIDERS)
MEMBERS_OF_SOMETHING = (
    "a user of another tenant", "another tenant's user with the same id", "a service of another tenant",
    "a tenant in other letters", "a tenant that begins with it", "a tenant that it begins with",
)  # fmt: skip
GLOBEX = {"tenant:globex:acme"}
OWN_TOPICS = {
    "a user of another tenant": GLOBEX, "another tenant's user with the same id": GLOBEX,
    "a service of another tenant": GLOBEX, "a tenant in other letters": {"tenant:ACME"},
}  # fmt: skip
HERS = ("realtime_subscriptions", "realtime_activity_logs")
BOBS = ("sse tenant:acme", "/api/broadcast?tenant_id=acme private=False", "/api/broadcast?tenant_id=acme private=True")
REFUSED = "Unauthorized: You do not have permissions to read from this Channel topic: "


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(rowcast_cluster: Cluster) -> AsyncIterator[World]:
    """A server on which everything has happened."""
    dsn = rowcast_cluster.create()
    async with isolation_world(dsn) as made:
        async with asyncio.timeout(180):
            await made.play()
        yield made
    rowcast_cluster.drop(dsn)


@pytest.fixture(scope="module")
def evidence(world: World) -> Evidence:
    return world.evidence


def words(frames: list[str], *marks: str) -> list[str]:
    """Give the frames that have one of these words in them."""
    return [frame for frame in frames if any(mark in frame for mark in marks)]


@KINDS
@OUTSIDER
async def test_a_stranger_is_sent_no_frame_of_another_tenant(evidence: Evidence, who: str, kind: str) -> None:
    assert words(evidence.seen[who, kind], "CANARY", "ANNS-OWN") == []


@pytest.mark.parametrize("topic", STREAMS)
@OUTSIDER
async def test_a_stranger_hears_nothing_of_another_tenant_over_a_stream(
    evidence: Evidence, who: str, topic: str
) -> None:
    assert words(evidence.seen[who, f"sse {topic}"], "CANARY", "ANNS-OWN") == []


async def test_the_ears_of_strangers_work(evidence: Evidence) -> None:
    assert words(evidence.seen["a user of another tenant", "public"], "EVES-OWN-row")
    assert words(evidence.seen["another user of the tenant", "private"], "CANARY-orders")


@KINDS
@pytest.mark.parametrize("who", NEIGHBOURS)
async def test_another_user_of_the_tenant_is_sent_nothing_of_hers_alone(
    evidence: Evidence, who: str, kind: str
) -> None:
    assert words(evidence.seen[who, kind], "ANNS-OWN", "EVES-OWN") == []


@pytest.mark.parametrize("who", [*OUTSIDERS, *NOBODIES])
async def test_nothing_that_a_stranger_says_reaches_her(evidence: Evidence, who: str) -> None:
    assert words(evidence.victims, f"FORGED by {who}") == []


async def test_a_member_is_heard_where_members_meet_and_nowhere_else(evidence: Evidence) -> None:
    (bob,) = NEIGHBOURS
    said = [frame for frame in words(evidence.victims, f"FORGED by {bob}") if "presence_diff" not in frame]

    assert words(said, "realtime:room")
    assert words(said, "realtime:orders:1")
    assert words(said, "realtime:tenant:acme", f"realtime:{FORMS}", "postgres_changes") == []


@OUTSIDER
async def test_a_stranger_joins_no_topic_of_a_tenant_other_than_his_own(evidence: Evidence, who: str) -> None:
    joined = evidence.joined[who, "private"]
    opened = {topic for topic, outcome in joined.items() if outcome == "ok" and topic.startswith("tenant:")}

    assert joined["tenant:acme"] == REFUSED + "tenant:acme"
    assert joined["tenant:acme:orders"] == REFUSED + "tenant:acme:orders"
    assert opened <= OWN_TOPICS.get(who, set())


@pytest.mark.parametrize("who", [who for who in OUTSIDERS if who not in MEMBERS_OF_SOMETHING])
async def test_who_is_of_no_tenant_joins_nothing_private_but_what_was_declared_for_him(
    evidence: Evidence, who: str
) -> None:
    assert {topic for topic, outcome in evidence.joined[who, "private"].items() if outcome == "ok"} <= {FORMS}


@pytest.mark.parametrize("who", [*OUTSIDERS, *NEIGHBOURS, *NOBODIES])
async def test_no_answer_tells_of_another(world: World, who: str) -> None:
    answers = {route: answer for (one, route), answer in world.evidence.answers.items() if one == who}
    told = [f"{route}: {text}" for route, (_, text) in answers.items()]

    assert words(told, "CANARY", "ANNS-OWN", world.granted) == []
    assert {route: status for route, (status, _) in answers.items() if status < 400 and not is_open(who, route)} == {}
    assert answers.get("/api/realtime/status", (403, ""))[0] in (200, 401, 403)


@pytest.mark.parametrize("who", NOBODIES)
async def test_who_has_no_valid_token_gets_no_socket(evidence: Evidence, who: str) -> None:
    assert evidence.answers[who, "socket"] == (401, "")


async def test_her_own_things_are_as_she_left_them(world: World) -> None:
    channels = json.loads(world.evidence.answers["Ann", "status"][1])["channels"]

    assert world.granted in [channel["channelId"] for channel in channels]


async def test_a_key_of_another_tenant_gets_no_figures(world: World) -> None:
    key = await world.server.key("realtime:read", tenant="globex")
    path = "/api/v1/realtime/statistics?tenantId="
    hers, nobodys = [await world.server.client.get(path + tenant, headers=key) for tenant in ("acme", "never-was")]

    assert hers.status_code == nobodys.status_code == 404
    assert hers.json() == nobodys.json()


@pytest.mark.parametrize(
    ("tenant", "user"),
    [("globex", ANN), ("globex", EVE), ("acme", BOB), ("ACME", ANN), ("", ANN), ("%", ANN), ("acme", "")],
)
async def test_the_tables_of_subscriptions_and_of_what_happened_show_nothing_of_hers(
    world: World, tenant: str, user: str
) -> None:
    claims = json.dumps({"sub": user, "tenant_id": "acme"})
    with psycopg.connect(world.dsn) as connection:
        connection.execute("set local role rowcast_app")
        connection.execute("select set_config('rowcast.tenant_id', %s, true)", [tenant])
        connection.execute("select set_config('request.jwt.claims', %s, true)", [claims])
        seen = {table: _count(connection, table) for table in HERS}

    assert seen == dict.fromkeys(HERS, 0)


async def test_those_tables_do_show_it_to_her(world: World) -> None:
    with psycopg.connect(world.dsn) as connection:
        connection.execute("set local role rowcast_app")
        connection.execute("select set_config('rowcast.tenant_id', 'acme', true)")
        connection.execute("select set_config('request.jwt.claims', %s, true)", [json.dumps({"sub": ANN})])
        seen = {table: _count(connection, table) for table in HERS}

    assert all(seen.values()), seen


def _count(connection: psycopg.Connection[Any], table: str) -> int:
    row = connection.execute(
        f"select count(*) from rowcast.{table} where tenant_id = 'acme' and user_id = '{ANN}'"
    ).fetchone()  # type: ignore[call-overload]
    assert row is not None
    return int(row[0])


def is_open(who: str, route: str) -> bool:
    """Tell whether a route answers everybody with a token, about himself: his own namespace, and his own status."""
    if who in NOBODIES:
        return False
    if route.startswith("/api/broadcast private=") or route == "/api/realtime/status":
        return True
    if who in NEIGHBOURS:
        return route in BOBS
    # Ann's id in another tenant is another user there, with a topic of his own that has the same name.
    return route in ("subscribe", f"sse {FORMS}") and "globex" not in who and who != "a user of another tenant"
