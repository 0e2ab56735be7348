"""Time is read by its size, and without a zone as UTC wherever the machine stands."""

import time
from collections.abc import Iterator
from datetime import datetime

import pytest

from sidecar.core.events.values import seconds, unix_time


@pytest.fixture
def _far_from_utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "XYZ-9")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize(
    ("ts", "expected"),
    [(1e11, 1e11), (2e11, 2e8), (1e14, 1e11), (2e14, 2e8), (1e17, 1e11), (2e17, 2e8), (-1.0, -1.0)],
)
def test_the_size_of_a_time_tells_its_unit(ts: float, expected: float) -> None:
    assert seconds(ts) == pytest.approx(expected)


@pytest.mark.usefixtures("_far_from_utc")
def test_a_moment_without_a_zone_is_utc() -> None:
    assert unix_time(datetime(2026, 9, 21, 14, 13, 20)) == 1_790_000_000.0
