"""What the README promises: one command, and a changed row reaches a browser, a webhook and a job."""

import json
import shutil
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import psycopg
import pytest

from .conftest import JS, ROOT, Development, rowcast, start_development, stop_development

HERE = Path(__file__).parent


@contextmanager
def listening(command: list[str]) -> Iterator[subprocess.Popen[str]]:
    """Start a stock client and go on when it says that it has joined."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        status = json.loads(process.stdout.readline() or "{}")
        assert "SUBSCRIBED" in str(status.get("status")), (status, process.poll())
        yield process
    finally:
        process.kill()
        process.communicate(timeout=10)


def message_of(process: subprocess.Popen[str]) -> dict[str, Any]:
    """Give the next message that the client printed."""
    assert process.stdout is not None
    for line in process.stdout:
        value = json.loads(line)
        assert not value.get("timeout"), "the client got nothing"
        if "message" in value:
            message: dict[str, Any] = value["message"]
            return message
    raise AssertionError("the client ended without a message")


def javascript_client(development: Development, topic: str, vsn: str) -> list[str]:
    instance = development.instance
    return [
        "node",
        str(JS / "listen.mjs"),
        instance["websocket_url"],
        instance["anon_key"],
        instance["user_token"],
        vsn,
        topic,
        "1",
        "30",
    ]


def python_client(development: Development, topic: str) -> list[str]:
    instance = development.instance
    return [
        sys.executable,
        str(HERE / "listen.py"),
        instance["websocket_url"],
        instance["anon_key"],
        instance["user_token"],
        topic,
        "1",
        "30",
    ]


def ship_order(development: Development, customer: str) -> int:
    """Change an order as any application would, and give its id."""
    with psycopg.connect(development.instance["database_url"]) as connection:
        row = connection.execute(
            "insert into orders (org_id, customer, total) values ('acme', %s, 10) returning id", (customer,)
        ).fetchone()
        assert row is not None
        connection.execute("update orders set status = 'shipped' where id = %s", (row[0],))
        return int(row[0])


def assert_reaches_webhook_and_job(development: Development, order: int) -> None:
    """See the verified webhook in the catcher and the result of the job."""
    development.wait_for(
        lambda received: [
            item
            for item in received["webhooks"]["rows"]
            if item["verified"] and item["type"] == "orders.updated" and item["body"]["data"]["record"]["id"] == order
        ]
    )
    development.wait_for(
        lambda received: [
            item
            for item in received["jobs"]["rows"]
            if item["status"] == "delivered" and item["result"]["receipt_for"] == str(order)
        ]
    )


@pytest.mark.parametrize("vsn", ["2.0.0", "1.0.0"])
def test_a_changed_row_reaches_the_stock_javascript_client_a_webhook_and_a_job(
    development: Development, node_modules: Path, vsn: str
) -> None:
    with listening(javascript_client(development, "orders:acme", vsn)) as client:
        order = ship_order(development, f"Ada {vsn}")
        message = message_of(client)

    assert message["event"] == "INSERT"
    assert message["payload"]["record"]["id"] == order
    assert "internal_note" not in message["payload"]["record"]
    assert_reaches_webhook_and_job(development, order)


def test_a_changed_row_reaches_the_stock_python_client(development: Development) -> None:
    with listening(python_client(development, "orders:acme")) as client:
        order = ship_order(development, "Grace")
        message = message_of(client)

    assert message["payload"]["record"]["id"] == order
    assert_reaches_webhook_and_job(development, order)


def test_a_row_changed_with_psql_reaches_the_stock_python_client(development: Development) -> None:
    if shutil.which("psql") is None:
        pytest.skip("psql is missing: apt-get install postgresql-client")
    customer = f"psql {uuid.uuid4()}"
    statement = f"insert into orders (org_id, customer, total) values ('acme', '{customer}', 3)"

    with listening(python_client(development, "orders:acme")) as client:
        done = subprocess.run(
            ["psql", development.instance["database_url"], "-qc", statement],
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        message = message_of(client)

    assert message["payload"]["record"]["customer"] == customer


@pytest.mark.parametrize(
    "driver",
    ["asyncpg", "psycopg", "psycopg_async", "sqlalchemy", "sqlalchemy_async", "sqlalchemy_connection", "django"],
)
def test_an_event_emitted_through_each_driver_reaches_socket_webhook_and_job(
    development: Development, driver: str
) -> None:
    order = f"{driver}-{uuid.uuid4().hex[:8]}"

    with listening(python_client(development, "tenant:acme:shop")) as client:
        done = subprocess.run(
            [sys.executable, str(HERE / "emit_with.py"), driver, development.instance["database_url"], order],
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        message = message_of(client)

    assert message["event"] == "shop.order_confirmed"
    assert message["payload"]["payload"]["order_id"] == order
    assert message["payload"]["id"] == done.stdout.strip()
    development.wait_for(
        lambda received: [
            item for item in received["webhooks"]["rows"] if item["verified"] and order in json.dumps(item["body"])
        ]
    )
    development.wait_for(
        lambda received: [item for item in received["jobs"]["rows"] if order in json.dumps(item["result"])]
    )


def test_the_printed_page_has_urls_keys_and_lines_to_copy(development: Development) -> None:
    page = development.printed

    for words in (
        "Live page",
        "API",
        "WebSocket",
        "PostgreSQL",
        "Webhook catcher",
        "anon key",
        "service key",
        "curl",
        "psql",
        "createClient",
    ):
        assert words in page or words.replace("createClient", "RealtimeClient") in page, words


def test_the_printed_curl_line_emits_an_event(development: Development) -> None:
    instance = development.instance
    body = json.dumps(
        {"tenantId": "acme", "eventType": "shop.order_confirmed", "payload": {"order_id": "curl-1", "total": "1"}}
    )
    request = Request(
        instance["api_url"] + "/api/v1/events",
        data=body.encode(),
        headers={"authorization": "Bearer " + instance["api_key"], "content-type": "application/json"},
    )

    with urlopen(request, timeout=10) as reply:
        answer = json.load(reply)

    assert reply.status == 202
    development.wait_for(
        lambda received: [
            item for item in received["webhooks"]["rows"] if item["id"] and "curl-1" in json.dumps(item["body"])
        ]
    )
    shown = rowcast("--data", str(development.folder), "events", "--json")
    assert answer["id"] in shown.stdout


def test_ctrl_c_leaves_no_process_and_a_second_start_keeps_the_data(tmp_path: Path) -> None:
    first = start_development(tmp_path / "data")
    order = ship_order(first, "kept")

    assert stop_development(first) == 0
    assert processes_of(tmp_path) == []

    second = start_development(tmp_path / "data", "--no-traffic")
    with psycopg.connect(second.instance["database_url"]) as connection:
        kept = connection.execute("select customer from orders where id = %s", (order,)).fetchone()
    assert stop_development(second) == 0

    assert kept == ("kept",)
    assert processes_of(tmp_path) == []


def test_make_dev_starts_it_and_ctrl_c_leaves_no_process(tmp_path: Path) -> None:
    if not (ROOT / ".venv" / ".set-up").exists():
        pytest.skip("this checkout was not set up by make: run 'make setup'")
    running = start_development(tmp_path / "data", "--no-traffic", is_by_make=True)
    order = ship_order(running, "by make")

    assert_reaches_webhook_and_job(running, order)
    stop_development(running)

    assert processes_of(tmp_path) == []


def test_a_second_server_on_one_data_folder_is_refused_with_its_reason(development: Development) -> None:
    again = rowcast("dev", "--port", "0", "--data", str(development.folder), "--no-open")

    assert again.returncode == 3
    assert "config.data_locked" in again.stderr


def test_a_taken_port_gives_the_next_free_one_and_says_so(development: Development, tmp_path: Path) -> None:
    taken = int(development.instance["api_url"].rpartition(":")[2])

    other = start_development(tmp_path / "other", "--no-traffic", "--port", str(taken))
    stop_development(other)

    assert other.instance["api_url"] != development.instance["api_url"]
    assert f"Port {taken} is taken" in other.printed


def processes_of(folder: Path) -> list[str]:
    """Give the command lines of all processes that name `folder`."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if str(folder) in line:
            found.append(line)
    return found
