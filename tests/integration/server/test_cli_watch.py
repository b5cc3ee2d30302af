"""`rowcast watch`: the migration is printed, written, run; drift has its exit code."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.integration.server.conftest import Command

WATCH = ("watch", "orders", "--topic", "orders:{org_id}", "--columns", "id,org_id,status")
DECLARED = '[[watch]]\ntable = "orders"\ntopic = "orders:{org_id}"\ncolumns = ["id", "org_id", "status"]\n'
Sql = Callable[..., list[tuple[Any, ...]]]


@pytest.fixture
def orders(sql: Sql) -> Sql:
    sql("create table orders (id bigint primary key, org_id text not null, status text, note text)")
    return sql


def test_the_migration_is_printed_and_nothing_is_changed(command: Command, orders: Sql) -> None:
    done = command(*WATCH)

    orders("insert into orders values (1, 'acme', 'new', 'n')")
    assert "execute function rowcast.watch_public_orders" in done.out
    assert command("events", "--json").value["data"] == []
    assert command(*WATCH, "--json").value["sql"] in done.out


def test_what_was_printed_makes_changes_events(command: Command, orders: Sql) -> None:
    orders(command(*WATCH, "--events", "insert,update").out)

    orders("insert into orders values (1, 'acme', 'new', 'secret note')")
    orders("delete from orders")

    events = command("events", "--json").value["data"]
    assert [(event["eventType"], event["tenantId"]) for event in events] == [("orders.inserted", "acme")]
    assert "note" not in events[0]["payload"]["record"]


def test_the_migration_is_written_to_a_file(command: Command, orders: Sql, tmp_path: Path) -> None:
    done = command(*WATCH, "--out", "0007_watch.sql")

    assert "execute function rowcast.watch_public_orders" in (tmp_path / "0007_watch.sql").read_text()
    assert done.out.startswith("Written to 0007_watch.sql.")
    assert command(*WATCH, "--out", "no/such/folder.sql").code == 2


def test_it_is_run_at_once_where_that_is_asked_for(command: Command, orders: Sql) -> None:
    done = command(*WATCH, "--apply")

    orders("insert into orders values (1, 'acme', 'new', 'n')")
    assert done.out == "The triggers are installed.\n"
    assert len(command("events", "--json").value["data"]) == 1


def test_drift_has_its_exit_code_until_the_declared_watch_is_installed(
    command: Command, orders: Sql, tmp_path: Path
) -> None:
    (tmp_path / "rowcast.toml").write_text(DECLARED)

    missing = command("watch", "--check")
    assert (missing.code, "missing" in missing.out) == (7, True)
    assert command("watch", "--check", "--json").value["data"][0]["kind"] == "missing"

    command("watch", "--apply")
    assert (command("watch", "--check").code, command("watch", "--check", "--json").value["data"]) == (0, [])

    (tmp_path / "rowcast.toml").write_text(DECLARED.replace(', "status"', ""))
    assert command("watch", "--check", "--json").value["data"][0]["kind"] == "changed"

    (tmp_path / "rowcast.toml").unlink()
    assert command("watch", "--check", "--json").value["data"][0]["kind"] == "surplus"


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["watch", "no_such_table", "--topic", "t:{id}", "--columns", "id"], 4),
        (["watch", "orders", "--topic", "orders:{org_id}", "--columns", "id,nothing"], 1),
        (["watch", "orders", "--topic", "orders", "--columns", "id"], 1),
        (["watch", "orders", "--topic", "orders:{org_id}", "--columns", "id", "--events", "truncate"], 1),
        (["watch"], 1),
    ],
)
def test_what_cannot_be_watched_is_a_sentence(command: Command, orders: Sql, words: list[str], code: int) -> None:
    done = command(*words)

    assert done.code == code, done
    assert "Traceback" not in done.err
    assert command(*words, "--json").value["error"]["code"].startswith("input.")


def test_a_declaration_that_cannot_be_read_is_told_with_its_table(
    command: Command, orders: Sql, tmp_path: Path
) -> None:
    (tmp_path / "rowcast.toml").write_text(DECLARED + "colour = 'red'\n")

    done = command("watch", "--check")

    assert done.code == 1
    assert "orders" in done.err


URL = "https://hooks.example.com/in"
STATUS = ("watch", "orders", "--columns", "id,status", "--on", "update", "--name", "order_status")


def test_with_a_webhook_rows_of_every_tenant_are_events_of_one_and_have_an_endpoint(
    command: Command, orders: Sql, tmp_path: Path
) -> None:
    (tmp_path / "header").write_text("Bearer from a file\n")

    made = command(*STATUS, "--webhook", URL, "--authorization-header", "@header", "--apply", "--json").value
    orders("insert into orders values (1, 'acme', 'new', 'n'), (2, 'other', 'new', 'n')")
    orders("update orders set note = 'm'")
    orders("update orders set status = 'paid'")

    events = command("events", "--json").value["data"]
    assert [(each["eventType"], each["tenantId"]) for each in events] == [("order_status.updated", "database")] * 2
    assert made["endpoint"]["eventTypes"] == ["order_status.updated"]
    assert (made["endpoint"]["tenantId"], made["endpoint"]["url"]) == ("database", URL)
    assert made["endpoint"]["secret"].startswith("whsec_")
    assert "Bearer" not in str(made)


def test_running_it_again_changes_the_endpoint_and_makes_no_second_one(
    command: Command, orders: Sql, tmp_path: Path
) -> None:
    (tmp_path / "rowcast.toml").write_text(f'[[webhooks.target]]\nname = "shop"\nurl = "{URL}"\n')
    first = command(*STATUS, "--webhook", "shop", "--apply", "--json").value["endpoint"]

    (tmp_path / "rowcast.toml").write_text(f'[[webhooks.target]]\nname = "shop"\nurl = "{URL}/v2"\n')
    done = command(*STATUS, "--webhook", "shop", "--out", "0042.sql")

    listed = command("endpoints", "list", "--tenant", "database", "--json").value["data"]
    assert [(each["id"], each["url"]) for each in listed] == [(first["id"], f"{URL}/v2")]
    assert first["secret"] in done.out
    assert "posted to this endpoint" in done.out


def test_a_migration_that_is_only_shown_makes_no_endpoint_and_says_so(command: Command, orders: Sql) -> None:
    done = command(*STATUS, "--webhook", URL)

    assert done.out.startswith("-- Watch")
    assert "with --apply" in done.err
    assert command("endpoints", "list", "--tenant", "database", "--json").value["data"] == []


@pytest.mark.parametrize(
    ("words", "code", "why"),
    [
        ([*WATCH, "--webhook", URL], 1, "belongs to one tenant"),
        ([*STATUS, "--webhook", "http://127.0.0.1/", "--apply"], 1, "egress.blocked"),
        ([*STATUS, "--webhook", "nobody", "--apply"], 4, "no URL"),
        ([*STATUS, "--tenant-id", "acme", "--authorization-header", "Bearer x"], 1, "goes with --webhook"),
        (["watch", "--webhook", URL], 1, "declared|name of one table"),
        ([*STATUS, "--webhook", URL, "--authorization-header", "Bearer x\r\nx: y", "--apply"], 1, "input.header"),
    ],
)
def test_a_webhook_that_cannot_be_is_a_sentence_and_nothing_is_installed(
    command: Command, orders: Sql, words: list[str], code: int, why: str
) -> None:
    done = command(*words)

    assert (done.code, "Traceback" in done.err) == (code, False), done
    assert re.search(why, done.err), done.err
    assert orders("select 1 from pg_trigger where tgname like 'rowcast%'") == []
    assert command("endpoints", "list", "--tenant", "database", "--json").value["data"] == []
