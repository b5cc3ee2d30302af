"""The commands that look, in text and in JSON, on a real database."""

import asyncio
import json
import os
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rowcast.server.instance import Instance, write_instance
from rowcast.store.pool import open_database
from tests.integration.server.conftest import Command
from tests.integration.server.rows import add_delivery, add_event


def filled(dsn: str, add: Callable[..., Any], *values: Any, **more: Any) -> Any:
    async def fill() -> Any:
        async with open_database(dsn) as database:
            return await add(database, *values, **more)

    return asyncio.run(fill())


def instance(dsn: str, folder: Path) -> Instance:
    return Instance(
        pid=os.getpid(), api_url="http://a:1", websocket_url="ws://a:1", live_url="http://a:1/live",
        catcher_url="http://a:1/c", database_url=dsn, anon_key="anon", service_key="service", user_token="user", api_key="rk",
        tenant_id="acme", data_folder=str(folder), is_sampled=False,
    )  # fmt: skip


def test_status_counts_what_is_there(command: Command, dsn: str) -> None:
    filled(dsn, add_delivery, status="waiting")

    text, value = command("status"), command("status", "--json").value

    assert text.code == 0
    assert ["pending", "1"] in [line.split() for line in text.out.splitlines()]
    assert value["events"]["pending"] == 1
    assert value["deliveries"][0]["sink"] == "webhooks"
    assert value["instance"] is None


def test_status_of_a_development_server_shows_where_it_is(command: Command, dsn: str, tmp_path: Path) -> None:
    (tmp_path / ".rowcast").mkdir()
    write_instance(tmp_path / ".rowcast", instance(dsn, tmp_path))

    text, value = command("status", on=None), command("status", "--json", on=None).value

    assert "http://a:1/live" in text.out
    assert value["instance"]["api_url"] == "http://a:1"


def test_status_env_is_read_by_a_shell_and_hurts_no_later_command(
    command: Command, dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".rowcast").mkdir()
    write_instance(tmp_path / ".rowcast", instance(dsn, tmp_path))

    lines = command("status", "--env", on=None).out.splitlines()
    for line in lines:
        name, _, value = line.removeprefix("export ").partition("=")
        monkeypatch.setenv(name, value)

    assert f"export DATABASE_URL={dsn}" in lines
    assert command("events", on=None).code == 0


def test_status_env_without_a_server_says_so(command: Command) -> None:
    done = command("status", "--env", on=None)

    assert (done.code, done.out) == (4, "# no rowcast runs here\n")


def test_events_are_listed_with_whole_ids_and_a_way_to_go_on(command: Command, dsn: str) -> None:
    made = [str(filled(dsn, add_event, "acme", "shop.moved_" + "x" * 90)) for _ in range(3)]

    text = command("events", "--limit", "2").out
    page = command("events", "--limit", "2", "--json").value
    rest = command("events", "--limit", "2", "--cursor", page["cursor"], "--json").value

    assert made[2] in text
    assert "shop.moved_" + "x" * 90 in text
    assert f"--cursor {page['cursor']}" in text
    assert [event["id"] for event in page["data"] + rest["data"]] == made[::-1]
    assert page["data"][0]["payload"] == {"n": 1}


def test_events_are_narrowed(command: Command, dsn: str) -> None:
    filled(dsn, add_event, "other", "shop.moved")
    chosen = str(filled(dsn, add_event, "acme", "shop.sold"))

    page = command("events", "--tenant", "acme", "--type", "shop.sold", "--status", "pending", "--json").value

    assert [event["id"] for event in page["data"]] == [chosen]


def test_nothing_there_is_a_sentence_for_people_and_an_empty_list_for_programs(command: Command) -> None:
    for verb in ("events", "deliveries", "dead-letters"):
        assert command(verb).out.startswith("No ")
        assert command(verb, "--json").value["data"] == []


def test_one_delivery_is_shown_with_its_attempts(command: Command, dsn: str) -> None:
    number = filled(dsn, add_delivery)

    text, value = command("deliveries", str(number)).out, command("deliveries", str(number), "--json").value

    assert "http_503" in text
    assert value["attempts"][0]["reason"] == "http_503"


def test_deliveries_are_listed_and_narrowed(command: Command, dsn: str) -> None:
    dead, waiting = filled(dsn, add_delivery), filled(dsn, add_delivery, status="waiting")
    event = command("deliveries", str(dead), "--json").value["eventId"]

    assert [row["id"] for row in command("deliveries", "--json").value["data"]] == [waiting, dead]
    assert [row["id"] for row in command("deliveries", "--event", event, "--json").value["data"]] == [dead]
    assert [row["id"] for row in command("deliveries", "--status", "waiting", "--json").value["data"]] == [waiting]
    assert [row["id"] for row in command("deliveries", "--cursor", str(waiting), "--json").value["data"]] == [dead]


