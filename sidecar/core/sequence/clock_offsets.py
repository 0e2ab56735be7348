"""How far the clocks of producers are off, so that health can name the wrong ones.

An event long after its `ts` shows either a clock that is behind, or a backlog, as after an outage. The delay of a clock
stays the same, while that of a backlog shrinks. So a delay is an offset only if it stays the same for 5 s. An event
from the future, or one in time, shows the offset at once.
"""

from msgspec import Struct

WINDOW_SECONDS = 60.0
KEPT_SECONDS = 120.0  # forget producers that are silent for this long
STEADY_SECONDS = 5.0
SHRINKS_SECONDS = 0.2  # a delay that shrinks by more than this is not a clock's
IN_TIME_SECONDS = 2.0


class Offset(Struct):
    """The `arrival - ts` nearest to 0 in the minute from `since`: delays can only add to it.

    It was `first` at `steady_since`, and has hardly changed since. `offset_seconds` is the offset known for certain.
    """

    offset_seconds: float
    since: float
    nearest: float
    first: float
    steady_since: float


class Clocks(dict[str, Offset]):
    """The clocks by producer."""

    def measure(self, producer: str, offset: float, arrival: float, *, limit: int) -> None:
        """Take the offset of one event in seconds; new producers beyond `limit` are ignored."""
        clock = self.get(producer)
        if clock is None:
            if len(self) >= limit:
                return
            clock = self[producer] = Offset(0.0, arrival, offset, offset, arrival)
        elif arrival - clock.since > WINDOW_SECONDS:
            clock.since = clock.steady_since = arrival
            clock.nearest = clock.first = offset
        elif abs(offset) < abs(clock.nearest):
            clock.nearest = offset
            if abs(clock.first) - abs(offset) > SHRINKS_SECONDS:
                clock.first, clock.steady_since = offset, arrival
        if clock.nearest <= IN_TIME_SECONDS or arrival - clock.steady_since >= STEADY_SECONDS:
            clock.offset_seconds = clock.nearest

    def forget(self, now: float) -> None:
        """Drop silent producers."""
        for producer in [name for name, clock in self.items() if now - clock.since >= KEPT_SECONDS]:
            del self[producer]
