"""The sequence window of one (producer, epoch), and the windows of one producer: plain values, as they are stored.

A window has a highest number, and holes: ranges below it that have not come.
"""

from bisect import bisect_right
from collections.abc import Iterator
from itertools import chain
from math import inf
from operator import lt

from msgspec import Struct, field

WINDOW = 1024
MAX_EPOCHS = 2
MAX_CLOSED = 16  # windows of earlier epochs, enough for several processes that share a name by mistake
SHARE = 32  # holes: about as many events as a producer has in flight at once
BEFORE_CONTACT = inf  # when a hole before the first contact would be missed: never
FORGOTTEN = -inf  # the due time of a hole that was missed before a clear, which forgot it


class Hole(Struct, array_like=True):
    """Numbers `first` to `last` have not come. They are missed at `due` (Unix seconds), already if `None`."""

    first: int
    last: int
    due: float | None

    @property
    def waits(self) -> bool:
        """Whether it will be missed later."""
        return self.due is not None and FORGOTTEN < self.due < BEFORE_CONTACT

    @property
    def size(self) -> int:
        """How many numbers it has."""
        return self.last - self.first + 1


class Window(Struct, array_like=True):
    """The numbers of one epoch: the highest, and the holes below it in ascending order."""

    epoch: str | None
    high: int = 0
    holes: list[Hole] = field(default_factory=list)

    @property
    def floor(self) -> int:
        """The highest number that is below the window."""
        return self.high - WINDOW

    def raise_to(self, high: int, last_missing: int, due: float) -> None:
        """Raise the highest number, and open a hole up to `last_missing`."""
        if last_missing > self.high:
            self.holes.append(Hole(self.high + 1, last_missing, due))
        self.high = high

    def hole_index(self, seq: int) -> int | None:
        """Return the index of the hole with a number, if it is within the window."""
        at = bisect_right(self.holes, seq, key=lambda hole: hole.first) - 1
        return at if at >= 0 and self.floor < seq <= self.holes[at].last else None

    def fill(self, at: int, seq: int) -> None:
        """Take one number out of a hole."""
        hole = self.holes[at]
        parts = (Hole(hole.first, seq - 1, hole.due), Hole(seq + 1, hole.last, hole.due))
        self.holes[at : at + 1] = [part for part in parts if part.size]

    def late_ones(self, numbers: list[int], *, named: bool) -> list[int] | None:
        """Return which of these ascending numbers fill holes, `None` if they must be judged one by one.

        They need not be if none can be a duplicate and all fit into the window together. `named`: they have an epoch,
        so none of them can be a restart.
        """
        highest = numbers[-1]
        if highest - self.high > WINDOW or len(numbers) + len(self.holes) > WINDOW:
            return None
        if numbers[0] <= highest - WINDOW or not all(map(lt, numbers, numbers[1:])):
            return None
        late = numbers[: bisect_right(numbers, self.high)]
        for seq in late:
            at = self.hole_index(seq)
            if at is None or (self.holes[at].due == BEFORE_CONTACT and not named):
                return None
        return late

    def take(self, late: list[int], ahead: list[int], due: float) -> int:
        """Fill holes with `late`, then raise the highest number through `ahead`; return how many had been missed."""
        recovered = 0
        for seq in late:
            at = self.hole_index(seq)
            assert at is not None
            recovered += self.holes[at].due is None
            self.fill(at, seq)
        if ahead and ahead[-1] - self.high == len(ahead):
            self.high = ahead[-1]
            return recovered
        for seq in ahead:
            if seq > self.high + 1:
                self.holes.append(Hole(self.high + 1, seq - 1, due))
            self.high = seq
        return recovered

    def shed(self, most: int = WINDOW) -> list[Hole]:
        """Remove and return the lowest holes beyond `most`; with 1,024 holes above, they are below the window."""
        excess = max(len(self.holes) - most, 0)
        shed, self.holes[:excess] = self.holes[:excess], []
        return shed

    def forget(self) -> None:
        """Drop the holes below the window that are already missed."""
        if self.holes and self.holes[0].last <= self.floor:
            self.holes = [hole for hole in self.holes if hole.last > self.floor or hole.waits]

    def close(self) -> None:
        """Mark all open holes as missed, and keep the newest, in case their numbers still come."""
        for hole in self.holes:
            if hole.waits:
                hole.due = None
        self.forget()
        self.shed(SHARE)

    def is_sound(self) -> bool:
        """Check that the holes are ascending ranges up to the highest number, at most 1,024."""
        edges = [0, *(edge for hole in self.holes for edge in (hole.first - 1, hole.last)), self.high]
        return edges == sorted(edges) and all(hole.size for hole in self.holes) and len(self.holes) <= WINDOW


class Producer(Struct, array_like=True):
    """The windows of one producer, newest last; when it was seen, and its newest explicit `ts` (Unix seconds).

    `closed` are windows of earlier epochs, which may return; `newest_closed` is the newest epoch ever closed. `left`:
    it made room for another producer.
    """

    windows: list[Window]
    seen: float
    newest_ts: float = 0.0
    closed: list[Window] = field(default_factory=list)
    newest_closed: str = ""
    left: bool = False

    def window(self, epoch: str | None) -> Window | None:
        """Return the open window of an epoch; without an epoch, the newest one."""
        if epoch is None:
            return self.windows[-1]
        return next((window for window in self.windows if window.epoch == epoch), None)

    def reopened(self, epoch: str | None) -> Window | None:
        """Remove and return the closed window of an epoch."""
        at = next((at for at, window in enumerate(self.closed) if window.epoch == epoch), None)
        return None if at is None else self.closed.pop(at)

    def close(self, window: Window) -> None:
        """Close a window, and keep it if its epoch may return."""
        window.close()
        if window.epoch is not None:
            self.closed = [*self.closed, window][-MAX_CLOSED:]
            self.newest_closed = max(self.newest_closed, window.epoch, key=_age)

    def may_have_had(self, epoch: str | None) -> bool:
        """Return whether an unknown epoch may be one that was forgotten, since it is not newer than the others."""
        return epoch is not None and len(self.closed) == MAX_CLOSED and _age(epoch) <= _age(self.newest_closed)

    def is_sound(self) -> bool:
        """Check the number of windows, and each of them."""
        few = 1 <= len(self.windows) <= MAX_EPOCHS and len(self.closed) <= MAX_CLOSED
        return few and all(window.is_sound() for window in chain(self.windows, self.closed))

    def missed(self) -> list[tuple[str | None, Hole]]:
        """Return the missed holes, each with its epoch."""
        windows = chain(self.windows, self.closed)
        return [(window.epoch, hole) for window in windows for hole in window.holes if hole.due is None]

    def waiting(self) -> Iterator[Hole]:
        """Yield the holes that will be missed."""
        return (hole for window in self.windows for hole in window.holes if hole.waits)


def _age(epoch: str) -> tuple[int, str]:
    """Return a key that sorts start times given as numbers or as texts of one form."""
    return len(epoch), epoch
