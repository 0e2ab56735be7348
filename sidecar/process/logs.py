"""The daemon's log: one line per event, for people on a terminal and as JSON everywhere else.

    log = structlog.get_logger()
    log.warning("event rejected", reason="not_json", suppressed=12)

A line stays one line: control characters in values are escaped in both formats. Secrets, and passwords in URLs, are
shown as ***.
"""

import json
import logging
import math
import os
import re
import select
from collections.abc import Mapping
from typing import Any, TextIO

import structlog
from structlog.typing import EventDict

from sidecar.config import LOG_LEVELS, Secret

LEVELS = {name: logging.getLevelNamesMapping()[name.upper()] for name in LOG_LEVELS}
COLOURS = {"debug": "2", "info": "32", "warning": "33", "error": "31", "critical": "31;1"}
URL_PASSWORD = re.compile(r"(?<=://)([^/@\s:]*):[^/@\s]*@")
# Event names are short; aligned fields are easy to scan.
EVENT_WIDTH = 36


def configure(level: str, format: str, lines: "Lines") -> None:
    """Send every log line, including those of libraries, to `lines`; `level` and `format` as in the configuration."""
    terminal = lines.stream.isatty()
    people = format == "console" or (format == "auto" and terminal)
    coloured = people and terminal and not os.environ.get("NO_COLOR")
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="%H:%M:%S" if people else "iso", utc=not people),
            structlog.processors.format_exc_info,
            Console(coloured) if people else render_json,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(LEVELS[level]),
        logger_factory=lambda *_: lines,
        cache_logger_on_first_use=False,
    )
    # Libraries log every request and reconnection at info, which only helps with debugging.
    libraries = LEVELS[level] if level == "debug" else max(LEVELS[level], logging.WARNING)
    logging.basicConfig(level=libraries, handlers=[Forward()], force=True)


class Lines:
    """Write lines to a stream without ever blocking, and count those it does not take.

    A stuck or closed reader, or a full disk, costs log lines; it does not stop the daemon.
    """

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream
        self.dropped = 0
        self._torn = False
        self._poll = _poll_of(stream)

    def msg(self, line: str) -> None:
        """Write the whole line at once, so that lines of threads do not mix."""
        try:
            if self._poll is None:
                self.stream.write(line + "\n")
                self.stream.flush()
            elif not self._write(line.encode(errors="replace") + b"\n", self._poll):
                self.dropped += 1
        except (OSError, ValueError):
            self.dropped += 1  # there is nowhere left to report it

    debug = info = warning = error = critical = msg

    def _write(self, data: bytes, poll: "select.poll") -> bool:
        """Write past Python's buffers, which would keep a failed write; return whether everything was written."""
        if self._torn:
            data = b"\n" + data
        for start in range(0, len(data), select.PIPE_BUF):
            if not poll.poll(0):
                return False
            part = data[start : start + select.PIPE_BUF]
            self._torn = True
            if os.write(self.stream.fileno(), part) < len(part):
                return False
        self._torn = False
        return True


def _poll_of(stream: TextIO) -> "select.poll | None":
    """Return a poll that is ready when the stream takes `PIPE_BUF` bytes; `None` if it has no descriptor."""
    try:
        poll = select.poll()
        poll.register(stream.fileno(), select.POLLOUT)
    except (OSError, ValueError):
        return None
    return poll


class Forward(logging.Handler):
    """Forward what libraries log to structlog."""

    def emit(self, record: logging.LogRecord) -> None:
        fields = {"exc_info": record.exc_info} if record.exc_info else {}
        structlog.get_logger().log(record.levelno, record.getMessage(), logger=record.name, **fields)


def render_json(_logger: object, _method: str, event: EventDict) -> str:
    """Render an event as one line of ASCII JSON: timestamp, level, event, fields."""
    first = {name: event.pop(name) for name in ("timestamp", "level", "event")}
    return json.dumps(plain({**first, **event}))


class Console:
    """Render an event as one line for people; a traceback follows indented."""

    def __init__(self, coloured: bool) -> None:
        self._coloured = coloured

    def __call__(self, _logger: object, _method: str, event: EventDict) -> str:
        time, level, name = event.pop("timestamp"), event.pop("level"), str(event.pop("event"))
        trace = str(plain(event.pop("exception", "")))
        mark = f"\x1b[{COLOURS[level]}m{level:8}\x1b[0m" if self._coloured else f"{level:8}"
        fields = " ".join(f"{key}={_shown(plain(value))}" for key, value in event.items())
        line = f"{time} {mark} {escape(str(plain(name))):{EVENT_WIDTH}} {fields}".rstrip()
        return "".join([line, *(f"\n    {escape(part)}" for part in trace.splitlines())])


def plain(value: Any) -> Any:
    """Return the value as plain JSON types, without secrets; anything else becomes its repr."""
    match value:
        case Secret():
            return "***"
        case str():
            return URL_PASSWORD.sub(r"\1:***@", value)
        case None | bool() | int():
            return value
        case float():
            return value if math.isfinite(value) else repr(value)
        case Mapping():
            return {str(key): plain(item) for key, item in value.items()}
        case list() | tuple() | set() | frozenset():
            return [plain(item) for item in value]
        case _:
            return plain(repr(value))


def escape(text: str) -> str:
    """Escape what a terminal would interpret or people cannot see: control characters, line breaks, direction marks."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def _shown(value: Any) -> str:
    """Return a value, quoted where it has spaces."""
    if not isinstance(value, str):
        return escape(json.dumps(value))
    return escape(value) if re.fullmatch(r'[^\s"=]+', value) else escape(json.dumps(value, ensure_ascii=False))


class RateLimit:
    """Allow one line per key and interval, and count the others.

    Pure: time is an argument. It remembers a bounded number of keys and forgets the one allowed longest ago.
    """

    def __init__(self, every_seconds: float = 10.0, max_keys: int = 1000) -> None:
        self._every = every_seconds
        self._max_keys = max_keys
        self._seen: dict[str, tuple[float, int]] = {}

    def allow(self, key: str, now: float) -> int | None:
        """Return how many lines of this key were suppressed since the last allowed one; `None` suppresses this one."""
        since, suppressed = self._seen.get(key, (-math.inf, 0))
        if now - since < self._every:
            self._seen[key] = (since, suppressed + 1)
            return None
        self._seen.pop(key, None)
        while len(self._seen) >= self._max_keys:
            del self._seen[next(iter(self._seen))]
        self._seen[key] = (now, 0)
        return suppressed


class OutageReasons:
    """Decide which reasons of an outage are new: an operator who fixes one cause must see the next.

    Pure: time is an argument. Reasons that differ only in numbers, such as ports and seconds, are the same. Alternating
    reasons, as of several servers, are new at a bounded rate.
    """

    def __init__(self, every_seconds: float = 60.0) -> None:
        self._limit = RateLimit(every_seconds)
        self._current: str | None = None

    def changed(self, reason: str, now: float) -> bool:
        """Return whether this reason differs from the last one reported."""
        reason = re.sub(r"\d+", "0", reason)
        if reason == self._current or self._limit.allow(reason, now) is None:
            return False
        self._current = reason
        return True
