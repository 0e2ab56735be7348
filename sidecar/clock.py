"""What time it is, and how much has passed: the two clocks of a machine, and the steps between them.

The wall clock names a moment and may be set at any time. The steady clock measures an interval: nobody can set it,
and on Linux it goes on while the machine is suspended. NTP that slews changes the speed of both alike.
"""

import time
from collections.abc import Callable

STEP_SECONDS = 0.1  # less is no step: a process may be stopped for a moment between two looks


def steady_seconds() -> float:
    """Return seconds since some moment in the past."""
    if hasattr(time, "CLOCK_BOOTTIME"):
        return time.clock_gettime(time.CLOCK_BOOTTIME)
    return time.monotonic()


class Clock:
    """Both clocks; knows how far they were apart when it was last asked for a step."""

    def __init__(self, now: Callable[[], float] = time.time, steady: Callable[[], float] = steady_seconds) -> None:
        """`now` gives Unix seconds, a moment; `steady` gives seconds to measure intervals by."""
        self.now = now
        self.steady = steady
        self._apart = now() - steady()

    def step(self) -> float:
        """Return by how many seconds the wall clock was set since the last call: below 0 if it went back, 0.0 if not.

        It looks twice at one, since the process may be stopped between the two clocks.
        """
        step = self.now() - self.steady() - self._apart
        if abs(step) >= STEP_SECONDS:
            step = min(step, self.now() - self.steady() - self._apart, key=abs)
        if abs(step) < STEP_SECONDS:
            return 0.0
        self._apart += step
        return step
