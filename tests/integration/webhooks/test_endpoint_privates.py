"""What endpoints keep sealed, on a real database."""

import os

import pytest

from rowcast.core.errors import InvalidInputError
from rowcast.egress.guard import Policy
from rowcast.store.pool import Database
from rowcast.store.sql import parse_query
from rowcast.webhooks.authentication import Basic
from rowcast.webhooks.endpoint import Endpoint
from rowcast.webhooks.endpoint_privates import EndpointPrivates
from rowcast.webhooks.sealing import KeyRing, SealKey
from tests.integration.webhooks.engine import Engine

KEPT = parse_query("kept", "select headers, authentication from rowcast.endpoint where id = :id")
BASIC = b'{"type":"basic","username":"ann","password":"canary"}'


@pytest.fixture
def privates() -> EndpointPrivates:
    return EndpointPrivates(ring=KeyRing([SealKey("test", b"t" * 32)], noise=os.urandom), policy=Policy())


async def made(engine: Engine, path: str = "/ok") -> Endpoint:
    return await engine.table.get("acme", await engine.endpoint(path))


async def test_headers_are_sealed_changed_by_name_and_taken_away(
    engine: Engine, database: Database, privates: EndpointPrivates
) -> None:
    endpoint = await made(engine)

    assert await privates.headers(database, endpoint) == {}
    await privates.set_headers(database, endpoint, {"X-Key": "canary", "x-b": "2"})
    row = await database.fetch_one(KEPT, id=endpoint.id)
    await privates.change_headers(database, endpoint, {"x-key": "new", "x-c": "3"}, removed=["X-B", "x-absent"])
    changed = await privates.headers(database, endpoint)
    await privates.set_headers(database, endpoint, {})
    emptied = await database.fetch_one(KEPT, id=endpoint.id)

    assert row is not None and b"canary" not in row["headers"]  # noqa: PT018 - one thing
    assert changed == {"x-key": "new", "x-c": "3"}
    assert emptied is not None and emptied["headers"] is None  # noqa: PT018 - one thing


async def test_headers_that_cannot_be_sent_are_refused_and_change_nothing(
    engine: Engine, database: Database, privates: EndpointPrivates
) -> None:
    endpoint = await made(engine)
    await privates.set_headers(database, endpoint, {"x-a": "1"})

    for wrong in (
        {"webhook-id": "1"},
        {"x a": "1"},
        {"x-a": "1\r\nx-b: 2"},
        {"Content-Type": "text/plain"},
        {"host": "a"},
    ):
        with pytest.raises(InvalidInputError) as refusal:
            await privates.set_headers(database, endpoint, wrong)
        assert refusal.value.code == "input.header"
    assert await privates.headers(database, endpoint) == {"x-a": "1"}


async def test_authentication_is_sealed_read_back_and_taken_away(
    engine: Engine, database: Database, privates: EndpointPrivates
) -> None:
    endpoint = await made(engine)

    assert await privates.authentication(database, endpoint) is None
    await privates.set_authentication(database, endpoint, BASIC)
    row = await database.fetch_one(KEPT, id=endpoint.id)
    assert row is not None and b"canary" not in row["authentication"]  # noqa: PT018 - one thing
    assert await privates.authentication(database, endpoint) == Basic("ann", "canary")
    for wrong in (
        b"{}",
        b"",
        b'{"type":"oauth2","tokenUrl":"https://10.0.0.1/","clientId":"a","clientSecret":"canary"}',
    ):
        with pytest.raises(InvalidInputError) as refusal:
            await privates.set_authentication(database, endpoint, wrong)
        assert "canary" not in str(refusal.value)
    await privates.set_authentication(database, endpoint, b" null ")
    assert await privates.authentication(database, endpoint) is None


async def test_what_one_endpoint_keeps_opens_nowhere_else(
    engine: Engine, database: Database, privates: EndpointPrivates
) -> None:
    first, second = await made(engine), await made(engine)
    await privates.set_headers(database, first, {"x-a": "1"})
    copied = (
        "update rowcast.endpoint set headers = (select headers from rowcast.endpoint where id = :of) where id = :to"
    )
    await engine.run(copied, of=first.id, to=second.id)

    with pytest.raises(Exception, match="cannot be opened"):
        await privates.headers(database, second)
