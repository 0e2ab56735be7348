"""How far the clocks of producers are from ours, so that health can name the wrong ones.

An event that comes long after its `ts` shows a clock that is behind, or was kept, as in an outage. A clock stays behind
by the same time; what was kept is sent on faster than it was made, so that its delay shrinks. So only a delay that
stays the same for 5 s is an offset. An event from the future leaves no doubt, and neither does one that is in time.
"""

from msgspec import Struct

WINDOW_SECONDS = 60.0
KEPT_SECONDS = 120.0  # a producer that is gone needs no new clock
STEADY_SECONDS = 5.0
SHRINKS_SECONDS = 0.2  # a delay that lessens by more than this is none of a clock
IN_TIME_SECONDS = 2.0


class Offset(Struct):
    """The `arrival - ts` nearest to 0 in the minute that began `since`: delays and late events only add to it.

    It was `first` at `steady_since`, and has hardly changed since then. `offset_seconds` is what is known for sure.
    """

    offset_seconds: float
    since: float
    nearest: float
    first: float
    steady_since: float


class Clocks(dict[str, Offset]):
    """The clocks by producer."""

    def measure(self, producer: str, offset: float, arrival: float, *, limit: int) -> None:
        """Take one event's offset in seconds; a new producer beyond `limit` is passed over."""
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
        """Drop the producers that fell silent."""
        for producer in [name for name, clock in self.items() if now - clock.since >= KEPT_SECONDS]:
            del self[producer]
