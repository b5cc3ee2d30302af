"""The keys that seal, by the command line."""

import pytest

from rowcast.webhooks.sealing import parse_key
from tests.integration.server.conftest import Command

CREATE = ("endpoints", "create", "--tenant", "acme", "--url", "https://hooks.example.com/in", "--json")


@pytest.fixture
def keys(command: Command, monkeypatch: pytest.MonkeyPatch) -> tuple[str, str]:
    """Two keys, made by the command itself; none is in force."""
    monkeypatch.delenv("ROWCAST_SECRETS__KEYS", raising=False)
    one, two = (command("secrets", "new-key", "--name", name).out.strip() for name in ("one", "two"))
    return one, two


def test_a_new_key_is_one_line_that_a_setting_takes(command: Command) -> None:
    made = command("secrets", "new-key")
    told = command("secrets", "new-key", "--name", "spare", "--json").value

    assert parse_key(made.out).name.startswith("key-20")
    assert made.out.count("\n") == 1
    assert parse_key(told["key"]).name == told["name"] == "spare"
    assert parse_key(told["key"]) != parse_key(made.out)


def test_a_name_that_no_key_can_have_is_refused(command: Command) -> None:
    done = command("secrets", "new-key", "--name", "Not a name", "--json")

    assert (done.code, done.value["error"]["code"]) == (3, "config.seal_keys")


def test_keys_are_added_rotated_and_taken_away_and_every_secret_stays(
    command: Command, keys: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = keys
    secret = command(*CREATE).value["secret"]
    unsealed = command("secrets", "status")

    monkeypatch.setenv("ROWCAST_SECRETS__KEYS", one)
    first = command("secrets", "rotate", "--json").value
    monkeypatch.setenv("ROWCAST_SECRETS__KEYS", f"{two},{one}")
    second = command("secrets", "rotate")
    monkeypatch.setenv("ROWCAST_SECRETS__KEYS", two)
    counts = command("secrets", "status", "--json").value

    assert "none, so nothing is sealed" in unsealed.out
    assert "not sealed" in unsealed.out
    assert first == {"firstKey": "one", "sealed": 1, "unopened": 0}
    assert (second.out, second.err) == ("Sealed anew with the key two: 1.\n", "sealed so far: 1\n")
    assert counts == {"keys": ["two"], "data": [{"place": "endpoint_secret", "key": "two", "values": 1}]}
    assert secret.startswith("whsec_")


def test_a_key_taken_away_too_early_is_named_and_nothing_is_lost(
    command: Command, keys: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = keys
    monkeypatch.setenv("ROWCAST_SECRETS__KEYS", one)
    command(*CREATE)
    monkeypatch.setenv("ROWCAST_SECRETS__KEYS", two)

    early = command("secrets", "rotate")
    sick = {each["check"]: each for each in command("doctor", "--json").value["data"]}["secrets"]
    monkeypatch.setenv("ROWCAST_SECRETS__KEYS", f"{two},{one}")
    later = command("secrets", "rotate")

    assert early.code == 1
    assert "Could not be opened: 1;" in early.out
    assert (sick["verdict"], sick["found"]) == ("fail", "sealed by keys that are gone: one")
    assert (later.code, later.out) == (0, "Sealed anew with the key two: 1.\n")


def test_without_a_key_there_is_nothing_to_rotate_to(command: Command, keys: tuple[str, str]) -> None:
    done = command("secrets", "rotate", "--json")

    assert (done.code, done.value["error"]["code"]) == (3, "config.no_seal_key")
