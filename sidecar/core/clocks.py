"""How far the clocks of producers are from ours, so that health can name the wrong ones."""

from msgspec import Struct

WINDOW_SECONDS = 60.0
KEPT_SECONDS = 120.0  # a producer that is gone needs no new clock


class Offset(Struct):
    """The `arrival - ts` nearest to 0 in the minute that began `since`: delays and late events only add to it."""

    offset_seconds: float
    since: float


class Clocks(dict[str, Offset]):
    """The clocks by producer."""

    def measure(self, producer: str, offset: float, arrival: float, *, limit: int) -> None:
        """Take one event's offset in seconds; a new producer beyond `limit` is passed over."""
        clock = self.get(producer)
        if clock is None and len(self) >= limit:
            return
        if clock is None or arrival - clock.since > WINDOW_SECONDS:
            self[producer] = Offset(offset, arrival)
        elif abs(offset) < abs(clock.offset_seconds):
            clock.offset_seconds = offset

    def forget(self, now: float) -> None:
        """Drop the producers that fell silent."""
        for producer in [name for name, clock in self.items() if now - clock.since >= KEPT_SECONDS]:
            del self[producer]