def test_dead_letters_are_grouped(command: Command, dsn: str) -> None:
    for _ in range(2):
        filled(dsn, add_delivery)

    assert command("dead-letters", "--json").value["data"][0]["deliveries"] == 2
    assert "webhooks:http_503" in command("dead-letters").out


@pytest.mark.parametrize(
    ("words", "code", "error"),
    [
        (["deliveries", "4711"], 4, "input.not_found"),
        (["events", "--cursor", "x"], 1, "input.cursor"),
        (["events", "--status", "lost"], 2, "input.invalid"),
        (["deliveries", str(10**30)], 2, "input.invalid"),
        (["deliveries", "--event", "x"], 2, "input.invalid"),
        (["events", "--limit", "0"], 2, "input.invalid"),
        (["no-such-verb"], 2, "input.invalid"),
    ],
)
def test_a_refusal_is_a_sentence_for_people_and_json_for_programs(
    command: Command, words: list[str], code: int, error: str
) -> None:
    text, value = command(*words), command(*words, "--json")

    assert (text.code, value.code) == (code, code)
    assert text.out == ""
    assert text.err
    assert "Traceback" not in text.err
    assert value.value["error"]["code"] == error
    assert value.value["error"]["detail"]


def test_a_database_that_is_not_there_has_its_own_exit_code(command: Command) -> None:
    away = "postgresql://nobody@127.0.0.1:1/none"
    done = command("events", "--json", on=away)

    assert (done.code, done.value["error"]["code"]) == (5, "store.unavailable")


def test_without_a_database_every_command_says_how_to_name_one(command: Command) -> None:
    for verb in (["events"], ["deliveries"], ["status"], ["dead-letters"], ["doctor"], ["keys", "list"], ["psql"]):
        done = command(*verb, on=None)

        assert done.code == 3, verb
        assert "config.no_database" in done.err


def test_settings_are_shown_with_their_origin_and_without_secrets(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ROWCAST_AUTH__JWT_SECRET", "hunter2" * 8)
    Path("rowcast.toml").write_text("[relay]\nlease_s = 5\n")

    text = command("config", "show", "--origin").out
    rows = {row["setting"]: row for row in command("config", "show", "--origin", "--json").value["data"]}

    assert "hunter2" not in text + json.dumps(rows)
    assert rows["auth.jwt_secret"]["origin"] == "environment"
    assert (rows["relay.lease_s"]["value"], rows["relay.lease_s"]["origin"]) == ("5.0", "file")
    assert rows["database.url"]["origin"] == "flag"
    assert rows["server.port"]["origin"] == "default"


def test_a_setting_that_is_none_is_refused_by_every_command(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROWCAST_SERVER__PROT", "1")

    for verb in (["config", "show"], ["events"], ["emit", "a.b", "{}", "--tenant", "acme"], ["watch", "--check"]):
        done = command(*verb)
        assert (done.code, "ROWCAST_SERVER__PROT" in done.err) == (3, True), verb


def test_psql_is_called_without_the_password_among_its_words(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    called: list[Any] = []
    monkeypatch.setattr("os.execve", lambda *words: called.append(words))
    monkeypatch.setattr("shutil.which", lambda _: "/usr/bin/psql")

    command("psql", "--database", "postgresql://ada:secret@h/db", "--", "-c", "select 1", on=None)

    program, words, variables = called[0]
    assert (program, words) == ("/usr/bin/psql", ["/usr/bin/psql", "postgresql://ada@h/db", "-c", "select 1"])
    assert variables["PGPASSWORD"] == "secret"


def test_an_id_of_another_tenant_is_not_found(command: Command, dsn: str) -> None:
    number = filled(dsn, add_delivery, "other")

    assert command("deliveries", str(number), "--tenant", "acme").code == 4
    assert command("deliveries", "--event", str(uuid.uuid4()), "--json").value["data"] == []


def test_an_event_nested_deeper_than_python_reads_hides_no_other(command: Command, sql: Callable[..., Any]) -> None:
    payload = '{"a":' * 3_000 + "1" + "}" * 3_000
    sql("select rowcast.emit('acme', 'deep.made', %s::jsonb), rowcast.emit('acme', 'flat.made', '{}')", [payload])

    text, printed = command("events"), command("events", "--json")

    assert (text.code, printed.code) == (0, 0), (text.err, printed.err)
    assert "deep.made" in text.out
    assert "flat.made" in text.out
    assert payload in "".join(printed.out.split())
