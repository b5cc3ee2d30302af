"""Endpoints by the command line."""

from pathlib import Path

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
    Path("rowcast.toml").write_text('[webhooks]\nallow_private = ["localhost"]\n')

    done = command(*CREATE)

    assert done.code == 3
    assert "webhooks.allow_private" in done.err


def test_everything_that_is_said_of_an_endpoint_is_kept_and_changed(command: Command, tmp_path: Path) -> None:
    (tmp_path / "headers").write_text("X-One: 1\nX-Two: 2\n")
    made = command(
        *CREATE, "--uid", "main", "--channel", "berlin", "--throttle-rate", "5", "--header", "@headers", "--ordered",
        "--log-level", "failures", "--retry-wait-s", "1", "--retry-wait-s", "2.5", "--scheme", "v1a", "--json",
    ).value  # fmt: skip
    changed = command(
        "endpoints", "update", "main", "--tenant", "acme", "--url", "https://hooks.example.com/v2", "--unordered",
        "--disable", "--header", "x-one: 3", "--without-header", "X-Two", "--json",
    ).value  # fmt: skip
    shown = command("endpoints", "show", "main", "--tenant", "acme", "--secret", "--json").value

    assert (made["uid"], made["channels"], made["throttleRate"], made["isOrdered"]) == ("main", ["berlin"], 5, True)
    assert (made["logLevel"], made["retryScheduleS"], made["signatureScheme"]) == ("failures", [1.0, 2.5], "v1a")
    assert (changed["isOrdered"], changed["isDisabled"], changed["channels"]) == (False, True, ["berlin"])
    assert (shown["id"], shown["url"], shown["headers"]) == (made["id"], "https://hooks.example.com/v2", ["x-one"])
    assert (shown["secret"], shown["secret"][:5]) == (made["secret"], "whpk_")
    assert "secret" not in command("endpoints", "show", "main", "--tenant", "acme", "--json").value


def test_a_secret_is_rotated_and_the_old_one_stays_for_a_while(command: Command) -> None:
    made = command(*CREATE, "--uid", "main", "--json").value

    rotated = command("endpoints", "rotate", "main", "--tenant", "acme", "--json").value["secret"]

    assert rotated != made["secret"]
    assert command("endpoints", "show", "main", "--tenant", "acme", "--secret", "--json").value["secret"] == rotated
    refused = command("endpoints", "rotate", "main", "--tenant", "acme", "--secret", "short", "--json")
    assert refused.value["error"]["code"] == "input.secret"
    assert command("endpoints", "rotate", "main", "--tenant", "acme", "--grace-s", "-1").code == 1


def test_the_numbers_of_an_endpoint_are_counted(command: Command) -> None:
    command(*CREATE, "--uid", "main")

    rows = command("endpoints", "stats", "main", "--tenant", "acme", "--since", "2026-01-01", "--json").value["data"]

    assert rows == [
        {"of": "messages", "success": 0, "pending": 0, "sending": 0, "fail": 0, "canceled": 0},
        {"of": "attempts", "success": 0, "fail": 0, "canceled": 0},
    ]
    assert command("endpoints", "stats", "none", "--tenant", "acme").code == 4


def test_an_endpoint_whose_header_is_refused_is_not_made(command: Command) -> None:
    done = command(*CREATE, "--header", "webhook-id: mine", "--json")

    assert (done.code, done.value["error"]["code"]) == (1, "input.header")
    assert command("endpoints", "list", "--tenant", "acme", "--json").value["data"] == []


def test_a_template_makes_the_bodies_until_it_is_taken_away(command: Command, tmp_path: Path) -> None:
    (tmp_path / "template.json").write_text('{"text": "{{ data.note }}"}')
    made = command(*CREATE, "--uid", "main", "--template", "@template.json", "--json").value
    update = ("endpoints", "update", "main", "--tenant", "acme", "--json")

    refused = command(*update, "--template", "function handler() {}")
    kept = command(*update, "--description", "words").value
    taken = command(*update, "--template", "").value

    assert (made["isTransformed"], kept["isTransformed"], taken["isTransformed"]) == (True, True, False)
    assert (refused.code, refused.value["error"]["code"]) == (1, "input.field")
