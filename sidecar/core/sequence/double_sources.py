"""The same events over two sources: which producers send them twice, and how many are counted twice.

Numbers alone are no evidence: a producer numbers each channel and stream by itself, so different events may have the
same number on two of them. So events are compared: the first eight of an epoch, and of each run of numbers the multiple
of the largest power of two, if that is 32 or more. That way the event compared in a longer run is also compared in the
shorter one on the other source. Three equal events within 10 s of each other, and ten times as many as different ones,
prove that the producer sends the same twice. From the first equal one on, numbers in both windows are counted twice.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence

from msgspec import Struct

from sidecar.core.events.event import Event
from sidecar.core.naming import first_few
from sidecar.core.sequence.windows import Window

FIRST = 8  # this many numbers of an epoch are all compared
SPACING = 32  # then at most one in this many
CLOSE_SECONDS = 10.0
NEARLY_SECONDS = 1.0  # between the times of an event that was made separately for each source
EVIDENCE = 3  # equal events
FEW = 10  # one different event among this many equal ones is no counter-evidence
MARKS_KEPT = 4096
PAIRS_KEPT = 1000
CONTENT = tuple(name for name in Event.__struct_fields__ if name != "ts")
NAMED = 3  # producers; more are counted
QUIET_SECONDS = 60.0  # after this, a pair is forgotten and no longer reported

SourceWindow = tuple[str, str]  # a source, and the key of a window there


class Mark(Struct, frozen=True, gc=False):
    """An event that may come again: its window, its own time (counting sets a missing one), and when it came."""

    where: SourceWindow
    event: Event
    ts: float | None
    at: float


class Pair(Struct):
    """One producer on two sources: how many events were `same` and `different`, how many were counted `twice` up to the
    number `done`, how many of these are `reported`, and when there last was one more.
    """

    producer: str
    epoch: str | None
    sources: tuple[SourceWindow, SourceWindow]
    done: int
    at: float
    same: int = 0
    different: int = 0
    twice: int = 0
    reported: int = 0

    @property
    def is_proven(self) -> bool:
        """Whether the producer sends the same events to both sources."""
        return self.same >= max(EVIDENCE, FEW * self.different)


class DoubleSources:
    """What came from several sources recently."""

    def __init__(self) -> None:
        self._marks: OrderedDict[tuple[str, str | int | None, int], Mark] = OrderedDict()  # the first came first
        self._pairs: dict[tuple[str, str | None, SourceWindow, SourceWindow], Pair] = {}

    @staticmethod
    def wants(last: int | None, count: int) -> bool:
        """Return whether any of the `count` numbers up to `last` is compared: in most short runs none is."""
        return last is not None and (last % SPACING < count or last - count < FIRST)

    def see(self, where: SourceWindow, events: list[Event], at: float) -> None:
        """Take an ascending run of numbered events of one producer and epoch that came at `at` (Unix seconds)."""
        first, last = events[0].seq, events[-1].seq
        if not first or last is None:
            return
        if first <= FIRST:
            for event in events[:FIRST]:
                self._compare(where, event, at)
        elif last - last % SPACING >= first:
            zeros = ((first - 1) ^ last).bit_length() - 1
            seq = last >> zeros << zeros
            if seq < first + len(events) and events[seq - first].seq == seq:
                self._compare(where, events[seq - first], at)

    def count(self, window: Callable[[SourceWindow, str | None], Window | None], now: float) -> int:
        """Return how many more events were counted twice; `window` returns the window of an epoch."""
        return sum(self._count(pair, window, now) for pair in self._pairs.values())

    def proven(self, now: float) -> Iterator[Pair]:
        """Yield the pairs of which more was counted twice within the last minute."""
        return (pair for pair in self._pairs.values() if pair.reported and now - pair.at < QUIET_SECONDS)

    def forget(self, now: float) -> None:
        """Drop events and pairs that were not seen again."""
        for key in [key for key, mark in self._marks.items() if now - mark.at > CLOSE_SECONDS]:
            del self._marks[key]
        for name in [name for name, pair in self._pairs.items() if now - pair.at >= QUIET_SECONDS]:
            del self._pairs[name]

    def clear(self) -> None:
        """Forget everything, since a clock was set or a source is read again."""
        self._marks.clear()
        self._pairs.clear()

    def _compare(self, where: SourceWindow, event: Event, at: float) -> None:
        """Compare an event with the one of the same number in another window, or keep it for that."""
        producer, seq = event.producer, event.seq
        assert producer is not None and seq is not None
        key = (producer, event.epoch, seq)
        mark = self._marks.get(key)
        if mark is None or mark.where == where or abs(at - mark.at) > CLOSE_SECONDS:
            if mark is None and len(self._marks) >= MARKS_KEPT:
                self._marks.popitem(last=False)
            self._marks[key] = Mark(where, event, event.ts, at)
            return
        epoch = None if event.epoch is None else str(event.epoch)
        sources = (where, mark.where) if where < mark.where else (mark.where, where)
        pair = self._pairs.get((producer, epoch, *sources))
        if pair is None:
            if len(self._pairs) >= PAIRS_KEPT:
                return
            pair = self._pairs[producer, epoch, *sources] = Pair(producer, epoch, sources, seq - 1, at)
        if _are_same(event, mark):
            pair.same += 1
        else:
            pair.different += 1

    def _count(self, pair: Pair, window: Callable[[SourceWindow, str | None], Window | None], now: float) -> int:
        """Count the numbers that both windows have by now; return how many to report."""
        one, other = (window(where, pair.epoch) for where in pair.sources)
        if one is not None and other is not None and (high := min(one.high, other.high)) > pair.done:
            pair.twice += high - pair.done - _lacking((one, other), pair.done + 1, high)
            pair.done = high
            pair.at = now
        more = pair.twice - pair.reported if pair.is_proven else 0
        pair.reported += more
        return more


def described(pairs: Sequence[Pair], events: int) -> str:
    """Describe which producers send what twice, and how many events are counted twice in all."""
    producers = sorted({pair.producer for pair in pairs})
    sources = sorted({_name(where) for pair in pairs for where in pair.sources})
    send = "sends" if len(producers) == 1 else "send"
    counted = "1 event is" if events == 1 else f"{events} events are"
    names = first_few(producers, NAMED)
    return f"{names} {send} the same numbers over {' and '.join(sources)}; {counted} counted twice; turn one off"


def _name(where: SourceWindow) -> str:
    """Return the name of the source, for a pattern that of the channel."""
    source, key = where
    channel, named, _ = key.partition("\n")
    return f"pubsub:{channel}" if named else source


def _are_same(event: Event, mark: Mark) -> bool:
    """Return whether two events are one that was sent twice, perhaps with two times."""
    other = mark.event
    if event.order_id is not None or other.order_id is not None:
        return (event.type, event.order_id, event.status) == (other.type, other.order_id, other.status)
    if event.ts is None or mark.ts is None:
        if event.ts is not mark.ts:
            return False
    elif abs(event.ts - mark.ts) > NEARLY_SECONDS:
        return False
    return all(getattr(event, name) == getattr(other, name) for name in CONTENT)


def _lacking(windows: tuple[Window, Window], first: int, last: int) -> int:
    """Return how many of the numbers `first` to `last` one of the windows lacks."""
    holes = sorted((hole.first, hole.last) for window in windows for hole in window.holes)
    lacking, start = 0, first
    for begin, end in holes:
        begin, end = max(begin, start), min(end, last)
        if begin <= end:
            lacking += end - begin + 1
            start = end + 1
    return lacking
