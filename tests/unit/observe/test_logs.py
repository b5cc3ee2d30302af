"""One line for each thing told: readable on a terminal, JSON elsewhere, never a secret, never two lines."""

import io
import json
import logging

import pytest
import structlog

from rowcast.core.telemetry import listening, tell
from rowcast.observe.logs import Level, Log, LogSettings, bridged, level_of, settings_for
from rowcast.testing.fake_clock import FakeClock


def _lines(stream: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def _log(stream: io.StringIO, clock: FakeClock, level: Level = "info", lines_per_second: int = 200) -> Log:
    return Log(stream, clock=clock, settings=LogSettings(level=level, lines_per_second=lines_per_second))


def test_what_is_told_is_one_line_of_json(clock: FakeClock) -> None:
    stream = io.StringIO()

    with listening(_log(stream, clock).hear):
        tell("delivery.settled", status="waiting", reason="http_503", attempt=3, due_in_s=20.0)

    assert stream.getvalue() == (
        '{"timestamp":"2026-01-01T00:00:00.000Z","level":"info","event":"delivery.settled",'
        '"status":"waiting","reason":"http_503","attempt":3,"due_in_s":20.0}\n'
    )


def test_a_fact_never_takes_the_place_of_the_lines_own_words(clock: FakeClock) -> None:
    stream = io.StringIO()

    _log(stream, clock).hear(
        "real.name", {"event": "forged", "level": "forged", "timestamp": "forged", "facts": "kept"}
    )

    (line,) = _lines(stream)
    assert line == {"timestamp": "2026-01-01T00:00:00.000Z", "level": "info", "event": "real.name", "facts": "kept"}


@pytest.mark.parametrize("is_pretty", [True, False])
def test_a_forged_line_break_or_colour_stays_inside_its_line(clock: FakeClock, is_pretty: bool) -> None:
    stream = io.StringIO()
    log = Log(stream, clock=clock, settings=LogSettings(is_pretty=is_pretty))

    log.hear("login.refused", {"user": "bob\r\n2026 info login.accepted user=root\x1b[2K\u2028"})

    assert len(stream.getvalue().splitlines()) == 1
    assert "\x1b" not in stream.getvalue()


@pytest.mark.parametrize("is_pretty", [True, False])
def test_secrets_are_redacted_in_both_forms(clock: FakeClock, is_pretty: bool) -> None:
    stream = io.StringIO()
    log = Log(stream, clock=clock, settings=LogSettings(is_pretty=is_pretty))

    log.hear("store.failed", {"dsn": "hunter2", "error": "postgresql://app:hunter2@db refused", "api_key": "hunter2"})

    assert "hunter2" not in stream.getvalue()
    assert "[redacted]" in stream.getvalue()


@pytest.mark.parametrize(
    ("name", "level"),
    [
        ("delivery.settled", "info"),
        ("bus.crashed", "error"),
        ("bus.subscriber_crashed", "error"),
        ("router.live_failed", "warning"),
        ("bus.gap", "warning"),
        ("broadcast.sent", "debug"),
        ("embedded.started", "info"),
    ],
)
def test_a_names_end_says_how_loud_it_is(name: str, level: Level) -> None:
    assert level_of(name) == level


def test_lines_below_the_least_level_are_not_written(clock: FakeClock) -> None:
    stream = io.StringIO()
    log = _log(stream, clock, level="warning")

    log.hear("embedded.started", {})
    log.hear("bus.gap", {})

    assert [line["event"] for line in _lines(stream)] == ["bus.gap"]


def test_a_flood_of_one_name_is_cut_and_the_next_second_says_by_how_much(clock: FakeClock) -> None:
    stream = io.StringIO()
    log = _log(stream, clock, lines_per_second=2)

    for _ in range(5):
        log.hear("bus.gap", {})
    log.hear("embedded.started", {})
    clock.tick(1.0)
    log.hear("bus.gap", {})

    lines = _lines(stream)
    assert [line["event"] for line in lines] == ["bus.gap", "bus.gap", "embedded.started", "log.dropped", "bus.gap"]
    assert (lines[3]["name"], lines[3]["count"]) == ("bus.gap", 3)


def test_what_the_context_binds_is_on_every_line(clock: FakeClock) -> None:
    stream = io.StringIO()

    with structlog.contextvars.bound_contextvars(tenant_id="acme"):
        _log(stream, clock).hear("event.routed", {})

    assert _lines(stream)[0]["tenant_id"] == "acme"


def test_libraries_that_use_the_standard_library_come_out_the_same_way(clock: FakeClock) -> None:
    stream = io.StringIO()
    before = logging.root.handlers[:]

    with bridged(_log(stream, clock)):
        try:
            raise ValueError("bad\nvalue")
        except ValueError:
            logging.getLogger("some.library").exception("it failed for %s", "Bearer abcdefghijk")
        logging.getLogger("some.library").debug("too quiet")

    (line,) = _lines(stream)
    assert (line["event"], line["level"], line["logger"]) == ("library.said", "error", "some.library")
    assert (line["error"], line["sentence"]) == ("ValueError", "bad\\u000avalue")
    assert line["message"] == "it failed for [redacted]"
    assert logging.root.handlers == before


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_gets_a_pretty_form_and_colour_unless_it_wants_none() -> None:
    assert settings_for(_Terminal(), {}) == LogSettings(is_pretty=True, is_colored=True)
    assert settings_for(_Terminal(), {"NO_COLOR": "1"}) == LogSettings(is_pretty=True, is_colored=False)
    assert settings_for(io.StringIO(), {}) == LogSettings()
