"""The commands that write: emit, replay, migrate."""

import asyncio
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rowcast.core.clock import SystemClock
from rowcast.core.event import Event
from rowcast.core.ids import uuid7
from rowcast.store.pool import open_database
from rowcast.testing.cluster import Cluster
from tests.integration.server.conftest import Command
from tests.integration.server.rows import add_delivery


class Counted(Event, type="cli_make.counted", aggregate="shelf", key="shelf_id"):
    shelf_id: str
    count: int


EMIT = ("emit", "cli_make.counted")
PAYLOAD = '{"shelf_id": "s1", "count": 3}'


def delivery(dsn: str, **more: Any) -> int:
    async def fill() -> int:
        async with open_database(dsn) as database:
            return await add_delivery(database, **more)

    return asyncio.run(fill())


def test_an_emitted_event_is_printed_by_its_id_and_is_there(command: Command) -> None:
    text = command(*EMIT, PAYLOAD, "--tenant", "acme")
    value = command(*EMIT, PAYLOAD, "--tenant", "acme", "--json").value

    events = command("events", "--json").value["data"]
    assert [event["id"] for event in events] == [value["id"], text.out.strip()]
    assert (events[0]["aggregateId"], events[0]["payload"]) == ("s1", {"shelf_id": "s1", "count": 3})


def test_a_payload_is_read_from_a_file_or_from_standard_input(command: Command, tmp_path: Path) -> None:
    (tmp_path / "payload.json").write_text(PAYLOAD)

    assert command(*EMIT, "@payload.json", "--tenant", "acme").code == 0
    assert command(*EMIT, "-", "--tenant", "acme", stdin=PAYLOAD).code == 0
    assert len(command("events", "--json").value["data"]) == 2


def test_one_id_is_written_once(command: Command) -> None:
    event_id = str(uuid7(SystemClock().now()))

    for _ in range(2):
        assert command(*EMIT, PAYLOAD, "--tenant", "acme", "--id", event_id).out.strip() == event_id
    assert len(command("events", "--json").value["data"]) == 1


def test_an_unknown_type_is_refused_with_those_that_are_known(command: Command) -> None:
    done = command("emit", "no.such", "{}", "--tenant", "acme")

    assert done.code == 1
    assert "cli_make.counted" in done.err
    assert "outbox.unknown_event_type" in done.err


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["{", "--tenant", "acme"], 2),
        (["@no-such-file", "--tenant", "acme"], 2),
        ([PAYLOAD], 2),
        ([PAYLOAD, "--tenant", "acme", "--id", "1"], 2),
        (['{"shelf_id": "s1", "count": "x"}', "--tenant", "acme"], 1),
        ([PAYLOAD, "--tenant", "a b"], 1),
        ([PAYLOAD, "--tenant", "acme", "--id", str(uuid.uuid4())], 1),
    ],
)
def test_what_cannot_be_emitted_is_a_sentence_and_changes_nothing(
    command: Command, words: list[str], code: int
) -> None:
    done = command(*EMIT, *words)

    assert done.code == code
    assert "Traceback" not in done.err
    assert command("events", "--json").value["data"] == []


def test_a_pack_of_the_current_folder_brings_its_event_types(command: Command, tmp_path: Path) -> None:
    name = f"own_pack_{uuid.uuid4().hex}"
    (tmp_path / f"{name}.py").write_text(
        "from rowcast import Event, Pack\n"
        f"class Made(Event, type='{name}.made'):\n    note: str\n"
        "pack = Pack(name='own', events=(Made,))\n"
    )
    (tmp_path / "rowcast.toml").write_text(f'packs = ["{name}"]\n')

    assert command("emit", f"{name}.made", '{"note": "x"}', "--tenant", "acme").code == 0


def test_dead_letters_are_replayed_by_id_group_and_altogether(command: Command, dsn: str) -> None:
    first = delivery(dsn)
    delivery(dsn, error="timeout")
    delivery(dsn, error="http_500")

    assert command("replay", str(first)).out == "1 replayed\n"
    assert command("replay", "--fingerprint", "webhooks:timeout", "--json").value == {"replayed": 1}
    assert command("replay", "--sink", "jobs", "--json").value == {"replayed": 0}
    assert command("replay", "--all", "--json").value == {"replayed": 1}
    assert command("replay", "--all", "--json").value == {"replayed": 0}


def test_an_event_is_delivered_again(command: Command, dsn: str) -> None:
    event = command("deliveries", str(delivery(dsn, status="delivered")), "--json").value["eventId"]

    assert command("replay", "--event", event).out == "1 replayed\n"


def test_a_replay_of_nothing_says_what_to_name(command: Command) -> None:
    done = command("replay", "--json")

    assert (done.code, done.value["error"]["code"]) == (1, "input.replay")


@pytest.fixture
def empty_dsn(rowcast_cluster: Cluster) -> Any:
    dsn = rowcast_cluster.create("template1")
    yield dsn
    rowcast_cluster.drop(dsn)


def test_migrate_names_shows_and_runs_the_same(command: Command, empty_dsn: str) -> None:
    dry = command("migrate", "--dry-run", on=empty_dsn).out.split()
    script = command("migrate", "--sql", on=empty_dsn).out
    shown = command("migrate", "--dry-run", "--json", on=empty_dsn).value
    run = command("migrate", on=empty_dsn).out.split()
    again = command("migrate", on=empty_dsn)

    assert dry == run == shown["migrations"]
    assert shown["applied"] is False
    assert all(f"-- {name}\n" in script for name in dry)
    assert (again.code, again.out) == (0, "The schema is up to date.\n")
    assert command("migrate", "--json", on=empty_dsn).value == {"migrations": [], "applied": True}


def test_the_printed_sql_brings_another_database_to_the_same_schema(
    command: Command, empty_dsn: str, rowcast_cluster: Cluster, sql: Callable[..., Any]
) -> None:
    import psycopg

    script = command("migrate", "--sql", on=empty_dsn).out
    with psycopg.connect(empty_dsn, autocommit=True) as connection:
        connection.execute(script)

    assert command("migrate", "--dry-run", on=empty_dsn).out == "The schema is up to date.\n"
    assert command("events", on=empty_dsn).code == 0


def test_a_database_without_the_schema_is_told_what_to_run(command: Command, empty_dsn: str) -> None:
    done = command("events", on=empty_dsn)

    assert "rowcast migrate" in done.err
    assert done.code == 3
