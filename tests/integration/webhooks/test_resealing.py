"""Sealing anew on a real database: all of it, once, whatever happens meanwhile."""

import asyncio
import os
from typing import Any

import pytest

from rowcast.core.errors import ConfigError
from rowcast.core.telemetry import listening
from rowcast.egress.guard import Policy
from rowcast.store.pool import Database
from rowcast.testing.fake_clock import FakeClock
from rowcast.webhooks import resealing
from rowcast.webhooks.endpoint_draft import EndpointDraft
from rowcast.webhooks.resealing import Resealed, Resealer, SealedCount
from rowcast.webhooks.sealing import KeyRing, Place, SealKey, key_name, seal_context
from rowcast.webhooks.secrets_table import SecretTable
from rowcast.webhooks.signature import secret_text
from rowcast.webhooks.table import EndpointTable

OLD, NEW = SealKey("old", b"o" * 32), SealKey("new", b"n" * 32)
SECRET = secret_text(b"s" * 32)
COLUMNS: dict[Place, tuple[str, str, str]] = {
    "endpoint_secret": ("endpoint_secret", "endpoint_id", "sealed"),
    "endpoint_headers": ("endpoint", "id", "headers"),
    "endpoint_authentication": ("endpoint", "id", "authentication"),
    "idempotent_answer": ("idempotent_answer", "caller || ' ' || key", "body"),
    "incoming_source": ("incoming_source", "id", "secrets"),
}
# What is no secret of a tenant that can be given back: hashes, message bodies, the pass of the bus itself.
_OTHER_BYTES = {
    ("api_key", "hash"), ("bus_key", "key"), ("bus_message", "body"), ("bus_message", "node"),
    ("idempotent_answer", "request_hash"), ("portal_link", "hash"),
}  # fmt: skip


def ring(*keys: SealKey) -> KeyRing:
    return KeyRing(keys, noise=os.urandom)


class World:
    """Values in every place that is sealed."""

    def __init__(self, database: Database) -> None:
        self.database = database

    def table(self, *keys: SealKey) -> EndpointTable:
        clock = FakeClock()
        secrets = SecretTable(database=self.database, ring=ring(*keys), clock=clock)
        return EndpointTable(database=self.database, policy=Policy(), clock=clock, secrets=secrets)

    def resealer(self, *keys: SealKey) -> Resealer:
        return Resealer(database=self.database, ring=ring(*keys))

    async def run(self, statement: str, *values: object) -> list[Any]:
        async with self.database.connection() as connection:
            found: list[Any] = await connection.driver.fetch(statement, *values)
            return found

    async def fill(self, *keys: SealKey, endpoints: int = 1) -> list[str]:
        table, made = self.table(*keys), []
        for number in range(endpoints):
            draft = EndpointDraft(url="https://hooks.example.com/", secret=SECRET)
            made.append((await table.create("acme", draft)).id)
            for place, column in (("endpoint_headers", "headers"), ("endpoint_authentication", "authentication")):
                sealed = ring(*keys).seal(place.encode(), context=seal_context(place, made[-1]))  # type: ignore[arg-type]
                await self.run(f"update rowcast.endpoint set {column} = $1 where id = $2", sealed, made[-1])
            sealed = ring(*keys).seal(b"answer", context=seal_context("idempotent_answer", f"rk_1 {made[-1]} x"))
            await self.run(
                "insert into rowcast.idempotent_answer (caller, key, request_hash, body) values ('rk_1', $1, '', $2)",
                f"{made[-1]} x", sealed,
            )  # fmt: skip
            source = f"{made[-1]}-source"
            sealed = ring(*keys).seal(b"incoming_source", context=seal_context("incoming_source", source))
            await self.run(
                "insert into rowcast.incoming_source (id, tenant_id, name, scheme, secrets) values ($1, 'acme', $3, 'github', $2)",
                source, sealed, f"s{number}",
            )  # fmt: skip
        return made

    async def values(self) -> dict[tuple[Place, str], bytes]:
        return {
            (place, row["owner"]): row["value"]
            for place, (table, owner, column) in COLUMNS.items()
            for row in await self.run(f"select {owner} as owner, {column} as value from rowcast.{table}")
        }

    async def opened(self, *keys: SealKey) -> dict[tuple[Place, str], bytes]:
        found = await self.values()
        return {at: ring(*keys).open(value, context=seal_context(*at)) for at, value in found.items()}


@pytest.fixture
def world(database: Database) -> World:
    return World(database)


