"""Sequence numbers: what is new, what is a repeat, and what never came.

A window follows one (producer, epoch). It has a highest number, and holes: ranges below it that have not come.
- A first contact opens at its number, a new epoch at 1: all before is a hole at once. A heartbeat shows a hole up to
  and including its number. What lies before a first contact is a hole that is never missed.
- A hole is missed 5 s after it was shown. A number that fills it is `new` before that and `recovered` afterwards.
  What was missed before a clear is forgotten with it: a number that fills such a hole is just `new`.
- Only the newest 1,024 numbers of a window can be told apart; below them a number with an epoch is a duplicate.
  A hole that falls out still becomes missed in its time, or at once if 1,024 newer ones crowd it out. Of more than
  64,000 holes in all each window keeps its newest 32, the others are missed at once: no fleet has that many, an attack
  has a million.
- An event without an epoch belongs to its producer's newest window. There 1 again, a number below the window (or
  before the first contact), or a repeat with a newer `ts` than any before is a restart: a new window without a name.
  A late event of the process before cannot be told from one of the new process and is taken for one.
- The last two windows of a producer are kept, and 1,000 producers, of which the least recently seen leaves. Whatever
  leaves takes its holes along: those still waiting are missed at once.
"""

from bisect import bisect_right
from collections import Counter, OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from math import inf
from operator import lt
from typing import Literal

import msgspec
from msgspec import Struct, field

from sidecar.core.state import OTHER
from sidecar.errors import CheckpointError

Verdict = Literal["new", "recovered", "duplicate"]

WINDOW = 1024
MAX_EPOCHS = 2
MAX_PRODUCERS = 1000
SHARE = 32  # holes: events that a producer may have under way beside each other
MAX_HOLES = MAX_PRODUCERS * MAX_EPOCHS * SHARE  # of one source: 2 MB stored, which a commit may write, and 10 MB here
GRACE_SECONDS = 5.0
BEFORE_CONTACT = inf  # when a hole before the first contact would be missed: never
FORGOTTEN = -inf  # in place of when a hole is missed: it was, and a clear forgot it


class Hole(Struct, array_like=True):
    """Numbers `first` to `last` have not come; missed when `due` (Unix seconds), already missed if `None`."""

    first: int
    last: int
    due: float | None

    @property
    def waits(self) -> bool:
        """Tell whether it will be missed at some time to come."""
        return self.due is not None and FORGOTTEN < self.due < BEFORE_CONTACT

    @property
    def size(self) -> int:
        """How many numbers."""
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
        """Move up, with a hole to `last_missing`."""
        if last_missing > self.high:
            self.holes.append(Hole(self.high + 1, last_missing, due))
        self.high = high

    def place_of(self, seq: int) -> int | None:
        """Return which hole holds a number, if it is within the window."""
        at = bisect_right(self.holes, seq, key=lambda hole: hole.first) - 1
        return at if at >= 0 and self.floor < seq <= self.holes[at].last else None

    def fill(self, at: int, seq: int) -> None:
        """Take one number out of a hole."""
        hole = self.holes[at]
        parts = (Hole(hole.first, seq - 1, hole.due), Hole(seq + 1, hole.last, hole.due))
        self.holes[at : at + 1] = [part for part in parts if part.size]

    def late_ones(self, numbers: list[int], *, named: bool) -> list[int] | None:
        """Return which of these ascending numbers fill holes; `None` if they have to be judged one after the other.

        In any order they mean the same as long as none is a repeat, or may be one, and all fit into the window
        together. `named`: they came with an epoch, so that none of them can tell of a restart.
        """
        highest = numbers[-1]
        if highest - self.high > WINDOW or len(numbers) + len(self.holes) > WINDOW:
            return None
        if numbers[0] <= highest - WINDOW or not all(map(lt, numbers, numbers[1:])):
            return None
        late = numbers[: bisect_right(numbers, self.high)]
        for seq in late:
            at = self.place_of(seq)
            if at is None or (self.holes[at].due == BEFORE_CONTACT and not named):
                return None
        return late

    def take(self, late: list[int], ahead: list[int], due: float) -> int:
        """Fill holes, then move up through numbers in ascending order; return how many were missed before."""
        recovered = 0
        for seq in late:
            at = self.place_of(seq)
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
        """Take out the lowest holes beyond `most`. With 1,024 above them they are below the window."""
        excess = max(len(self.holes) - most, 0)
        shed, self.holes[:excess] = self.holes[:excess], []
        return shed

    def forget(self) -> None:
        """Drop the holes that fell out of the window and wait for nothing."""
        if self.holes and self.holes[0].last <= self.floor:
            self.holes = [hole for hole in self.holes if hole.last > self.floor or hole.waits]

    def is_sound(self) -> bool:
        """Check that the holes are ascending ranges up to the highest number, at most 1,024."""
        edges = [0, *(edge for hole in self.holes for edge in (hole.first - 1, hole.last)), self.high]
        return edges == sorted(edges) and all(hole.size for hole in self.holes) and len(self.holes) <= WINDOW


