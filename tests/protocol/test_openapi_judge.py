"""schemathesis over the whole OpenAPI document: no server error, and no answer that the document does not describe."""

import pytest

from tests.protocol.openapi_world import USERS, world

SHORT = ("--phases=fuzzing", "--max-examples=3", "--workers=2")
LONG = ("--phases=examples,coverage,fuzzing,stateful", "--max-examples=60", "--workers=2")


async def test_every_answer_is_in_the_document_whoever_asks(dsn: str) -> None:
    async with world(dsn) as here:
        found = {
            "all tenants": await here.judged(await here.server.key(), *SHORT, seconds=90),
            "one tenant": await here.judged(await here.server.key(tenant="acme"), *SHORT, seconds=90),
            "nobody": await here.judged({}, *SHORT, "--max-examples=1", seconds=90),
            "a user": await here.judged(here.user(), *SHORT, f"--include-path-regex={USERS}", seconds=90),
        }

    for who, text in found.items():
        assert not text, f"{who} {len(text)}:\n{text[-12000:]}"


@pytest.mark.nightly
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("who", ["all tenants", "one tenant", "nobody", "a user"])
async def test_every_answer_is_in_the_document_for_many_requests(dsn: str, who: str) -> None:
    async with world(dsn) as here:
        keys = {
            "all tenants": await here.server.key(), "one tenant": await here.server.key(tenant="acme"), "nobody": {},
            "a user": here.user(),
        }  # fmt: skip
        only = (f"--include-path-regex={USERS}",) if who == "a user" else ()
        text = await here.judged(keys[who], *LONG, *only, seconds=3500)

    assert not text, text[-20_000:]
