"""Which migrations are still to be run, and the SQL they are for other tools."""

import pytest

from rowcast.core.errors import ConfigError
from rowcast.store.migrate import Migration, load_migrations, pending_migrations, render_migrations, require_version

_ONE, _TWO = Migration("0001_one", "select 1;\n", "a1"), Migration("0002_two", "select 2;\n", "b2")


def test_only_what_the_database_has_not_had_is_pending() -> None:
    assert pending_migrations([_ONE, _TWO], {"0001_one": "a1"}) == (_TWO,)


def test_a_new_database_gets_all_in_order() -> None:
    assert pending_migrations([_ONE, _TWO], {}) == (_ONE, _TWO)


@pytest.mark.parametrize("applied", [{"0001_one": "changed"}, {"0009_from_the_future": "c9"}])
def test_a_changed_or_unknown_migration_stops_the_start(applied: dict[str, str]) -> None:
    with pytest.raises(ConfigError) as caught:
        pending_migrations([_ONE, _TWO], applied)

    assert caught.value.code == "config.schema"


def test_no_two_shipped_migrations_have_one_number() -> None:
    numbers = [int(migration.name.split("_")[0]) for migration in load_migrations()]

    assert numbers == sorted(set(numbers))
    assert numbers[0] == 1


def test_the_shown_sql_runs_each_migration_in_a_transaction_and_records_it() -> None:
    text = render_migrations([_ONE, _TWO])

    assert text.index("create table if not exists rowcast.migration") < text.index("begin;\nselect 1;")
    assert "insert into rowcast.migration (name, checksum) values ('0002_two', 'b2');\ncommit;" in text


def test_nothing_to_run_is_said_in_a_comment() -> None:
    assert render_migrations([]).startswith("-- Nothing to run")


@pytest.mark.parametrize("version", [150_000, 160_014, 180_004])
def test_a_server_from_15_on_is_taken(version: int) -> None:
    assert require_version(version) == version


@pytest.mark.parametrize(
    ("version", "named"), [(140_012, "PostgreSQL 14;"), (149_999, "PostgreSQL 14;"), (90_624, "PostgreSQL 9;")]
)
def test_an_older_server_is_refused_by_its_number(version: int, named: str) -> None:
    with pytest.raises(ConfigError, match=named) as caught:
        require_version(version)

    assert caught.value.code == "config.postgres_version"
