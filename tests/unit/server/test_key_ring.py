"""Which keys seal: those of the settings, or the one of the development server whose database a command works on."""

import os
from pathlib import Path

import pytest

from rowcast.core.errors import ConfigError
from rowcast.core.telemetry import listening
from rowcast.server.command import Place
from rowcast.server.dev_folder import development_keys
from rowcast.server.instance import Instance, write_instance
from rowcast.server.key_ring import command_ring, key_ring, sealed_by, tell_unsealed
from rowcast.server.settings import Settings, load_settings, shown_value
from rowcast.webhooks.sealing import SealKey, parse_key, written_key

ONE, TWO = written_key(SealKey("one", b"1" * 32)), written_key(SealKey("two", b"2" * 32))
URL = "postgresql://127.0.0.1/shop"


def settings_with(**variables: str) -> Settings:
    return load_settings(environment=variables).settings


def running(folder: Path, database_url: str) -> Instance:
    """Write what a running development server writes: this process is alive."""
    words = dict.fromkeys(("api_url", "websocket_url", "live_url", "catcher_url", "anon_key", "service_key"), "x")
    more = {"user_token": "x", "api_key": "x", "tenant_id": "acme", "data_folder": str(folder)}
    instance = Instance(pid=os.getpid(), database_url=database_url, is_sampled=False, **words, **more)
    write_instance(folder, instance)
    return instance


def test_keys_come_from_one_variable_separated_by_commas() -> None:
    assert key_ring(settings_with(ROWCAST_SECRETS__KEYS=f"{ONE}, {TWO}")).names == ("one", "two")


def test_keys_come_from_a_file_a_line_each(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_text(f"{TWO}\n{ONE}\n")

    assert key_ring(settings_with(ROWCAST_SECRETS__KEYS_FILE=str(file))).names == ("two", "one")


def test_keys_come_from_the_settings_file(tmp_path: Path) -> None:
    file = tmp_path / "rowcast.toml"
    file.write_text(f'[secrets]\nkeys = ["{ONE}"]\n')

    assert key_ring(load_settings(environment={}, file=file).settings).names == ("one",)


def test_without_keys_the_ring_seals_nothing_and_it_is_told_once() -> None:
    heard: list[str] = []

    with listening(lambda name, facts: heard.append(name)):
        tell_unsealed(settings_with())
        tell_unsealed(settings_with(ROWCAST_SECRETS__KEYS=ONE))

    assert key_ring(settings_with()).first_name is None
    assert heard == ["secret.values_exposed"]


def test_a_key_that_cannot_be_read_is_refused_when_the_ring_is_made() -> None:
    with pytest.raises(ConfigError) as refused:
        key_ring(settings_with(ROWCAST_SECRETS__KEYS="one:short"))

    assert refused.value.code == "config.seal_keys"


def test_keys_are_never_shown() -> None:
    settings = settings_with(ROWCAST_SECRETS__KEYS=f"{ONE},{TWO}")

    shown = shown_value(settings, "secrets.keys") + repr(settings) + str(settings.secrets)
    assert ONE.partition(":")[2] not in shown


def test_settings_keep_keys_of_their_own() -> None:
    assert key_ring(sealed_by(settings_with(), TWO)).names == ("two",)
    assert key_ring(sealed_by(settings_with(ROWCAST_SECRETS__KEYS=ONE), TWO)).names == ("one",)


def test_a_command_uses_the_key_of_the_development_server_on_its_database_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ROWCAST_SECRETS__KEYS", raising=False)
    own = parse_key(development_keys(tmp_path).seal_key)
    running(tmp_path, URL)

    sealed = command_ring(Place(database_url=URL, folder=tmp_path)).seal(b"x", context="c")
    assert key_ring(sealed_by(settings_with(), written_key(own))).open(sealed, context="c") == b"x"
    assert command_ring(Place(database_url=URL + "2", folder=tmp_path)).names == ()
    assert command_ring(Place(database_url=URL, folder=tmp_path / "nowhere")).names == ()