class Producer(Struct, array_like=True):
    """The windows of one producer, newest last; when it was seen, and its newest explicit `ts` (Unix seconds)."""

    windows: list[Window]
    seen: float
    newest_ts: float = 0.0

    def window(self, epoch: str | None) -> Window | None:
        """Return the window of an epoch; without an epoch, the newest."""
        if epoch is None:
            return self.windows[-1]
        return next((window for window in self.windows if window.epoch == epoch), None)

    def missed(self) -> list[tuple[str | None, Hole]]:
        """Return the holes that are missed, each with its epoch."""
        return [(window.epoch, hole) for window in self.windows for hole in window.holes if hole.due is None]

    def waiting(self) -> Iterator[Hole]:
        """Yield the holes that will be missed."""
        return (hole for window in self.windows for hole in window.holes if hole.waits)


_decoder = msgspec.msgpack.Decoder(Producer)


class Sequences:
    """All producers of one source. Call `advance` before `changed` or `dump`: what it returns is in no dump."""

    def __init__(self) -> None:
        """Start without producers."""
        self._producers: OrderedDict[str, Producer] = OrderedDict()  # least recently seen first
        self._changed: set[str] = set()
        self._dumped: set[str] = set()  # producers of which a dump was given out, or loaded
        self._new_holes = 0  # since the holes were last counted
        self._waiting: set[str] = set()  # producers that may have holes to be missed
        self._missed: Counter[str] = Counter()  # missed before their time, not yet told

    @property
    def producers(self) -> Iterable[str]:
        """The names of all producers kept."""
        return self._producers.keys()

    def see(self, producer: str, epoch: str | None, seq: int, ts: float | None, now: float) -> Verdict:
        """Judge the number of one event. `ts` is its explicit time, if any; both times are Unix seconds."""
        known = self._producers.get(producer)
        if known is None:
            self._meet(producer, Window(epoch), seq, seq - 1, now).newest_ts = ts or 0.0
            return "new"
        self._producers.move_to_end(producer)
        self._changed.add(producer)
        known.seen = now
        newer = False
        if ts is not None and ts > known.newest_ts:
            known.newest_ts = ts
            newer = True
        window = known.windows[-1]
        if seq == window.high + 1 and (epoch is None or epoch == window.epoch):
            window.high = seq
            return "new"
        return self._judge(producer, known, epoch, seq, newer, now)

    def take(self, producer: str, epoch: str | None, numbers: list[int], newest_ts: float, now: float) -> int | None:
        """See the numbers of one epoch at once; None, with nothing done, if they have to be seen one by one.

        Returns how many of them are recovered; the others are new. `newest_ts` is their newest explicit time, 0 if
        there is none; both times are Unix seconds.
        """
        known = self._producers.get(producer)
        window = None if known is None else known.window(epoch)
        if known is None or window is None:
            return None
        recovered, last = 0, window.high + len(numbers)
        if numbers[0] == window.high + 1 and numbers == list(range(numbers[0], last + 1)):
            window.high = last
        else:
            numbers = sorted(numbers)
            late = window.late_ones(numbers, named=epoch is not None)
            if late is None:
                return None
            recovered = window.take(late, numbers[len(late) :], now + GRACE_SECONDS)
            self._waiting.add(producer)
            self._share_out(len(numbers))
        self._producers.move_to_end(producer)
        self._changed.add(producer)
        known.seen, known.newest_ts = now, max(known.newest_ts, newest_ts)
        return recovered

    def heartbeat(self, producer: str, epoch: str | None, seq: int, now: float) -> None:
        """Learn that `seq` was the last number sent. A lower one than is known says nothing."""
        known = self._producers.get(producer)
        if known is None:
            self._meet(producer, Window(epoch), seq, seq, now)
            return
        self._producers.move_to_end(producer)
        self._changed.add(producer)
        known.seen = now
        window = known.window(epoch) or self._open(producer, known, epoch)
        if seq > window.high:
            self._raise(producer, window, seq, seq, now)

    def advance(self, now: float) -> dict[str, int]:
        """Return by producer how many numbers are missed since the last call."""
        missed, self._missed = self._missed, Counter()
        for producer in tuple(self._waiting):
            holes = list(self._producers[producer].waiting())
            due = [hole for hole in holes if hole.due is not None and hole.due <= now]
            for hole in due:
                missed[producer] += hole.size
                hole.due = None
            if due:
                self._changed.add(producer)
            if len(due) == len(holes):
                self._waiting.discard(producer)
        return dict(missed)

    def forget_missed(self, counted: "Sequences") -> None:
        """Forget that numbers are missed which `counted`, an earlier state, has as missed: a clear forgot them."""
        for producer, known in self._producers.items():
            if producer not in counted._producers:
                continue
            former = counted._producers[producer].missed()
            for epoch, hole in known.missed():
                if any(one == epoch and old.first <= hole.first <= old.last for one, old in former):
                    hole.due = FORGOTTEN
                    self._changed.add(producer)

    def changed(self) -> dict[str, bytes | None]:
        """Return dumps of the producers that changed since the last call; `None`: it left."""
        changed, self._changed = self._changed, set()
        found = {producer: self._dump(producer) if producer in self._producers else None for producer in changed}
        self._dumped = set(self._producers)
        return found

    def dump(self) -> dict[str, bytes]:
        """Return the state of every producer as msgpack."""
        self._dumped.update(self._producers)
        return {producer: self._dump(producer) for producer in self._producers}

    @classmethod
    def load(cls, dumps: Mapping[str, bytes]) -> "Sequences":
        """Return what was dumped; raise `CheckpointError` if any of it was damaged."""
        sequences = cls()
        try:
            known = {producer: _decoder.decode(dump) for producer, dump in dumps.items()}
        except (msgspec.MsgspecError, UnicodeDecodeError) as exc:
            raise CheckpointError(f"a stored sequence window is damaged: {exc}") from exc
        for producer, state in sorted(known.items(), key=lambda item: item[1].seen):
            if not 1 <= len(state.windows) <= MAX_EPOCHS or not all(window.is_sound() for window in state.windows):
                raise CheckpointError(f"the stored sequence window of {producer!r} contradicts itself")
            sequences._producers[producer] = state
            sequences._dumped.add(producer)
            if any(state.waiting()):
                sequences._waiting.add(producer)
        return sequences

    def _judge(self, producer: str, known: Producer, epoch: str | None, seq: int, newer: bool, now: float) -> Verdict:
        """Judge a number that is not simply the next."""
        window = known.window(epoch) or self._open(producer, known, epoch)
        if seq <= window.high:
            at = window.place_of(seq)
            hole = None if at is None else window.holes[at]
            if at is not None and hole is not None and (hole.due != BEFORE_CONTACT or epoch is not None):
                window.fill(at, seq)
                self._lose(producer, window.shed())
                self._share_out()
                return "recovered" if hole.due is None else "new"
            restart = seq == 1 or seq <= window.floor or hole is not None or newer
            if epoch is not None or not restart:
                return "duplicate"
            window = self._open(producer, known, None)
        self._raise(producer, window, seq, seq - 1, now)
        return "new"

    def _meet(self, producer: str, window: Window, seq: int, last_missing: int, now: float) -> Producer:
        """Take in a producer at its first number; the least recently seen makes room for it."""
        window.raise_to(seq, last_missing, BEFORE_CONTACT)
        known = self._producers[producer] = Producer([window], now)
        self._changed.add(producer)
        if len(self._producers) > MAX_PRODUCERS:
            left, state = self._producers.popitem(last=False)
            for window in state.windows:
                self._lose(left, window.holes)
            self._waiting.discard(left)
            if left in self._dumped:
                self._changed.add(left)
            else:  # nobody knows it, and a flood of names must leave nothing behind
                self._changed.discard(left)
        return known

    def _open(self, producer: str, known: Producer, epoch: str | None) -> Window:
        """Open a window at 1; the last but one closes."""
        window = Window(epoch)
        known.windows.append(window)
        if len(known.windows) > MAX_EPOCHS:
            self._lose(producer, known.windows.pop(0).holes)
        return window

    def _raise(self, producer: str, window: Window, seq: int, last_missing: int, now: float) -> None:
        self._waiting.add(producer)
        window.raise_to(seq, last_missing, now + GRACE_SECONDS)
        self._lose(producer, window.shed())
        self._share_out()

    def _share_out(self, new: int = 1) -> None:
        """Leave each window the newest of its holes if there are too many in all; there may be `new` more now."""
        self._new_holes += new
        if self._new_holes < MAX_HOLES // 4:
            return
        self._new_holes = 0
        windows = [(producer, window) for producer, known in self._producers.items() for window in known.windows]
        if sum(len(window.holes) for _, window in windows) <= MAX_HOLES:
            return
        for producer, window in windows:
            if shed := window.shed(SHARE):
                self._lose(producer, shed)
                self._changed.add(producer)

    def _lose(self, producer: str, holes: list[Hole]) -> None:
        """Count the holes that wait as missed before their time."""
        lost = sum(hole.size for hole in holes if hole.waits)
        if lost:
            known = producer in self._missed or len(self._missed) < MAX_PRODUCERS
            self._missed[producer if known else OTHER] += lost

    def _dump(self, producer: str) -> bytes:
        known = self._producers[producer]
        for window in known.windows:
            window.forget()
        return msgspec.msgpack.encode(known)
