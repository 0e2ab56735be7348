"""The two clocks of a machine, wall and steady, and the steps of the wall clock.

The wall clock gives the time of day and may be set at any moment. The steady clock measures intervals: nobody can set
it, and on Linux it includes the time the machine is suspended. NTP slews both alike.
"""

import time
from collections.abc import Callable

STEP_SECONDS = 0.1  # less is no step: a process may pause briefly between two readings


def steady_seconds() -> float:
    """Return seconds since some moment in the past."""
    if hasattr(time, "CLOCK_BOOTTIME"):
        return time.clock_gettime(time.CLOCK_BOOTTIME)
    return time.monotonic()


class Clock:
    """Both clocks, and their difference at the last check for a step."""

    def __init__(self, now: Callable[[], float] = time.time, steady: Callable[[], float] = steady_seconds) -> None:
        """`now` returns Unix seconds, `steady` seconds since any fixed moment."""
        self.now = now
        self.steady = steady
        self._apart = now() - steady()

    def step(self) -> float:
        """Return how many seconds the wall clock was set by since the last call: 0.0 if it was not, negative if back.

        An apparent step is measured twice, since the process may pause between reading the two clocks.
        """
        step = self.now() - self.steady() - self._apart
        if abs(step) >= STEP_SECONDS:
            step = min(step, self.now() - self.steady() - self._apart, key=abs)
        if abs(step) < STEP_SECONDS:
            return 0.0
        self._apart += step
        return step
