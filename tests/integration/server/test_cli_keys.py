"""Keys by the command line: shown once, listed without their text, ended at once."""

from datetime import UTC, datetime, timedelta

from tests.integration.server.conftest import Command

CREATE = ("keys", "create", "--name", "ci", "--scope", "events:read")


def test_a_key_is_made_listed_and_ended(command: Command) -> None:
    made = command(*CREATE, "--tenant", "acme", "--json").value
    listed = command("keys", "list", "--json").value["data"]
    ended = command("keys", "revoke", made["id"])

    assert made["text"].startswith(made["id"])
    assert [(key["id"], key["tenantId"], key["scopes"]) for key in listed] == [(made["id"], "acme", ["events:read"])]
    assert made["text"] not in str(listed)
    assert ended.out == f"{made['id']} revoked\n"
    assert command("keys", "list", "--json").value["data"][0]["revokedAt"] is not None


def test_a_key_is_shown_to_people_too(command: Command) -> None:
    text = command(*CREATE).out

    assert "rk_" in text
    assert "ci" in command("keys", "list").out


def test_a_key_may_end_by_itself(command: Command) -> None:
    command(*CREATE, "--expires-days", "7")

    expires_at = datetime.fromisoformat(command("keys", "list", "--json").value["data"][0]["expiresAt"])
    assert timedelta(days=6) < expires_at - datetime.now(UTC) <= timedelta(days=7)


def test_a_scope_that_is_none_is_refused_with_those_that_are(command: Command) -> None:
    done = command("keys", "create", "--name", "x", "--scope", "everything", "--json")

    assert (done.code, done.value["error"]["code"]) == (1, "input.scope")
    assert "events:write" in done.value["error"]["detail"]


def test_a_key_that_is_not_in_force_cannot_be_ended(command: Command) -> None:
    made = command(*CREATE, "--json").value
    command("keys", "revoke", made["id"])

    assert command("keys", "revoke", made["id"]).code == 4
    assert command("keys", "revoke", "rk_nothing", "--json").value["error"]["code"] == "input.not_found"


def test_no_key_is_a_sentence(command: Command) -> None:
    assert command("keys", "list").out == "There is no key. Make one with 'rowcast keys create'.\n"
