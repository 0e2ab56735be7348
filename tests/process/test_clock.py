"""Two clocks, and the steps between them."""

import time
from collections.abc import Iterator

import pytest

from sidecar.process.clock import STEP_SECONDS, Clock, steady_seconds


class Machine:
    """Both clocks of a machine, set by hand."""

    def __init__(self) -> None:
        self.wall, self.up = 1_790_000_000.0, 5.0
        self.clock = Clock(lambda: self.wall, lambda: self.up)

    def passes(self, seconds: float) -> None:
        self.wall += seconds
        self.up += seconds


@pytest.mark.parametrize("by", [-86400.0, -20.0, -0.5, 0.5, 20.0, 1_790_000_000.0])
def test_a_step_is_found_once(by: float) -> None:
    machine = Machine()
    machine.passes(3600)
    assert machine.clock.step() == 0.0
    machine.wall += by
    machine.passes(0.5)
    assert machine.clock.step() == pytest.approx(by)
    machine.passes(0.5)
    assert machine.clock.step() == 0.0


def test_small_steps_add_up_to_one() -> None:
    machine = Machine()
    found = []
    for _ in range(4):
        machine.wall -= 0.4 * STEP_SECONDS
        found.append(machine.clock.step())
    assert found == [0.0, 0.0, pytest.approx(-1.2 * STEP_SECONDS), 0.0]


def test_a_process_that_is_stopped_between_both_clocks_finds_no_step() -> None:
    now = 100.0
    stops: Iterator[float] = iter([0.0, 3.0, 0.0, 0.0, 0.0])

    def wall() -> float:
        return now

    def up() -> float:
        nonlocal now
        now += next(stops)  # between the two looks
        return now

    clock = Clock(wall, up)
    assert clock.step() == 0.0


def test_the_steady_clock_advances_also_without_a_kernel_clock_that_includes_suspend(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = steady_seconds()
    assert 0 <= steady_seconds() - before < 60
    monkeypatch.delattr(time, "CLOCK_BOOTTIME", raising=False)
    assert abs(steady_seconds() - time.monotonic()) < 60
