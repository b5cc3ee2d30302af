import io
import logging
from collections.abc import Iterator

import pytest

from rowcast.core.telemetry import listening
from rowcast.server.parts import hearing_libraries, log_settings
from rowcast.server.settings import load_settings

Told = list[tuple[str, dict[str, object]]]


@pytest.fixture
def told() -> Iterator[Told]:
    heard: Told = []
    with listening(lambda name, facts: heard.append((name, dict(facts)))), hearing_libraries():
        yield heard


def test_a_librarys_warning_is_one_sentence_of_ours(told: Told) -> None:
    try:
        raise OSError("gone")
    except OSError:
        logging.getLogger("some.library").exception("it %s", "broke")

    assert told == [("library.warned", {"library": "some.library", "message": "it broke", "error": "gone"})]


def test_what_a_library_only_mentions_is_not_told(told: Told) -> None:
    logging.getLogger("some.library").info("hello")

    assert told == []


def test_the_drivers_words_for_a_lost_connection_are_not_told_again(told: Told) -> None:
    logging.getLogger("asyncpg.pool").warning("Failed to restore the pool connection")

    assert told == []


def test_afterwards_libraries_are_heard_no_longer() -> None:
    before = list(logging.root.handlers)
    with hearing_libraries():
        pass

    assert logging.root.handlers == before


@pytest.mark.parametrize(("format_name", "is_pretty"), [("auto", False), ("json", False), ("console", True)])
def test_the_log_is_json_where_nobody_looks(monkeypatch: pytest.MonkeyPatch, format_name: str, is_pretty: bool) -> None:
    monkeypatch.setattr("sys.stderr", io.StringIO())
    settings = load_settings({"log.format": format_name, "log.level": "debug"}, environment={}).settings

    chosen = log_settings(settings)

    assert (chosen.is_pretty, chosen.level) == (is_pretty, "debug")
