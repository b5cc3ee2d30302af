"""The shim as a whole: it can be opened again on the same database, and keeps its accounts."""

from rowcast.store.pool import Database
from tests.integration.testing.shimmed import key, shimmed


async def test_the_shim_opens_again_and_keeps_its_accounts(database: Database) -> None:
    body = {"email": "ada@example.com", "password": "secret1"}
    async with shimmed(database) as client:
        assert (await client.post("/auth/v1/signup", json=body, headers=key())).status_code == 200

    async with shimmed(database) as client:
        again = await client.post("/auth/v1/token?grant_type=password", json=body, headers=key())

    assert again.status_code == 200
