"""The last hour by the second, as it is committed."""

import pytest

from sidecar.core.counts.history import seconds_of
from sidecar.core.counts.parts import Minute
from sidecar.core.counts.state import State

T0 = 1_790_000_040  # a whole minute


def state() -> State:
    found = State()
    for start, second, value in ((T0, T0 + 59, 3), (T0 + 60, T0 + 60, 4), (T0 + 180, T0 + 181, 5)):
        minute = found.minutes.setdefault(start, Minute())
        minute.finished[second], minute.waiting[second], minute.connections[second] = value, 10 * value, 100 * value
    return found


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [
        (T0, T0 + 200, {T0 + 59: 3, T0 + 60: 4, T0 + 181: 5}),
        (T0 + 60, T0 + 181, {T0 + 60: 4, T0 + 181: 5}),
        (T0 + 59, T0 + 59, {T0 + 59: 3}),
        (T0 + 61, T0 + 180, {}),
        (T0 + 60, T0, {}),
    ],
)
def test_the_seconds_asked_for_and_no_other(start: int, end: int, expected: dict[int, int]) -> None:
    assert seconds_of(state(), "throughput", start, end) == expected


@pytest.mark.parametrize(("metric", "value"), [("throughput", 3), ("queue_length", 30), ("active_connections", 300)])
def test_each_metric_has_its_own_values(metric: str, value: int) -> None:
    assert seconds_of(state(), metric, T0, T0 + 59) == {T0 + 59: value}
