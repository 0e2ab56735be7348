"""Numbers as people read them."""

import pytest

from sidecar.cli.view import terminal


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "-"),
        (0, "0"),
        (1234567, "1,234,567"),
        (3.14159, "3.1"),
        (99.96, "100.0"),
        (1234.5, "1,234"),
        (0.04, "0.04"),
        (1e-9, "0.01"),
    ],
)
def test_counts(value: float | None, text: str) -> None:
    assert terminal.count(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "-"),
        (0, "0 µs"),
        (0.25, "250 µs"),
        (1.25, "1.2 ms"),
        (88.2, "88 ms"),
        (1219.9, "1.22 s"),
        (90_000, "1 min 30 s"),
    ],
)
def test_milliseconds(value: float | None, text: str) -> None:
    assert terminal.milliseconds(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "-"),
        (0, "0 s"),
        (45.2, "45 s"),
        (60, "1 min"),
        (132.8, "2 min 13 s"),
        (3600, "1 h"),
        (11_100, "3 h 5 min"),
    ],
)
def test_seconds(value: float | None, text: str) -> None:
    assert terminal.seconds(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "-"),
        (0, "0 %"),
        (1.0, "100 %"),
        (0.999999, "99.99 %"),
        (0.9951, "99.51 %"),
        (0.000001, "0.01 %"),
        (0.123, "12.3 %"),
        (0.0123, "1.23 %"),
    ],
)
def test_what_is_not_quite_0_or_100_percent_does_not_look_so(value: float | None, text: str) -> None:
    assert terminal.share(value) == text


def test_moments_are_in_utc() -> None:
    assert terminal.moment(1_790_000_000.9) == "2026-09-21 14:13:20 UTC"
    assert terminal.moment(None) == "-"
    assert terminal.moment(1e300) == terminal.moment(-1e15) == "-"


def test_a_name_cannot_steer_the_terminal() -> None:
    assert terminal.plain("a\x1b[2Jb\r\n\u202ec") == "a?[2Jb???c"
