"""Sources on a real database: sealed, of one tenant, and followed by nobody else."""

import pytest

from rowcast.core.errors import InvalidInputError, NotFoundError
from rowcast.store.pool import Database
from rowcast.webhooks.incoming import SourceOptions
from rowcast.webhooks.incoming_source import SourceDraft
from rowcast.webhooks.sealing import key_name
from tests.integration.webhooks.incoming_world import World
from tests.unit.webhooks.senders import OTHER, SECRET


@pytest.fixture
async def world(database: Database) -> World:
    return World(database)


async def test_a_source_is_made_found_changed_and_removed(world: World) -> None:
    source, _ = await world.source("github")
    options = SourceOptions(once_by="body")

    changed = await world.table.update("acme", source.id, options=options, is_disabled=False)

    assert source.id.startswith("src_")
    assert await world.table.get("acme", source.id) == changed
    assert (changed.options, changed.active_secrets) == (options, 1)
    assert await world.table.find(source.id) == (changed, (SECRET,))
    await world.table.delete("acme", source.id)
    assert await world.table.find(source.id) is None


async def test_the_secrets_lie_sealed(world: World) -> None:
    await world.source("github")

    ((sealed,),) = await world.rows("select secrets from rowcast.incoming_source")

    assert key_name(sealed) == "k"
    assert SECRET.encode() not in sealed


async def test_a_source_of_another_tenant_is_one_that_never_was(world: World) -> None:
    source, _ = await world.source("github")

    for call in (
        world.table.get("other", source.id),
        world.table.update("other", source.id, options=SourceOptions(), is_disabled=True),
        world.table.rotate("other", source.id, secret=OTHER),
        world.table.delete("other", source.id),
    ):
        with pytest.raises(NotFoundError):
            await call
    assert await world.table.page("other") == []
    assert (await world.table.get("acme", source.id)).is_disabled is False


async def test_options_that_do_not_fit_the_scheme_change_nothing(world: World) -> None:
    source, _ = await world.source("github")

    with pytest.raises(InvalidInputError):
        await world.table.update("acme", source.id, options=SourceOptions(header="X"), is_disabled=True)

    assert await world.table.get("acme", source.id) == source


async def test_a_secret_that_is_made_is_given_once_and_works(world: World) -> None:
    made, secrets = await world.table.create("acme", SourceDraft(name="own", scheme="bearer"))

    rotated = await world.table.rotate("acme", made.id)

    found = await world.table.find(made.id)
    assert found is not None
    assert found[1] == (rotated, *secrets)
    assert found[0].active_secrets == 2
    world.clock.tick(86_400)
    assert (await world.table.get("acme", made.id)).active_secrets == 1


async def test_pages_give_every_source_once(world: World) -> None:
    made = set()
    for _ in range(3):
        made.add((await world.source("github"))[0].id)
        world.clock.tick(1)

    first = await world.table.page("acme", most=2)
    second = await world.table.page("acme", most=2, after=first[-1].id)

    assert {source.id for source in (*first, *second)} == made
    assert [len(first), len(second)] == [2, 1]


async def test_a_tenant_without_a_name_has_no_source(world: World) -> None:
    with pytest.raises(InvalidInputError):
        await world.table.create("", SourceDraft(name="own", scheme="bearer"))


async def test_a_role_of_tenants_sees_neither_sources_nor_deliveries(world: World) -> None:
    granted = await world.rows(
        "select relname from pg_class where relname like 'incoming_%' and relkind = 'r' "
        "and has_any_column_privilege('rowcast_app', oid, 'select')"
    )

    assert granted == []
