import os
import stat
from pathlib import Path

import pytest

from rowcast.core.errors import ConfigError
from rowcast.server.dev_folder import development_keys, empty_folder, prepare_folder
from rowcast.server.embedded_folder import lock_folder
from rowcast.webhooks.sealing import parse_key


def test_the_folder_is_made_with_its_parents(tmp_path: Path) -> None:
    assert prepare_folder(tmp_path / "a" / "b").is_dir()


def test_nobody_else_lists_the_folder(tmp_path: Path) -> None:
    assert prepare_folder(tmp_path / "a").stat().st_mode & 0o066 == 0


def test_a_folder_that_cannot_be_made_is_refused_with_its_name(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(ConfigError, match="file") as refused:
        prepare_folder(tmp_path / "file" / "folder")

    assert refused.value.code == "config.data_folder"


def test_keys_stay_the_same_between_starts_and_are_their_owners_alone(tmp_path: Path) -> None:
    first = development_keys(tmp_path)

    assert development_keys(tmp_path) == first
    assert first.api_key.startswith("rk_dev_")
    assert stat.S_IMODE((tmp_path / "keys.json").stat().st_mode) == 0o600


def test_a_folder_of_an_older_release_keeps_its_keys_and_gets_the_one_that_seals(tmp_path: Path) -> None:
    (tmp_path / "keys.json").write_text('{"api_key": "rk_dev_kept", "webhook_secret": "whsec_kept"}')

    keys = development_keys(tmp_path)

    assert (keys.api_key, keys.webhook_secret) == ("rk_dev_kept", "whsec_kept")
    assert parse_key(keys.seal_key).name == "dev"
    assert development_keys(tmp_path) == keys


def test_broken_keys_are_made_anew(tmp_path: Path) -> None:
    (tmp_path / "keys.json").write_text("{")

    assert development_keys(tmp_path).webhook_secret.startswith("whsec_")


def test_emptying_removes_what_rowcast_made_and_nothing_else(tmp_path: Path) -> None:
    development_keys(tmp_path)
    (tmp_path / "postgres" / "data").mkdir(parents=True)
    (tmp_path / "instance.json").write_text("{}")
    (tmp_path / "mine.txt").write_text("keep me")

    empty_folder(tmp_path)

    assert [item.name for item in tmp_path.iterdir()] == ["mine.txt"]


def test_a_folder_in_use_is_not_emptied(tmp_path: Path) -> None:
    lock = lock_folder(tmp_path / "postgres")
    try:
        with pytest.raises(ConfigError) as refused:
            empty_folder(tmp_path)
    finally:
        os.close(lock)

    assert refused.value.code == "config.data_locked"
    assert (tmp_path / "postgres").is_dir()


def test_emptying_what_is_not_there_is_no_error(tmp_path: Path) -> None:
    empty_folder(tmp_path / "nothing")
