from pathlib import Path
from typing import Any

import pytest

from rowcast.core.errors import ConfigError
from rowcast.server.settings import Settings, leaf_names, load_settings, shown_value


def test_defaults_stand_when_nothing_is_set() -> None:
    loaded = load_settings(environment={})

    assert loaded.settings.server.port == 7400
    assert set(loaded.origins.values()) == {"default"}


def test_flags_win_over_the_environment_and_the_environment_over_the_file(tmp_path: Path) -> None:
    file = tmp_path / "rowcast.toml"
    file.write_text('[server]\nport = 1\nhost = "::1"\n[relay]\nlease_s = 5\n')

    loaded = load_settings(
        {"server.port": 3}, environment={"ROWCAST_SERVER__PORT": "2", "ROWCAST_RELAY__LEASE_S": "7"}, file=file
    )

    assert loaded.settings.server.port == 3
    assert loaded.settings.server.host == "::1"
    assert loaded.settings.relay.lease_s == 7
    assert loaded.origins["server.port"] == "flag"
    assert loaded.origins["server.host"] == "file"
    assert loaded.origins["relay.lease_s"] == "environment"


def test_a_flag_that_was_not_given_changes_nothing() -> None:
    assert load_settings({"server.port": None}, environment={}).origins["server.port"] == "default"


@pytest.mark.parametrize("variable", ["ROWCAST_PORT", "ROWCAST_SERVER__PROT", "ROWCAST_NOTHING__AT_ALL"])
def test_an_unknown_name_in_the_environment_is_refused(variable: str) -> None:
    with pytest.raises(ConfigError, match=f"sets '{variable}'") as refused:
        load_settings(environment={variable: "1"})

    assert refused.value.code == "config.unknown_setting"


def test_an_unknown_name_in_the_file_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "rowcast.toml"
    file.write_text("[server]\nprot = 1\n")

    with pytest.raises(ConfigError, match="prot") as refused:
        load_settings(environment={}, file=file)

    assert refused.value.code == "config.unknown_setting"


def test_a_value_of_the_wrong_kind_is_refused_with_its_name() -> None:
    with pytest.raises(ConfigError, match=r"server\.port") as refused:
        load_settings(environment={"ROWCAST_SERVER__PORT": "many"})

    assert refused.value.code == "config.value"


def test_a_wrong_secret_does_not_show_in_the_refusal() -> None:
    with pytest.raises(ConfigError) as refused:
        load_settings({"database.url": ["hunter2"]}, environment={})

    assert "hunter2" not in str(refused.value)


def test_a_file_that_is_named_but_missing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as refused:
        load_settings(environment={"ROWCAST_CONFIG": str(tmp_path / "none.toml")})

    assert refused.value.code == "config.file"


def test_a_file_that_is_not_toml_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "rowcast.toml"
    file.write_text("server = = 1")

    with pytest.raises(ConfigError) as refused:
        load_settings(environment={}, file=file)

    assert refused.value.code == "config.file"


def test_a_secret_can_be_read_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text("postgresql://app:pw@db/app\n")

    loaded = load_settings(environment={"ROWCAST_DATABASE__URL_FILE": str(file)})

    assert loaded.settings.database.url is not None
    assert loaded.settings.database.url.get_secret_value() == "postgresql://app:pw@db/app"


def test_a_secret_is_never_shown() -> None:
    settings = load_settings({"database.url": "postgresql://app:hunter2@db/app"}, environment={}).settings

    assert "hunter2" not in shown_value(settings, "database.url")
    assert "hunter2" not in repr(settings)


def test_lists_are_comma_separated_in_the_environment() -> None:
    loaded = load_settings(
        environment={"ROWCAST_PACKS": "shop:pack, other.events:pack", "ROWCAST_SERVER__ROLES": "relay"}
    )

    assert loaded.settings.packs == ("shop:pack", "other.events:pack")
    assert loaded.settings.server.roles == ("relay",)


def test_an_unknown_role_is_refused() -> None:
    with pytest.raises(ConfigError) as refused:
        load_settings(environment={"ROWCAST_SERVER__ROLES": "relay,cook"})

    assert refused.value.code == "config.value"


def test_every_setting_can_be_shown() -> None:
    settings = load_settings(environment={}).settings

    assert all(isinstance(shown_value(settings, name), str) for name in leaf_names())


@pytest.mark.parametrize("address", ["localhost", "host:", ":80", "host:port", "http://host:80", "a b:80"])
def test_an_exception_of_outgoing_posts_is_a_host_and_a_port(address: str) -> None:
    with pytest.raises(ConfigError, match=r"webhooks\.allow_private"):
        load_settings({"webhooks.allow_private": [address]}, environment={})


def test_what_status_env_gives_is_no_setting_and_no_fault() -> None:
    assert load_settings(environment={"ROWCAST_API_URL": "http://a", "ROWCAST_ANON_KEY": "x"}).settings


def test_a_process_without_a_role_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"server\.roles"):
        load_settings({"server.roles": ()}, environment={})


def test_watched_tables_come_as_tables_of_the_file(tmp_path: Path) -> None:
    file = tmp_path / "rowcast.toml"
    file.write_text('[[watch]]\ntable = "a"\n[[watch]]\ntable = "b"\n')

    loaded = load_settings(environment={}, file=file)

    assert [table["table"] for table in loaded.settings.watch] == ["a", "b"]
    assert loaded.origins["watch"] == "file"


def documented_row(name: str) -> str:
    """Give the row of docs/reference/settings.md that says what the code says of a setting."""
    section: Any = Settings
    *path, leaf = name.split(".")
    for word in path:
        section = section.model_fields[word].annotation
    field = section.model_fields[leaf]
    shown = ", ".join(field.default) if isinstance(field.default, tuple) else field.default
    default = "–" if shown in (None, "") else f"`{str(shown).lower() if isinstance(shown, bool) else shown}`"
    variable = (
        "–"
        if name in ("watch", "channel", "owner", "webhooks.retry", "webhooks.target")
        else f"`ROWCAST_{name.upper().replace('.', '__')}`"
    )
    return f"| `{name}` | {variable} | {default} | {field.description} |"


def test_the_page_of_settings_says_what_the_code_says() -> None:
    page = (Path(__file__).parents[3] / "docs" / "reference" / "settings.md").read_text("utf-8")
    rows = [line for line in page.splitlines() if line.startswith("| `")]

    assert rows == [documented_row(name) for name in leaf_names()]
