"""Endpoints by the command line."""

from tests.integration.server.conftest import Command

CREATE = ("endpoints", "create", "--tenant", "acme", "--url", "https://hooks.example.com/in")


def test_an_endpoint_is_made_listed_and_removed(command: Command) -> None:
    made = command(*CREATE, "--event-type", "orders.*", "--event-type", "shop.sold", "--json").value
    listed = command("endpoints", "list", "--tenant", "acme", "--json").value["data"]
    text = command("endpoints", "list", "--tenant", "acme").out
    removed = command("endpoints", "delete", made["id"], "--tenant", "acme")

    assert made["secret"].startswith("whsec_")
    assert [item["eventTypes"] for item in listed] == [["orders.*", "shop.sold"]]
    assert "secret" not in listed[0]
    assert made["id"] in text
    assert removed.out == f"{made['id']} removed\n"
    assert command("endpoints", "list", "--tenant", "acme").out.startswith("acme has no endpoint.")


def test_the_secret_is_shown_to_people_too(command: Command) -> None:
    assert "whsec_" in command(*CREATE).out


def test_another_tenants_endpoint_is_not_there(command: Command) -> None:
    made = command(*CREATE, "--json").value

    assert command("endpoints", "list", "--tenant", "other", "--json").value["data"] == []
    assert command("endpoints", "delete", made["id"], "--tenant", "other").code == 4


def test_an_address_inside_the_network_is_refused(command: Command) -> None:
    done = command("endpoints", "create", "--tenant", "acme", "--url", "https://127.0.0.1/", "--json")

    assert (done.code, done.value["error"]["code"]) == (1, "egress.blocked")


def test_an_exception_that_is_no_address_is_refused_as_a_setting(command: Command) -> None:
    from pathlib import Path

    Path("rowcast.toml").write_text('[webhooks]\nallow_private = ["localhost"]\n')

    done = command(*CREATE)

    assert done.code == 3
    assert "webhooks.allow_private" in done.err
