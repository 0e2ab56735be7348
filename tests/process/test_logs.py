"""Log lines: one an event whatever the values hold, without secrets, and not too many."""

import contextlib
import io
import json
import logging
import os
import re
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, TextIO

import pytest
import structlog

from sidecar.config import Secret
from sidecar.process.logs import Lines, OutageReasons, RateLimit, configure


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    """Leave logging as it was found; pytest's own handlers belong to it."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    root.handlers = []
    yield
    root.handlers = handlers
    root.setLevel(level)
    structlog.reset_defaults()


def logged(format: str, event: str = "event rejected", stream: io.StringIO | None = None, **fields: Any) -> str:
    """Log one event at info and return what came out."""
    stream = stream or io.StringIO()
    configure("info", format, Lines(stream))
    structlog.get_logger().info(event, **fields)
    return stream.getvalue()


def test_a_json_line_has_time_level_event_and_fields() -> None:
    line = json.loads(logged("json", reason="not_json", count=3, ratio=0.5, names=("a", "b"), none=None))
    time = datetime.fromisoformat(line.pop("timestamp"))
    assert abs((datetime.now(UTC) - time).total_seconds()) < 60
    assert line == {
        "level": "info",
        "event": "event rejected",
        "reason": "not_json",
        "count": 3,
        "ratio": 0.5,
        "names": ["a", "b"],
        "none": None,
    }


def test_auto_is_for_people_on_a_terminal_and_json_otherwise() -> None:
    assert logged("auto").startswith('{"timestamp"')
    assert "{" not in logged("auto", stream=Terminal())


def test_a_console_line_is_readable() -> None:
    line = logged("console", reason="not_json", detail="two words", count=3)
    assert re.fullmatch(r'\d\d:\d\d:\d\d info     event rejected +reason=not_json detail="two words" count=3\n', line)


def test_colours_are_for_terminals_that_want_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert "\x1b[32m" in logged("console", stream=Terminal())
    assert "\x1b" not in logged("console")
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b" not in logged("console", stream=Terminal())


NASTY = ["a\nb", "a\r\nb", "\x1b[2Jx", "\x00", "\x9b31m", "a\u2028b", "\u202eb", "\udc80", 'a"b', "a=b", "\x85", "\\n"]


@pytest.mark.parametrize("format", ["json", "console"])
@pytest.mark.parametrize("text", NASTY, ids=ascii)
def test_no_value_can_break_a_line_or_reach_the_terminal(format: str, text: str) -> None:
    line = logged(format, text, value=text, inside={"list": [text]}, data=text.encode(errors="replace"))
    assert line.endswith("\n")
    assert line.removesuffix("\n").isprintable()
    if format == "json":
        assert json.loads(line)["value"] == text


@pytest.mark.parametrize("value", [float("nan"), float("inf"), {1: {2}}, b"\xff", logging])
def test_any_value_makes_valid_json(value: object) -> None:
    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    assert "value" in json.loads(logged("json", value=value), parse_constant=refuse)


@pytest.mark.parametrize("format", ["json", "console"])
def test_secrets_and_passwords_in_urls_are_not_logged(format: str) -> None:
    line = logged(
        format,
        "connected to redis://ann:hunter2@shop",
        url="rediss://:hunter2@shop/0",
        token=Secret("hunter2"),
        inside=[{"token": Secret("hunter2")}],
        error=ConnectionError("redis://ann:hunter2@shop is gone"),
    )
    assert "hunter2" not in line
    assert "ann" in line


def test_a_traceback_is_one_field_in_json_and_indented_for_people() -> None:
    def fail(format: str) -> str:
        stream = io.StringIO()
        configure("info", format, Lines(stream))
        try:
            raise ValueError("first\n12:00:00 info forged")
        except ValueError:
            structlog.get_logger().exception("cannot go on")
        return stream.getvalue()

    assert "ValueError: first" in json.loads(fail("json"))["exception"]
    lines = fail("console").splitlines()
    assert lines[0].endswith("cannot go on")
    assert all(line.startswith("    ") for line in lines[1:])


def test_what_libraries_log_takes_the_same_way_from_warning_on() -> None:
    stream = io.StringIO()
    configure("info", "json", Lines(stream))
    logging.getLogger("a.library").info("a request")
    logging.getLogger("a.library").warning("Error %s\n", 400)
    line = json.loads(stream.getvalue())
    assert (line["level"], line["event"], line["logger"]) == ("warning", "Error 400\n", "a.library")


@pytest.mark.parametrize(("level", "count"), [("debug", 3), ("info", 2), ("warning", 1), ("critical", 0)])
def test_the_level_is_the_least_that_is_shown(level: str, count: int) -> None:
    stream = io.StringIO()
    configure(level, "json", Lines(stream))
    log = structlog.get_logger()
    log.debug("one")
    log.info("two")
    log.warning("three")
    assert len(stream.getvalue().splitlines()) == count


def test_a_stream_that_takes_no_more_stops_nobody() -> None:
    stream = io.StringIO()
    configure("info", "json", Lines(stream))
    stream.close()
    structlog.get_logger().info("into the void")


def test_a_repeated_event_is_let_through_once_in_a_while_with_the_count_of_the_others() -> None:
    limit = RateLimit(every_seconds=10)
    assert [limit.allow("a", now) for now in (0, 1, 9.9, 10, 11, 30)] == [0, None, None, 2, None, 1]


def test_keys_are_limited_apart_from_each_other() -> None:
    limit = RateLimit(every_seconds=10)
    assert [limit.allow(key, 0) for key in "aab"] == [0, None, 0]


def test_a_clock_set_back_does_not_silence_for_longer_than_it_was_set_back() -> None:
    limit = RateLimit(every_seconds=10)
    limit.allow("a", 1000)
    assert limit.allow("a", 900) is None
    assert limit.allow("a", 1010) == 1


def test_the_keys_remembered_are_bounded() -> None:
    limit = RateLimit(every_seconds=10, max_keys=2)
    assert [limit.allow(key, 0) for key in "abcbca"] == [0, 0, 0, None, None, 0]


def test_another_reason_is_reported_and_an_alternating_one_only_once_in_a_while() -> None:
    reasons = OutageReasons()
    heard = [(0, "gone"), (1, "gone"), (2, "wrong password"), (3, "gone"), (4, "at :1"), (5, "at :2"), (70, "gone")]
    assert [text for now, text in heard if reasons.changed(text, now)] == ["gone", "wrong password", "at :1", "gone"]


@pytest.fixture
def pipe() -> Iterator[tuple[int, TextIO]]:
    """Our end of a pipe, and theirs as a stream."""
    ours, theirs = os.pipe()
    with os.fdopen(theirs, "w") as stream:
        yield ours, stream
    with contextlib.suppress(OSError):
        os.close(ours)


def test_a_reader_that_is_stuck_costs_lines_and_no_time(pipe: tuple[int, TextIO]) -> None:
    ours, stream = pipe
    lines = Lines(stream)
    began = time.monotonic()
    while lines.dropped < 10:
        lines.info("x" * 10_000)
    assert time.monotonic() - began < 1
    while len(os.read(ours, 1 << 20)) == 1 << 20:
        pass
    lines.info("after")
    assert os.read(ours, 100) == b"\nafter\n", "a line that was torn does not spoil the next"


def test_a_reader_that_is_gone_costs_lines_and_leaves_nothing_to_fail_at_the_end(pipe: tuple[int, TextIO]) -> None:
    ours, stream = pipe
    os.close(ours)
    lines = Lines(stream)
    lines.info("into the void")
    assert lines.dropped == 1
    stream.flush()


def test_a_full_disk_costs_lines() -> None:
    with open("/dev/full", "w") as stream:
        lines = Lines(stream)
        lines.info("no space")
        assert lines.dropped == 1
