from datetime import UTC, datetime, timedelta

import pytest

from rowcast.core.errors import AuthenticationError, InvalidInputError, NotFoundError, PermissionDeniedError
from rowcast.server.keys import create_key, find_key, list_keys, require_scope, revoke_key, tenant_for
from rowcast.store.pool import Database
from rowcast.store.sql import parse_query


async def test_a_key_is_found_by_its_text_and_its_text_is_nowhere_in_the_database(database: Database) -> None:
    made = await create_key(database, name="ci", scopes=["events:write"], tenant_id="acme")

    found = await find_key(database, made.text)
    stored = await database.fetch_one(parse_query("row", "select k::text as line from rowcast.api_key k"))

    assert (found.id, found.tenant_id, found.scopes) == (made.id, "acme", ("events:write",))
    assert stored is not None
    assert made.text.removeprefix(made.id) not in stored["line"]


@pytest.mark.parametrize("text", ["", "rk_nothing", "\ud800"])
async def test_an_unknown_key_is_refused(database: Database, text: str) -> None:
    with pytest.raises(AuthenticationError) as refused:
        await find_key(database, text)

    assert refused.value.code == "auth.key"


async def test_a_revoked_key_is_refused_at_once(database: Database) -> None:
    made = await create_key(database, name="ci", scopes=["events:read"])
    await revoke_key(database, made.id)

    with pytest.raises(AuthenticationError):
        await find_key(database, made.text)
    with pytest.raises(NotFoundError):
        await revoke_key(database, made.id)


async def test_an_expired_key_is_refused(database: Database) -> None:
    past = datetime.now(UTC) - timedelta(seconds=1)
    made = await create_key(database, name="ci", scopes=["events:read"], expires_at=past)

    with pytest.raises(AuthenticationError):
        await find_key(database, made.text)


async def test_a_scope_that_does_not_exist_is_refused(database: Database) -> None:
    with pytest.raises(InvalidInputError, match="events:write") as refused:
        await create_key(database, name="ci", scopes=["everything"])

    assert refused.value.code == "input.scope"


async def test_a_key_may_do_what_its_scopes_say_and_nothing_else(database: Database) -> None:
    made = await create_key(database, name="ci", scopes=["events:read"])
    key = await find_key(database, made.text)

    require_scope(key, "events:read")
    with pytest.raises(PermissionDeniedError):
        require_scope(key, "events:write")


async def test_a_tenants_key_cannot_ask_for_another_tenant(database: Database) -> None:
    made = await create_key(database, name="ci", scopes=["events:read"], tenant_id="acme")
    key = await find_key(database, made.text)

    assert tenant_for(key, None) == "acme"
    assert tenant_for(key, "acme") == "acme"
    with pytest.raises(NotFoundError):
        tenant_for(key, "other")


async def test_a_key_for_all_tenants_acts_for_the_one_asked_for(database: Database) -> None:
    made = await create_key(database, name="ops", scopes=["events:read"])
    key = await find_key(database, made.text)

    assert tenant_for(key, "acme") == "acme"
    assert tenant_for(key, None) is None


async def test_all_keys_are_listed_oldest_first(database: Database) -> None:
    first = await create_key(database, name="a", scopes=["events:read"])
    second = await create_key(database, name="b", scopes=["events:read"])

    assert [key.id for key in await list_keys(database)] == [first.id, second.id]
