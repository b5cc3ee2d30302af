"""One webhook in hand, by the command line."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from standardwebhooks import Webhook

from rowcast.webhooks.asymmetric import new_private_key, public_key
from rowcast.webhooks.signature import secret_text
from tests.integration.server.conftest import Command

SECRET, OTHER = secret_text(b"s" * 32), secret_text(b"o" * 32)
BODY = '{"type": "orders.confirmed"}'


@pytest.fixture
def files(command: Command) -> tuple[str, str]:
    """The body and its headers, each in a file, as somebody saved them."""
    Path("body").write_text(BODY)
    Path("headers").write_text("POST /hook HTTP/1.1\n" + command("webhooks", "sign", "@body", "--secret", SECRET).out)
    return "@body", "@headers"


def test_what_is_signed_verifies_here_and_with_the_public_library(command: Command) -> None:
    made = command("webhooks", "sign", BODY, "--secret", SECRET, "--json").value
    lines = [f"{name}: {value}" for name, value in made.items()]

    done = command(
        "webhooks", "verify", "-", "--secret", SECRET, *(w for line in lines for w in ("--header", line)), stdin=BODY
    )

    assert Webhook(SECRET).verify(BODY, made) == json.loads(BODY)
    assert set(made) == {"webhook-id", "webhook-timestamp", "webhook-signature"}
    assert (done.code, done.out) == (0, f"verified: {made['webhook-id']}\n")


def test_every_secret_of_a_file_signs_and_an_id_and_a_time_may_be_said(command: Command) -> None:
    Path("secrets").write_text(f"{SECRET}\n{new_private_key()}\n")

    made = command(
        "webhooks", "sign", BODY, "--secret", "@secrets", "--id", "msg_7", "--at", "1614265330", "--json"
    ).value

    assert (made["webhook-id"], made["webhook-timestamp"]) == ("msg_7", "1614265330")
    assert [item.partition(",")[0] for item in made["webhook-signature"].split()] == ["v1", "v1a"]


def test_a_public_key_verifies_and_cannot_sign(command: Command) -> None:
    private = new_private_key()
    Path("headers").write_text(command("webhooks", "sign", BODY, "--secret", private).out)

    done = command("webhooks", "verify", BODY, "--secret", public_key(private), "--header", "@headers", "--json")
    refused = command("webhooks", "sign", BODY, "--secret", public_key(private), "--json")

    assert done.value["verified"].startswith("msg_")
    assert refused.value["error"]["code"] == "input.secret"


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("@body", "--secret", OTHER, "--header", "@headers"), "No signature fits"),
        ((BODY + "\n", "--secret", SECRET, "--header", "@headers"), "A line end was added"),
        (('{"type":"orders.confirmed"}', "--secret", SECRET, "--header", "@headers"), "written anew"),
        (("@body", "--secret", SECRET, "--header", "webhook-id: x"), "must all be sent"),
        (("@body", "--secret", SECRET, "--header", "@headers", "--at", "2020-01-01"), "more than 300 s from now"),
    ],
)
def test_what_does_not_verify_is_told_why(
    command: Command, files: tuple[str, str], words: tuple[str, ...], sentence: str
) -> None:
    done = command("webhooks", "verify", *words)

    assert done.code == 6
    assert sentence in done.err


def test_an_old_request_is_looked_at_as_of_its_own_time(command: Command) -> None:
    at = (datetime.now(UTC) - timedelta(days=3)).isoformat()
    Path("headers").write_text(command("webhooks", "sign", BODY, "--secret", SECRET, "--at", at).out)

    assert command("webhooks", "verify", BODY, "--secret", SECRET, "--header", "@headers").code == 6
    assert command("webhooks", "verify", BODY, "--secret", SECRET, "--header", "@headers", "--at", at).code == 0


@pytest.mark.parametrize("words", [("@nowhere", "--secret", SECRET), (BODY, "--secret", SECRET, "--at", "soon")])
def test_what_cannot_be_read_is_wrong_usage(command: Command, words: tuple[str, ...]) -> None:
    assert command("webhooks", "sign", *words).code == 2