async def test_everything_is_sealed_by_the_first_key_and_says_what_it_said(world: World) -> None:
    await world.fill(OLD, endpoints=2)
    before = await world.opened(OLD)

    done = await world.resealer(NEW, OLD).run()

    assert done == Resealed("new", sealed=10, unopened=0)
    assert await world.opened(NEW) == before
    assert set(await world.resealer(NEW).counts()) == {SealedCount(place, "new", 2) for place in COLUMNS}


async def test_what_was_never_sealed_is_sealed(world: World) -> None:
    await world.fill()
    assert {count.key for count in await world.resealer(NEW).counts()} == {None}

    assert (await world.resealer(NEW).run()).sealed == 5
    assert set((await world.opened(NEW)).values()) >= {SECRET.encode(), b"incoming_source"}


async def test_a_second_rotation_has_nothing_to_do_and_changes_no_byte(world: World) -> None:
    await world.fill(OLD)
    await world.resealer(NEW, OLD).run()
    kept = await world.values()

    assert (await world.resealer(NEW, OLD).run()).sealed == 0
    assert await world.values() == kept


async def test_it_goes_by_bounded_batches_and_goes_on_where_it_was_stopped(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resealing, "BATCH_ROWS", 2)
    await world.fill(OLD, endpoints=5)
    heard: list[int] = []

    def stop_after_two(sealed: int) -> None:
        heard.append(sealed)
        if len(heard) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        await world.resealer(NEW, OLD).run(progress=stop_after_two)
    names = [key_name(value) for value in (await world.values()).values()]
    done = await world.resealer(NEW, OLD).run(progress=heard.append)

    assert (heard[:2], names.count("new")) == ([2, 4], 4)
    assert done.sealed == 21
    assert set((await world.opened(NEW)).values()) >= {SECRET.encode()}


async def test_two_at_once_beside_rotations_of_secrets_lose_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resealing, "BATCH_ROWS", 3)
    made = await world.fill(OLD, endpoints=8)
    newest: dict[str, str] = {}

    async def rotate(endpoint: str) -> None:
        newest[endpoint] = await world.table(NEW, OLD).secrets.rotate("acme", endpoint)

    async with asyncio.TaskGroup() as group:
        for _ in range(2):
            group.create_task(world.resealer(NEW, OLD).run(), name="reseal")
        for endpoint in made:
            group.create_task(rotate(endpoint), name="rotate")

    await world.resealer(NEW, OLD).run()
    found = await world.table(NEW).for_signing([("acme", endpoint) for endpoint in made])
    assert {key[1]: value.secrets for key, value in found.items()} == {each: (newest[each], SECRET) for each in made}


async def test_a_value_whose_key_is_not_there_stays_as_it_is_and_is_counted(world: World) -> None:
    await world.fill(OLD)
    await world.fill(NEW)
    kept, heard = await world.values(), []

    with listening(lambda name, facts: heard.append(name)):
        done = await world.resealer(NEW).run()

    assert done == Resealed("new", sealed=0, unopened=5)
    assert heard.count("secret.open_failed") == 5
    assert await world.values() == kept


async def test_a_ring_without_keys_is_refused_and_nothing_is_unsealed(world: World) -> None:
    await world.fill(OLD)
    kept = await world.values()

    with pytest.raises(ConfigError) as refused:
        await world.resealer().run()

    assert refused.value.code == "config.no_seal_key"
    assert await world.values() == kept


async def test_a_value_that_changes_between_reading_and_writing_is_not_overwritten(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    (endpoint,) = await world.fill(OLD)
    changes = Resealer._changes

    def slow(self: Resealer, place: Place, rows: Any) -> Any:
        found = changes(self, place, rows)
        return [change | {"was": b"another"} for change in found]

    monkeypatch.setattr(Resealer, "_changes", slow)
    await world.resealer(NEW, OLD).run()

    assert {key_name(value) for value in (await world.values()).values()} == {"old"}
    assert (await world.table(OLD).for_signing([("acme", endpoint)]))["acme", endpoint].secrets == (SECRET,)


async def test_every_column_of_bytes_is_sealed_anew_or_known_to_be_no_secret(world: World) -> None:
    rows = await world.run(
        """select c.relname::text as place, a.attname::text as name from pg_attribute a join pg_class c on c.oid = a.attrelid
           where c.relnamespace = 'rowcast'::regnamespace and c.relkind in ('r', 'p') and not c.relispartition
             and a.atttypid = 'bytea'::regtype and a.attnum > 0 and not a.attisdropped"""
    )

    sealed = {(table, column) for table, _, column in COLUMNS.values()}
    assert {(row["place"], row["name"]) for row in rows} - _OTHER_BYTES - sealed == set()
    assert set(resealing._PLACES) == set(COLUMNS)
