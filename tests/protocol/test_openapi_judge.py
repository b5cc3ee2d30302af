"""schemathesis over the whole OpenAPI document: no server error, and no answer that the document does not describe."""

import asyncio

import pytest

from tests.protocol.openapi_world import USERS, world

SHORT = ("--phases=fuzzing", "--workers=1")
WITHIN_S = 110
# With two workers hypothesis trips over a fault of CPython 3.11: its parser counts the depth of all threads as one.
LONG = ("--phases=examples,coverage,fuzzing,stateful", "--max-examples=40", "--workers=1")


async def test_every_answer_is_in_the_document_whoever_asks(dsn: str) -> None:
    async with world(dsn) as here:
        asks = {
            "all tenants": (await here.server.key(), "--max-examples=3"),
            "one tenant": (await here.server.key(tenant="acme"), "--max-examples=2"),
            "nobody": ({}, "--max-examples=1"),
            "a user": (here.user(tenant_id="acme"), "--max-examples=3", f"--include-path-regex={USERS}"),
        }
        async with asyncio.TaskGroup() as group:
            judged = {
                who: group.create_task(here.judged(headers, *SHORT, *flags, seconds=WITHIN_S))
                for who, (headers, *flags) in asks.items()
            }

    for who, found in judged.items():
        assert not found.result(), f"{who}:\n{found.result()[-12000:]}"


@pytest.mark.nightly
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("who", ["all tenants", "one tenant", "nobody", "a user", "a service"])
async def test_every_answer_is_in_the_document_for_many_requests(dsn: str, who: str) -> None:
    async with world(dsn) as here:
        keys = {
            "all tenants": await here.server.key(), "one tenant": await here.server.key(tenant="acme"), "nobody": {},
            "a user": here.user(tenant_id="acme"), "a service": here.user(role="service_role"),
        }  # fmt: skip
        only = (f"--include-path-regex={USERS}",) if who in ("a user", "a service") else ()
        text = await here.judged(keys[who], *LONG, *only, seconds=3500)

    assert not text, text[-20_000:]
