"""Messages by the command line: sent, checked, listed page by page."""

import pytest

from tests.integration.server.conftest import Command

SEND = ("messages", "send", "orders.paid")
ACME = ("--tenant", "acme", "--json")


def test_messages_are_listed_newest_first_page_by_page(command: Command) -> None:
    ids = [command(*SEND, f'{{"n": {n}}}', *ACME, "--channel", "berlin").value["id"] for n in range(3)]
    command(*SEND, "{}", "--tenant", "other")

    first = command("messages", "list", "--limit", "2", *ACME).value
    second = command("messages", "list", "--limit", "2", "--cursor", first["cursor"], *ACME).value

    assert [each["id"] for each in (*first["data"], *second["data"])] == ids[::-1]
    assert second["cursor"] is None
    assert "There is more: --cursor" in command("messages", "list", "--limit", "2", "--tenant", "acme").out
    assert command("messages", "list", "--channel", "rome", *ACME).value["data"] == []
    assert command("messages", "list", "--until", "2020-01-01", "--tenant", "acme").out == "No message yet.\n"


def test_a_message_is_shown_to_people_with_where_it_stands(command: Command) -> None:
    id_ = command(*SEND, '{"n": 1}', *ACME).value["id"]

    out = command("messages", "show", id_, "--tenant", "acme").out

    assert '{"n": 1}' in out
    assert "owed to no endpoint" in out


def test_one_id_of_the_callers_own_is_sent_once(command: Command) -> None:
    command(*SEND, "{}", "--id", "mine", *ACME)

    done = command(*SEND, "{}", "--id", "mine", *ACME)

    assert (done.code, done.value["error"]["code"]) == (1, "input.conflict")
    assert len(command("messages", "list", *ACME).value["data"]) == 1


@pytest.mark.parametrize(
    ("words", "code", "problem"),
    [
        ([*SEND, "[1]"], 1, "input.payload"),
        ([*SEND, "no json"], 1, "input.not_json"),
        (["messages", "send", "no type!", "{}"], 1, "input.event_type"),
        ([*SEND, "{}", "--channel", "a b"], 1, "input.field"),
        (["messages", "show", "none"], 4, "input.not_found"),
        (["messages", "expunge", "none"], 4, "input.not_found"),
        (["messages", "list", "--cursor", "none"], 2, "input.invalid"),
    ],
)
def test_what_cannot_be_sent_or_found_is_a_sentence(
    command: Command, words: list[str], code: int, problem: str
) -> None:
    done = command(*words, *ACME)

    assert (done.code, done.value["error"]["code"]) == (code, problem)
