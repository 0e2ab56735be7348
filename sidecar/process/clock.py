"""The two clocks of a machine, one for moments and one for intervals, and the steps between them.

The wall clock names a moment and may be set at any time. The steady clock measures an interval: nobody can set it, and
on Linux it includes the time in which the machine is suspended. NTP slews both alike.
"""

import time
from collections.abc import Callable

STEP_SECONDS = 0.1  # less is not a step: a process may pause for a moment between two readings


def steady_seconds() -> float:
    """Return seconds since some moment in the past."""
    if hasattr(time, "CLOCK_BOOTTIME"):
        return time.clock_gettime(time.CLOCK_BOOTTIME)
    return time.monotonic()


class Clock:
    """Both clocks, with their distance at the last check for a step."""

    def __init__(self, now: Callable[[], float] = time.time, steady: Callable[[], float] = steady_seconds) -> None:
        """`now` gives Unix seconds, a moment; `steady` gives seconds to measure intervals by."""
        self.now = now
        self.steady = steady
        self._apart = now() - steady()

    def step(self) -> float:
        """Return by how many seconds the wall clock was set since the last call, negative if back; 0.0 if it was not.

        It reads one of them twice, since the process may pause between the two readings.
        """
        step = self.now() - self.steady() - self._apart
        if abs(step) >= STEP_SECONDS:
            step = min(step, self.now() - self.steady() - self._apart, key=abs)
        if abs(step) < STEP_SECONDS:
            return 0.0
        self._apart += step
        return step
