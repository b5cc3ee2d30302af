"""Links into the portal: used once, short-lived, and only as much as they say."""

import asyncio

import pytest

from rowcast.core.errors import AuthenticationError, InvalidTokenError, PermissionDeniedError
from rowcast.server.keys import SCOPES, create_key, find_key
from rowcast.server.portal_links import PortalKey, PortalOptions, drop_old_links, end_key, end_keys, make_link, use_link
from rowcast.store.pool import Database
from rowcast.store.sql import parse_query

OPTIONS = PortalOptions(("endpoints:read",), 3_600, "s1")
AGE = parse_query("age", "update rowcast.portal_link set expires_at = expires_at - make_interval(secs => :by_s)")
LINKS = parse_query("links", "select hash from rowcast.portal_link")


async def used(database: Database, token: str) -> PortalKey:
    async with database.transaction() as connection:
        return await use_link(connection, token)


async def test_a_link_is_traded_once_for_a_key_of_its_tenant(database: Database) -> None:
    token = await make_link(database, "acme", OPTIONS)

    async def trade() -> PortalKey | None:
        try:
            return await used(database, token)
        except InvalidTokenError:
            return None

    async with asyncio.timeout(30), asyncio.TaskGroup() as group:
        trades = [group.create_task(trade()) for _ in range(8)]
    keys = [key for task in trades if (key := task.result()) is not None]

    assert len(keys) == 1
    found = await find_key(database, keys[0].text)
    assert (found.tenant_id, found.scopes, found.expires_at) == ("acme", ("endpoints:read",), keys[0].expires_at)


async def test_an_unknown_an_old_and_a_used_link_are_told_alike(database: Database) -> None:
    old, spent = await make_link(database, "acme", OPTIONS), await make_link(database, "acme", OPTIONS)
    await used(database, spent)
    await database.execute(AGE, by_s=601.0)
    told = []

    for token in (old, spent, "pl_unknown", "", "\x00", "\ud800"):
        with pytest.raises(InvalidTokenError) as refusal:
            await used(database, token)
        told.append(str(refusal.value))

    assert len(set(told)) == 1


async def test_a_portals_key_can_be_ended_and_no_other(database: Database) -> None:
    key = await find_key(database, (await used(database, await make_link(database, "acme", OPTIONS))).text)
    other = await create_key(database, name="x", scopes=SCOPES, tenant_id="acme")

    await end_key(database, key.id)

    for key_id in (key.id, other.id):
        with pytest.raises(PermissionDeniedError):
            await end_key(database, key_id)
    assert (await find_key(database, other.text)).id == other.id


async def test_sessions_end_together_with_the_links_that_were_not_used(database: Database) -> None:
    sessions = {name: PortalOptions(("endpoints:read",), 3_600, name) for name in ("s1", "s2")}
    keys = {
        name: await used(database, await make_link(database, "acme", options)) for name, options in sessions.items()
    }
    foreign = await used(database, await make_link(database, "other", OPTIONS))
    link = await make_link(database, "acme", OPTIONS)

    await end_keys(database, "acme", sessions=["s1"])

    with pytest.raises(AuthenticationError):
        await find_key(database, keys["s1"].text)
    with pytest.raises(InvalidTokenError):
        await used(database, link)
    assert (await find_key(database, keys["s2"].text)).tenant_id == "acme"
    await end_keys(database, "acme", after_s=60.0)
    assert (await find_key(database, keys["s2"].text)).tenant_id == "acme"
    await end_keys(database, "acme")
    with pytest.raises(AuthenticationError):
        await find_key(database, keys["s2"].text)
    assert (await find_key(database, foreign.text)).tenant_id == "other"


async def test_links_of_yesterday_are_removed(database: Database) -> None:
    await make_link(database, "acme", OPTIONS)
    assert await drop_old_links(database, most=10) == 0
    assert len(await database.fetch(LINKS)) == 1

    await database.execute(AGE, by_s=90_000.0)
    assert await drop_old_links(database, most=10) == 1

    assert await database.fetch(LINKS) == []
