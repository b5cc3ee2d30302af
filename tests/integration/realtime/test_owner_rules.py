"""The declared table of who owns what, on the real database."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from rowcast.core.codec import encode_json
from rowcast.core.errors import InvalidInputError
from rowcast.realtime.authorize import Claims
from rowcast.realtime.channel_policy import Access, Fault
from rowcast.realtime.owner_rules import OwnedTopic, OwnerRules, claimed_owners, parse_owners
from rowcast.store.pool import open_database
from tests.integration.capture.feeding import run

ANN, BOB = "11111111-1111-1111-1111-111111111111", "22222222-2222-2222-2222-222222222222"
_TABLES = f"""
create table public.orders (id bigint primary key, user_id uuid not null);
insert into public.orders values (1, '{ANN}'), (10, '{BOB}');
create schema shop;
create table shop."Boards" (name text primary key, team text);
insert into shop."Boards" values ('b''1', 'red'), ('b2', 'blue');
"""
OWNED = (
    OwnedTopic("orders:{id}", "orders"),
    OwnedTopic("board:{name}", "shop.Boards", key="name", owner="team", claim="app_metadata.teams", is_writable=True),
    OwnedTopic("gone:{id}", "gone"),
)


@pytest.fixture
def shop_dsn(dsn: str) -> str:
    run(dsn, _TABLES)
    return dsn


@pytest_asyncio.fixture
async def rules(shop_dsn: str) -> AsyncIterator[OwnerRules]:
    async with open_database(shop_dsn) as database:
        yield OwnerRules(OWNED, database=database)


def person(**claims: object) -> Claims:
    return Claims("authenticated", 9, document=encode_json(claims))


async def test_an_owner_hears_and_others_do_not(rules: OwnerRules) -> None:
    assert await rules.read(person(sub=ANN), "orders:1", wants_presence=False) == Access(True, True)
    assert await rules.read(person(sub=BOB), "orders:1", wants_presence=False) == Access()
    assert await rules.read(person(), "orders:1", wants_presence=False) == Access()


@pytest.mark.parametrize(
    "key", ["10", "2", "1 or true", "1'; drop table orders; --", "x", "99999999999999999999", "1.0"]
)
async def test_another_key_is_never_taken_for_the_owners(rules: OwnerRules, key: str) -> None:
    assert await rules.read(person(sub=ANN), f"orders:{key}", wants_presence=False) == Access()


async def test_whoever_owns_may_show_himself_and_sends_only_where_it_is_declared(rules: OwnerRules) -> None:
    ann, red = person(sub=ANN), person(app_metadata={"teams": ["red", "green"]})

    assert await rules.write(ann, "orders:1", extension="presence") is True
    assert await rules.write(ann, "orders:1", extension="broadcast") is False
    assert await rules.write(red, "board:b'1", extension="broadcast") is True
    assert await rules.write(red, "board:b2", extension="broadcast") is False


async def test_a_topic_of_no_declaration_is_somebody_elses(rules: OwnerRules) -> None:
    assert await rules.read(person(sub=ANN), "orders:1:2", wants_presence=False) is None
    assert await rules.write(person(sub=ANN), "order:1", extension="presence") is None


async def test_the_service_may_do_all(rules: OwnerRules) -> None:
    service = Claims("service_role", 9)

    assert await rules.read(service, "orders:10", wants_presence=False) == Access(True, True)
    assert await rules.write(service, "orders:10", extension="broadcast") is True


async def test_a_claim_that_is_no_value_of_the_column_owns_nothing(rules: OwnerRules) -> None:
    assert await rules.read(person(sub="x' or true"), "orders:1", wants_presence=False) == Access()
    assert await rules.read(person(sub={"a": 1}), "orders:1", wants_presence=False) == Access()


async def test_a_table_that_is_not_there_is_a_fault_and_opens_nothing(rules: OwnerRules) -> None:
    assert isinstance(await rules.read(person(sub=ANN), "gone:1", wants_presence=False), Fault)
    assert isinstance(await rules.write(person(sub=ANN), "gone:1", extension="presence"), Fault)


@pytest.mark.parametrize(
    ("document", "owners"),
    [
        (b'{"sub":"a"}', ["a"]),
        (b'{"sub":7}', ["7"]),
        (b'{"sub":["a",7,null,true,{}]}', ["a", "7"]),
        (b'{"sub":true}', []),
        (b'{"sub":null}', []),
        (b"{}", []),
        (b"[]", []),
    ],
)
def test_only_texts_and_numbers_of_the_token_name_an_owner(document: bytes, owners: list[str]) -> None:
    assert claimed_owners(document, "sub") == owners


def test_owners_are_declared_in_the_settings_too() -> None:
    assert parse_owners([{"topic": "orders:{id}", "table": "orders"}]) == (OWNED[0],)


@pytest.mark.parametrize(
    "table",
    [{}, {"topic": "orders:{id}", "table": "a.b.c"}, {"topic": "orders:{id}", "table": ""}, {"topic": "x", "table": "t"},
     {"topic": "a:{b}:{c}", "table": "t"}, {"topic": "a:{b}", "table": "t", "keys": "x"}],
)  # fmt: skip
def test_a_declaration_that_cannot_be_looked_up_is_refused(table: dict[str, object]) -> None:
    with pytest.raises(InvalidInputError):
        parse_owners([table])
