"""The secrets of endpoints on a real database: sealed, rotated, ended."""

import asyncio
import os
from typing import Any

import pytest

from rowcast.core.errors import ConfigError, InvalidInputError, LimitExceededError, NotFoundError, StoreError
from rowcast.core.telemetry import listening
from rowcast.egress.guard import Policy
from rowcast.store.pool import Database
from rowcast.testing.fake_clock import FakeClock
from rowcast.webhooks.asymmetric import new_private_key, public_key
from rowcast.webhooks.endpoint import SigningEndpoint
from rowcast.webhooks.endpoint_draft import EndpointDraft
from rowcast.webhooks.sealing import KeyRing, SealKey, key_name
from rowcast.webhooks.secrets_table import SecretTable
from rowcast.webhooks.signature import secret_text
from rowcast.webhooks.table import EndpointTable

OLD, NEW = SealKey("old", b"o" * 32), SealKey("new", b"n" * 32)
SECRET, OTHER = secret_text(b"s" * 32), secret_text(b"t" * 32)
DAY_S = 86_400


class World:
    """One endpoint of the tenant acme, and its secrets."""

    def __init__(self, database: Database) -> None:
        self.database, self.clock, self.id = database, FakeClock(), ""
        self.table = self.sealed_by(OLD)

    def sealed_by(self, *keys: SealKey) -> EndpointTable:
        ring = KeyRing(keys, noise=os.urandom)
        secrets = SecretTable(database=self.database, ring=ring, clock=self.clock)
        return EndpointTable(database=self.database, policy=Policy(), clock=self.clock, secrets=secrets)

    async def make(self, **more: Any) -> str:
        draft = EndpointDraft(url="https://hooks.example.com/", **({"secret": SECRET} | more))
        self.id = (await self.table.create("acme", draft)).id
        return self.id

    async def signing(self, table: EndpointTable | None = None) -> SigningEndpoint:
        return (await (table or self.table).for_signing([("acme", self.id)]))["acme", self.id]

    async def rotate(self, **more: Any) -> str:
        return await self.table.secrets.rotate("acme", self.id, **more)

    async def rows(self) -> list[Any]:
        async with self.database.connection() as connection:
            found: list[Any] = await connection.driver.fetch("select * from rowcast.endpoint_secret order by id")
            return found


@pytest.fixture
async def world(database: Database) -> World:
    made = World(database)
    await made.make()
    return made


async def test_a_secret_lies_sealed_and_signs_as_it_was_given(world: World) -> None:
    (row,) = await world.rows()

    assert key_name(row["sealed"]) == "old"
    assert b"whsec" not in row["sealed"]
    assert b"s" * 32 not in row["sealed"]
    assert (await world.signing()).secrets == (SECRET,)
    assert await world.table.secrets.current("acme", world.id) == SECRET


async def test_every_secret_signs_until_its_grace_ends_the_one_in_use_first(world: World) -> None:
    await world.rotate(key=OTHER)
    third = await world.rotate(grace_s=60)

    assert (await world.signing()).secrets == (third, OTHER, SECRET)
    world.clock.tick(60)
    assert (await world.signing()).secrets == (third, SECRET)
    world.clock.tick(DAY_S - 61)
    assert (await world.signing()).secrets == (third, SECRET)
    world.clock.tick(1)
    assert (await world.signing()).secrets == (third,)
    assert await world.table.secrets.current("acme", world.id) == third


async def test_a_rotation_without_grace_ends_the_old_secret_at_once(world: World) -> None:
    made = await world.rotate(grace_s=0)

    assert (await world.signing()).secrets == (made,)


async def test_ten_old_secrets_may_sign_and_no_more_until_one_ends(world: World) -> None:
    for _ in range(10):
        await world.rotate()
        world.clock.tick(10)

    with pytest.raises(LimitExceededError) as refused:
        await world.rotate()

    assert refused.value.code == "limit.secrets"
    assert refused.value.retry_after_s == DAY_S - 100
    assert len((await world.signing()).secrets) == 11
    assert await world.rotate(grace_s=0) == (await world.signing()).secrets[0]
    world.clock.tick(refused.value.retry_after_s)
    await world.rotate()


@pytest.mark.parametrize("grace_s", [-1, 604_801, float("nan"), float("inf")])
async def test_a_grace_beyond_a_week_is_refused_and_nothing_has_changed(world: World, grace_s: float) -> None:
    with pytest.raises(InvalidInputError) as refused:
        await world.rotate(grace_s=grace_s)

    assert refused.value.code == "input.grace"
    assert (await world.signing()).secrets == (SECRET,)


