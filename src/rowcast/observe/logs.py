"""What is told, as log lines: pretty on a terminal, JSON otherwise; no secrets, one line each whatever is in it."""

import logging
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from typing import Any, Literal, TextIO

import msgspec
import structlog

from rowcast.core.clock import Clock
from rowcast.core.telemetry import Value
from rowcast.observe.words import clean

Level = Literal["debug", "info", "warning", "error"]

_RANK: dict[Level, int] = {"debug": 10, "info": 20, "warning": 30, "error": 40}
# Said so often, or so surely part of a normal day, that only somebody who looks for it wants to read it.
_DEBUG = frozenset(
    {
        "broadcast.sent",
        "broadcast.dropped",
        "channel.joined",
        "frame.refused",
        "socket.opened",
        "socket.closed",
        "relay.batch_settled",
    }
)
# A person must act.
_ERROR_ENDS = ("crashed", "corrupt")
# Worth a look when it does not go away.
_WARNING_ENDS = frozenset(
    "failed interrupted lost dropped gap slow refused unreachable delayed overdue disabled stale large exposed".split()
)


def level_of(name: str) -> Level:
    """Give how loudly a told name is said, by how it ends: an expected failure of a delivery stays `info`."""
    if name in _DEBUG:
        return "debug"
    end = name.rpartition(".")[2].rpartition("_")[2]
    return "error" if end in _ERROR_ENDS else "warning" if end in _WARNING_ENDS else "info"


class LogSettings(msgspec.Struct, frozen=True):
    """How to write: the least level, pretty or JSON, and the most lines a second of one name (0: as many as come)."""

    level: Level = "info"
    is_pretty: bool = False
    is_colored: bool = False
    lines_per_second: int = 200


def settings_for(stream: TextIO, environment: Mapping[str, str], *, level: Level = "info") -> LogSettings:
    """Give the settings that fit a stream: pretty on a terminal, in colour unless NO_COLOR is set."""
    is_terminal = stream.isatty()
    return LogSettings(level=level, is_pretty=is_terminal, is_colored=is_terminal and not environment.get("NO_COLOR"))


class Log:
    """Writes what is told to a stream: `listening(log.hear)`."""

    def __init__(self, stream: TextIO, *, clock: Clock, settings: LogSettings | None = None) -> None:
        """Take the stream to write to; it stays the caller's."""
        self._settings = settings or LogSettings()
        self._clock = clock
        self._least = _RANK[self._settings.level]
        self._gate = _Gate(self._settings.lines_per_second)
        self._logger = structlog.wrap_logger(
            structlog.WriteLogger(stream),
            processors=[structlog.contextvars.merge_contextvars, _flat, _cleaned, _renderer(self._settings)],
            wrapper_class=structlog.BoundLogger,
            context_class=dict,
            cache_logger_on_first_use=True,
        ).bind()

    def hear(self, name: str, facts: Mapping[str, Value]) -> None:
        """Listen to `core/telemetry`: write one line, or none below the least level."""
        self.write(name, level_of(name), facts)

    def write(self, name: str, level: Level, facts: Mapping[str, Value]) -> None:
        """Write one line at a level; a flood of one name is cut, and the next second says by how much."""
        if _RANK[level] < self._least:
            return
        is_open, dropped = self._gate.ask(name, self._clock.monotonic_s())
        if dropped:
            self._put("log.dropped", "warning", {"name": name, "count": dropped})
        if is_open:
            self._put(name, level, facts)

    def _put(self, name: str, level: Level, facts: Mapping[str, Value]) -> None:
        at = self._clock.now().isoformat(timespec="milliseconds").replace("+00:00", "Z")
        self._logger.msg(name, timestamp=at, level=level, facts=facts)


class _Gate:
    """Lets a number of lines a second of each name through and counts the others."""

    __slots__ = ("_dropped", "_limit", "_passed", "_second")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._second = -1
        self._passed: dict[str, int] = {}
        self._dropped: dict[str, int] = {}

    def ask(self, name: str, now_s: float) -> tuple[bool, int]:
        """Tell whether a line may pass, and how many of that name were cut since the last one that did."""
        if not self._limit:
            return True, 0
        if int(now_s) != self._second:
            self._second, self._passed = int(now_s), {}
        passed = self._passed[name] = self._passed.get(name, 0) + 1
        if passed > self._limit:
            self._dropped[name] = self._dropped.get(name, 0) + 1
            return False, 0
        return True, self._dropped.pop(name, 0)


def _flat(logger: object, method: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Put the facts beside the rest; whatever they are called, they never take the place of the line's own words."""
    facts = line.pop("facts")
    return {**facts, **line}


def _cleaned(logger: object, method: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    return {key: clean(key, value) for key, value in line.items()}


def _renderer(settings: LogSettings) -> Callable[[Any, str, MutableMapping[str, Any]], str]:
    if settings.is_pretty:
        return structlog.dev.ConsoleRenderer(colors=settings.is_colored, sort_keys=False)
    return lambda logger, method, line: msgspec.json.encode(_ordered(line)).decode()


def _ordered(line: Mapping[str, Any]) -> dict[str, Any]:
    """Put what every line has first, so that a file of lines reads as a table."""
    first = {key: line[key] for key in ("timestamp", "level", "event")}
    return {**first, **{key: value for key, value in line.items() if key not in first}}


class _Bridge(logging.Handler):
    """Writes what libraries say through the standard library as lines of ours."""

    def __init__(self, log: Log) -> None:
        super().__init__(logging.INFO)
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record; a traceback becomes the kind of its error and the place it was raised at."""
        levels: dict[int, Level] = {logging.INFO: "info", logging.WARNING: "warning"}
        facts: dict[str, Value] = {"logger": record.name, "message": record.getMessage(), **_error_of(record)}
        self._log.write("library.said", levels.get(record.levelno, "error"), facts)


def _error_of(record: logging.LogRecord) -> dict[str, Value]:
    if not record.exc_info or record.exc_info[1] is None:
        return {}
    error = record.exc_info[1]
    place = error.__traceback__
    while place is not None and place.tb_next is not None:
        place = place.tb_next
    where = f"{place.tb_frame.f_code.co_filename}:{place.tb_lineno}" if place is not None else ""
    return {"error": type(error).__name__, "sentence": str(error), "where": where}


@contextmanager
def bridged(log: Log) -> Iterator[None]:
    """Take over what libraries say through the standard library's `logging` for the time of a block."""
    bridge, root = _Bridge(log), logging.root
    before_level, before_handlers = root.level, root.handlers[:]
    root.handlers[:] = [bridge]
    root.setLevel(logging.INFO)
    try:
        yield
    finally:
        root.handlers[:] = before_handlers
        root.setLevel(before_level)
