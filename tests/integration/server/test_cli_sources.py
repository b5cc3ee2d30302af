"""Sources by the command line."""

from pathlib import Path

from tests.integration.server.conftest import Command

SECRET = "whsec_a_secret_that_stripe_made"
ADD = ("sources", "add", "stripe", "--tenant", "acme", "--secret", SECRET)


def test_a_source_is_made_listed_and_removed(command: Command) -> None:
    made = command(*ADD, "--json").value
    listed = command("sources", "list", "--tenant", "acme", "--json").value["data"]
    text = command("sources", "list", "--tenant", "acme").out
    removed = command("sources", "remove", made["id"], "--tenant", "acme")

    assert (made["name"], made["path"], made["secrets"]) == ("stripe", f"/in/{made['id']}", [SECRET])
    assert [item["scheme"] for item in listed] == ["stripe"]
    assert "secrets" not in listed[0]
    assert made["path"] in text
    assert removed.out == f"{made['id']} removed\n"
    assert command("sources", "list", "--tenant", "acme").out.startswith("acme has no source.")


def test_a_secret_may_lie_in_a_file_and_options_are_json(command: Command) -> None:
    Path("secret").write_text(f"{SECRET}\n")

    made = command(
        "sources", "add", "hmac", "--tenant", "acme", "--name", "till", "--secret", "@secret",
        "--options", '{"header": "X-Signature", "typeField": "kind"}', "--json",
    ).value  # fmt: skip

    assert made["secrets"] == [SECRET]
    assert (made["name"], made["options"]) == ("till", {"header": "X-Signature", "typeField": "kind"})


def test_a_rotation_prints_the_new_secret(command: Command) -> None:
    made = command("sources", "add", "bearer", "--tenant", "acme", "--json").value

    rotated = command("sources", "rotate", made["id"], "--tenant", "acme", "--grace-s", "60", "--json").value

    assert rotated["secret"] not in made["secrets"]
    assert command("sources", "list", "--tenant", "acme", "--json").value["data"][0]["activeSecrets"] == 2


def test_what_cannot_be_a_source_is_refused_with_its_code(command: Command) -> None:
    for words, code in (
        (("sources", "add", "nobody", "--tenant", "acme"), "input.source"),
        (("sources", "add", "stripe", "--tenant", "acme"), "input.secret"),
        ((*ADD, "--options", '{"colour": "red"}'), "input.source"),
    ):
        done = command(*words, "--json")
        assert (done.code, done.value["error"]["code"]) == (1, code)
    assert command("sources", "remove", "src_nothing", "--tenant", "acme").code == 4
    assert command(*ADD, "--options", "no JSON").code == 2
