"""The flags of `serve` and `dev` reach the settings; a flag that is none is refused."""

from pathlib import Path
from typing import Any

import pytest

from rowcast.server.dev import DevelopmentOptions
from rowcast.server.settings import Loaded, Settings
from tests.integration.server.conftest import Command


def test_the_flags_of_serve_win_over_file_and_environment(
    command: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, dsn: str
) -> None:
    asked: list[tuple[Settings, bool]] = []

    async def serve(settings: Settings, *, is_migrated: bool = False) -> None:
        asked.append((settings, is_migrated))

    monkeypatch.setattr("rowcast.server.production.run_production", serve)
    monkeypatch.setenv("ROWCAST_SERVER__PORT", "2")
    (tmp_path / "rowcast.toml").write_text('[server]\nport = 1\nhost = "::1"\n')

    done = command("serve", "--port", "3", "--roles", "relay, delivery", "--feed", "claim", "--migrate")

    settings, is_migrated = asked[0]
    assert (done.code, is_migrated) == (0, True)
    assert (settings.server.port, settings.server.host) == (3, "::1")
    assert settings.server.roles == ("relay", "delivery")
    assert settings.relay.feed == "claim"
    assert settings.database.url is not None
    assert settings.database.url.get_secret_value() == dsn


@pytest.mark.parametrize(
    ("url", "is_told"),
    [
        ("postgresql://ann:hidden-word@db.example.com/app", True),
        ("postgresql://db.example.com/app?user=ann&password=hidden-word", True),
        ("postgresql://ann@db.example.com/app", False),
        ("postgresql://db.example.com/app", False),
        ("host=db.example.com dbname=app", False),
        ("postgresql://[broken", False),
    ],
)
@pytest.mark.parametrize("verb", ["serve", "dev"])
def test_a_password_on_the_command_line_is_warned_of_once_and_not_repeated(
    command: Command, monkeypatch: pytest.MonkeyPatch, verb: str, url: str, is_told: bool
) -> None:
    async def nothing(*_: Any, **__: Any) -> None:
        return

    monkeypatch.setattr("rowcast.server.production.run_production", nothing)
    monkeypatch.setattr("rowcast.server.dev.run_development", nothing)

    done = command(verb, on=url)
    by_variable = command(verb, on=None)

    assert (done.code, done.err.count("ROWCAST_DATABASE__URL instead")) == (0, int(is_told)), done.err
    assert "hidden-word" not in done.err
    assert by_variable.err == ""


def test_the_flags_of_dev_reach_it(command: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked: list[tuple[Loaded, DevelopmentOptions]] = []

    async def develop(loaded: Loaded, options: DevelopmentOptions) -> None:
        asked.append((loaded, options))

    monkeypatch.setattr("rowcast.server.dev.run_development", develop)

    command("dev", "--port", "5", "--no-sample", "--no-traffic", "--no-open", "--data", "here")

    loaded, options = asked[0]
    assert loaded.settings.server.port == 5
    assert options == DevelopmentOptions(folder=Path("here"), is_sampled=False, is_moving=False, is_opened=False)


def test_a_reset_happens_before_the_start_and_only_after_a_yes(
    command: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    async def develop(*_: Any) -> None:
        assert not (tmp_path / ".rowcast" / "keys.json").exists()

    monkeypatch.setattr("rowcast.server.dev.run_development", develop)
    (tmp_path / ".rowcast").mkdir()
    (tmp_path / ".rowcast" / "keys.json").write_text("{}")

    assert command("dev", "--reset", stdin="n\n").code == 130
    assert (tmp_path / ".rowcast" / "keys.json").exists()
    assert command("dev", "--reset", stdin="y\n").code == 0


@pytest.mark.parametrize("words", [["--port", "70000"], ["--port", "x"], ["--no-such-flag"]])
def test_a_flag_that_cannot_be_is_refused(command: Command, words: list[str]) -> None:
    assert command("serve", *words).code == 2
    assert command("dev", *words).code == 2
