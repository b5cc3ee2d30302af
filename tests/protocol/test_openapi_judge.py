"""schemathesis over the whole OpenAPI document: no server error, and no answer that the document does not describe."""

import pytest

from tests.protocol.openapi_world import USERS, World, world

LONG = ("--phases=examples,coverage,fuzzing,stateful", "--max-examples=40")
CALLERS = ("all tenants", "one tenant", "nobody", "a user", "a service")


async def caller(here: World, who: str) -> dict[str, str]:
    """Give the headers of one of them."""
    if who in ("a user", "a service"):
        return here.user(tenant_id="acme") if who == "a user" else here.user(role="service_role")
    return {} if who == "nobody" else await here.server.key(tenant="acme" if who == "one tenant" else None)


async def test_every_answer_is_in_the_document_whoever_asks(dsn: str) -> None:
    async with world(dsn) as here:
        callers = [await caller(here, who) for who in CALLERS]
        found = await here.judged(callers, "--phases=fuzzing", "--max-examples=5", seconds=110)

    assert not found, found[-12_000:]


@pytest.mark.nightly
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("who", CALLERS)
async def test_every_answer_is_in_the_document_for_many_requests(dsn: str, who: str) -> None:
    async with world(dsn) as here:
        only = (f"--include-path-regex={USERS}",) if who in ("a user", "a service") else ()
        found = await here.judged([await caller(here, who)], *LONG, *only, seconds=3500)

    assert not found, found[-20_000:]