async def test_a_key_that_cannot_sign_is_refused_and_the_old_one_stays_in_use(world: World) -> None:
    for key in ("whsec_short", public_key(new_private_key())):
        with pytest.raises(InvalidInputError) as refused:
            await world.rotate(key=key)
        assert refused.value.code == "input.secret"

    assert [row["expires_at"] for row in await world.rows()] == [None]


async def test_another_tenant_neither_reads_nor_rotates(world: World) -> None:
    for call in (world.table.secrets.current("other", world.id), world.table.secrets.rotate("other", world.id)):
        with pytest.raises(NotFoundError):
            await call

    assert (await world.signing()).secrets == (SECRET,)


async def test_rotations_at_the_same_time_come_one_after_the_other(world: World) -> None:
    async with asyncio.TaskGroup() as group:
        for _ in range(6):
            group.create_task(world.rotate(), name="rotate")

    rows = await world.rows()
    assert len(rows) == 7
    assert [row["expires_at"] is None for row in rows].count(True) == 1


async def test_an_endpoint_of_version_1a_shows_receivers_its_public_key_only(world: World) -> None:
    await world.make(secret="", signature_scheme="v1a")

    shown, (private,) = await world.table.secrets.current("acme", world.id), (await world.signing()).secrets
    rotated = await world.rotate()

    assert (shown, private[:5]) == (public_key(private), "whsk_")
    assert rotated.startswith("whpk_")
    assert rotated != shown


async def test_a_key_of_another_kind_changes_how_the_endpoint_is_signed_for(world: World) -> None:
    private = new_private_key()

    assert await world.rotate(key=private) == public_key(private)
    assert (await world.signing()).secrets == (private, SECRET)
    assert (await world.rotate()).startswith("whpk_")
    assert await world.rotate(key=SECRET) == SECRET
    assert (await world.rotate()).startswith("whsec_")


async def test_what_was_kept_without_a_key_is_read_with_one(world: World) -> None:
    world.table = world.sealed_by()
    await world.make()

    assert (await world.rows())[-1]["sealed"] == b"\x00" + SECRET.encode()
    assert (await world.signing(world.sealed_by(NEW))).secrets == (SECRET,)


async def test_a_secret_whose_key_is_gone_stops_its_endpoint_only_and_nothing_is_lost(world: World) -> None:
    newer = world.sealed_by(NEW)
    neighbour = await newer.create("acme", EndpointDraft(url="https://b.example.com/", secret=OTHER))

    found = await newer.for_signing([("acme", world.id), ("acme", neighbour.id)])

    assert (found["acme", world.id].secrets, found["acme", world.id].unopened) == ((), "config.seal_key")
    assert (found["acme", neighbour.id].secrets, found["acme", neighbour.id].unopened) == ((OTHER,), "")
    with pytest.raises(ConfigError, match="'old'"):
        await newer.secrets.current("acme", world.id)
    assert (await world.signing(world.sealed_by(NEW, OLD))).secrets == (SECRET,)


async def test_an_old_secret_that_cannot_be_opened_is_passed_over_and_told(world: World) -> None:
    newer, heard = world.sealed_by(NEW), []
    made = await newer.secrets.rotate("acme", world.id)

    with listening(lambda name, facts: heard.append((name, facts["code"]))):
        found = await world.signing(newer)

    assert (found.secrets, found.unopened) == ((made,), "")
    assert heard == [("secret.open_failed", "config.seal_key")]
    assert (await world.signing(world.sealed_by(NEW, OLD))).secrets == (made, SECRET)


async def test_a_sealed_secret_does_not_sign_for_another_endpoint(world: World, database: Database) -> None:
    theirs = await world.table.create("beta", EndpointDraft(url="https://b.example.com/", secret=OTHER))
    async with database.connection() as connection:
        await connection.driver.execute(
            """update rowcast.endpoint_secret set sealed = (
                   select sealed from rowcast.endpoint_secret where endpoint_id = $1) where endpoint_id = $2""",
            world.id,
            theirs.id,
        )

    with pytest.raises(StoreError) as refused:
        await world.table.secrets.current("beta", theirs.id)
    assert refused.value.code == "store.sealed"


async def test_secrets_that_have_ended_are_removed(world: World) -> None:
    await world.rotate(grace_s=60)
    await world.rotate(grace_s=0)

    assert await world.table.secrets.sweep(most=1000) == 1
    world.clock.tick(60)
    assert [await world.table.secrets.sweep(most=1000) for _ in range(2)] == [1, 0]
    assert len(await world.rows()) == 1


async def test_secrets_go_with_their_endpoint(world: World) -> None:
    await world.rotate()
    await world.table.delete("acme", world.id)

    assert await world.rows() == []
