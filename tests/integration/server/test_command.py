"""What every command shares: the place it works on, and its arguments."""

import io
import sys
import uuid
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest
import typer

from rowcast.core.errors import ConfigError, NotFoundError
from rowcast.server.command import (
    Place,
    command_packs,
    database_url,
    narrowed,
    parsed_headers,
    parsed_json,
    parsed_time,
    parsed_uuid,
    run,
    running_instance,
    secret_argument,
)
from rowcast.server.instance import write_instance
from tests.integration.server.test_cli_look import instance


@pytest.fixture(autouse=True)
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_a_later_flag_wins_and_an_absent_one_changes_nothing() -> None:
    place = Place(database_url="a", folder=Path("x"))

    assert narrowed(place, database=None, config=None, data=None) == place
    assert narrowed(place, database="b", config=None, data=Path("y")) == Place(database_url="b", folder=Path("y"))


def test_the_database_is_the_setting_before_the_running_development_server(tmp_path: Path) -> None:
    write_instance(tmp_path, instance("postgresql://dev/x", tmp_path))

    assert database_url(Place(folder=tmp_path)) == "postgresql://dev/x"
    assert database_url(Place(folder=tmp_path, database_url="postgresql://named/x")) == "postgresql://named/x"
    with pytest.raises(ConfigError):
        database_url(Place(folder=tmp_path / "nothing"))


def test_the_sample_shop_is_declared_only_where_the_development_server_shows_it(tmp_path: Path) -> None:
    here = instance("postgresql://dev/x", tmp_path)

    write_instance(tmp_path, here)
    without = command_packs(Place(folder=tmp_path))
    write_instance(tmp_path, msgspec.structs.replace(here, is_sampled=True))

    assert [pack.name for pack in without] == []
    assert [pack.name for pack in command_packs(Place(folder=tmp_path))] == ["sample_shop"]
    assert command_packs(Place(folder=tmp_path, database_url="postgresql://named/x")) == ()
    assert running_instance(Place(folder=tmp_path / "nothing")) is None


def test_json_is_read_from_the_word_a_file_or_standard_input(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "x.json").write_text("[1]")
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"[2]")))

    assert (parsed_json("[0]"), parsed_json("@x.json"), parsed_json("-")) == ([0], [1], [2])
    for text in ("{", "@none", ""):
        with pytest.raises(typer.BadParameter):
            parsed_json(text)


def test_an_id_must_be_a_uuid() -> None:
    assert parsed_uuid(str(uuid.UUID(int=7))) == uuid.UUID(int=7)
    with pytest.raises(typer.BadParameter):
        parsed_uuid("7")


def test_a_refusal_in_a_group_becomes_its_exit_code(capsys: pytest.CaptureFixture[str]) -> None:
    async def command() -> None:
        raise ExceptionGroup("tasks", [NotFoundError("There is no such thing.")])

    with pytest.raises(typer.Exit) as ended:
        run(Place(), command)

    assert ended.value.exit_code == 4
    assert capsys.readouterr().err == "rowcast: There is no such thing.\n         (input.not_found)\n"


def test_a_secret_is_its_text_or_the_file_that_it_names(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("whsec_x\n")

    assert (secret_argument("whsec_y"), secret_argument(f"@{tmp_path / 'key'}")) == ("whsec_y", "whsec_x")
    with pytest.raises(typer.BadParameter, match="cannot be read"):
        secret_argument(f"@{tmp_path / 'none'}")


@pytest.mark.parametrize("text", ["2026-11-21T20:00:00", "2026-11-21T21:00:00+01:00", "1795291200"])
def test_a_time_is_iso_8601_or_seconds_and_utc_without_a_zone(text: str) -> None:
    assert parsed_time(text) == datetime(2026, 11, 21, 20, tzinfo=UTC)


@pytest.mark.parametrize("text", ["yesterday", "9" * 30, ""])
def test_what_is_no_time_is_a_bad_argument(text: str) -> None:
    with pytest.raises(typer.BadParameter, match="is no time"):
        parsed_time(text)


def test_headers_are_written_as_lines_of_name_and_value(tmp_path: Path) -> None:
    (tmp_path / "more").write_text("X-One: 1\n\nauthorization: Bearer a:b\n")

    assert parsed_headers(["X-Zero: 0", f"@{tmp_path / 'more'}"]) == {
        "X-Zero": "0", "X-One": "1", "authorization": "Bearer a:b",
    }  # fmt: skip
    with pytest.raises(typer.BadParameter, match="name: value"):
        parsed_headers(["no colon"])
