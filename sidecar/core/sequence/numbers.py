"""Sequence numbers: which are new, which are duplicates, and which never came.

A sequence window follows one (producer, epoch). It has a highest number, and holes: ranges below it that have not come.
- A first contact opens a window at its number, a new epoch at 1: the numbers before are a hole at once. A heartbeat
  shows a hole up to and including its number. The hole before a first contact is never missed.
- A hole is missed 5 s after it was shown. A number that fills it is `new` before that and `recovered` afterwards. A
  clear forgets what was missed: a number that fills such a hole later is `new`.
- The number of a rejected payload may be unreadable. Such a payload explains one number of a hole that is shown within
  the next minute: that number was received, and is not missed.
- Only the newest 1,024 numbers of a window are distinguished; below them, a number with an epoch is a duplicate. A hole
  that falls below is still missed in its time, or at once if there are 1,024 newer holes. With more than 64,000 holes
  in all, each window keeps its newest 32, and the others are missed at once: no fleet has that many, an attack does.
- An event without an epoch belongs to the newest window of its producer. There, a second 1, a number below the window
  (or before the first contact), or a duplicate with a newer `ts` than any before is a restart: it opens a window
  without an epoch. A late event of the previous process counts for the new one: nothing distinguishes them.
- A producer has two open windows, and 1,000 producers are kept; the least recently seen leaves. When a window closes or
  a producer leaves, its open holes are missed at once. The last 16 closed windows, and the last 1,000 producers that
  left with something missed, are remembered: if the epoch or producer returns, it continues where it was, and missed
  numbers that still come are recovered. The first number of an old epoch that may have been forgotten is a first
  contact.
"""

from collections import Counter, OrderedDict, deque
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from typing import Literal

import msgspec

from sidecar.core.counts.rules import GRACE_SECONDS, MAX_PRODUCERS, OTHER
from sidecar.core.sequence.windows import BEFORE_CONTACT, FORGOTTEN, MAX_EPOCHS, SHARE, Hole, Producer, Window
from sidecar.errors import CheckpointError

NumberVerdict = Literal["new", "recovered", "duplicate"]

MAX_HOLES = MAX_PRODUCERS * MAX_EPOCHS * SHARE  # of one source: 10 MB of memory, and 2 MB stored, perhaps in one commit
UNREAD_SECONDS = 60.0
UNREAD_KEPT = 1000

_decoder = msgspec.msgpack.Decoder(Producer)


class Sequences:
    """All producers of one source. Call `advance` before `changed` or `dump`: no dump has what it returns."""

    def __init__(self) -> None:
        self._producers: OrderedDict[str, Producer] = OrderedDict()  # least recently seen first
        self._left: OrderedDict[str, Producer] = OrderedDict()  # producers that may return, in the order they left
        self.reopened_windows = 0  # for an epoch that returned, or a restart without an epoch
        self.restarts: list[tuple[str, str | None]] = []  # producers with their new epochs, since the last `advance`
        self._changed: set[str] = set()
        self._dumped: set[str] = set()  # producers that were dumped or loaded
        self._new_holes = 0  # since holes were last counted
        self._waiting: set[str] = set()  # producers that may have holes to be missed
        self._missed: Counter[str] = Counter()  # missed before their time, not yet returned
        self._unread: deque[float] = deque(maxlen=UNREAD_KEPT)  # when payloads with unreadable numbers arrived

    @property
    def producers(self) -> Iterable[str]:
        """The names of all producers kept."""
        return self._producers.keys()

    def see(self, producer: str, epoch: str | None, seq: int, ts: float | None, now: float) -> NumberVerdict:
        """Judge the number of one event. `ts` is its explicit time, if any; both times are Unix seconds."""
        known = self._producers.get(producer) or self._returned(producer)
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
        """Judge the numbers of one epoch at once; return how many are recovered, the others are new.

        Returns None, with nothing changed, if they must be judged one by one. `newest_ts` is their newest explicit
        time, 0 if there is none; both times are Unix seconds.
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
        """Note that `seq` was the last number sent; one below the highest known says nothing."""
        known = self._producers.get(producer) or self._returned(producer)
        if known is None:
            self._meet(producer, Window(epoch), seq, seq, now)
            return
        self._producers.move_to_end(producer)
        self._changed.add(producer)
        known.seen = now
        window = known.window(epoch) or self._open(producer, known, epoch, seq)
        if seq > window.high:
            self._raise(producer, window, seq, seq, now)

    def window(self, producer: str, epoch: str | None) -> Window | None:
        """Return the window of an epoch, if it is open."""
        known = self._producers.get(producer)
        return None if known is None else known.window(epoch)

    def unread(self, now: float) -> None:
        """Note a rejected payload that may have had an unreadable number."""
        self._unread.append(now)

    def advance(self, now: float) -> dict[str, int]:
        """Return how many numbers of each producer are missed since the last call."""
        for producer in tuple(self._waiting) if self._unread else ():
            for window in self._producers[producer].windows:
                self._explain(producer, window, now)
        missed, self._missed = self._missed, Counter()
        for producer in tuple(self._waiting):
            holes = list(self._producers[producer].waiting())
            for hole in holes:  # the stored time may come from a clock that was ahead
                hole.due = min(hole.due, now + GRACE_SECONDS)  # type: ignore[type-var]  # it waits
            due = [hole for hole in holes if hole.due is not None and hole.due <= now]
            for hole in due:
                missed[producer] += hole.size
                hole.due = None
            if due:
                self._changed.add(producer)
            if len(due) == len(holes):
                self._waiting.discard(producer)
        return dict(missed)

    def _explain(self, producer: str, window: Window, now: float) -> None:
        """Take a number out of the due holes for each payload with an unreadable number."""
        for hole in [hole for hole in window.holes if hole.waits and (hole.due or 0.0) <= now]:
            shown = (hole.due or 0.0) - GRACE_SECONDS
            fitting = [at for at in self._unread if shown - UNREAD_SECONDS <= at <= shown][: hole.size]
            for at in fitting:
                self._unread.remove(at)
            index, first = window.holes.index(hole), hole.first + len(fitting)
            parts = (Hole(hole.first, first - 1, FORGOTTEN), Hole(first, hole.last, hole.due))
            window.holes[index : index + 1] = [part for part in parts if part.size]
        self._lose(producer, window.shed())

    def forget_missed(self, counted: "Sequences") -> None:
        """Forget the numbers that were missed in `counted`, an earlier state, too: a clear forgot them."""
        before = dict(counted._all())
        for producer, known in self._all():
            if producer not in before:
                continue
            former = before[producer].missed()
            for epoch, hole in known.missed():
                if any(one == epoch and old.first <= hole.first <= old.last for one, old in former):
                    hole.due = FORGOTTEN
                    self._changed.add(producer)

    def step(self, by: float) -> None:
        """Follow a clock that was set by `by` seconds."""
        self._unread = deque((at + by for at in self._unread), maxlen=UNREAD_KEPT)
        for known in self._producers.values():
            known.seen += by
            for hole in known.waiting():
                hole.due = hole.due + by  # type: ignore[operator]  # it waits

    def changed(self) -> dict[str, bytes | None]:
        """Return dumps of the producers that changed since the last call, `None` for those no longer kept."""
        changed, self._changed = self._changed, set()
        kept = dict(self._all())
        self._dumped = set(kept)
        return {producer: _dump(kept[producer]) if producer in kept else None for producer in changed}

    def dump(self) -> dict[str, bytes]:
        """Return the state of every producer as msgpack."""
        kept = dict(self._all())
        self._dumped.update(kept)
        return {producer: _dump(known) for producer, known in kept.items()}

    @classmethod
    def load(cls, dumps: Mapping[str, bytes]) -> "Sequences":
        """Return what was dumped; raise `CheckpointError` if any of it was damaged."""
        sequences = cls()
        try:
            known = {producer: _decoder.decode(dump) for producer, dump in dumps.items()}
        except (msgspec.MsgspecError, UnicodeDecodeError) as exc:
            raise CheckpointError(f"a stored sequence window is damaged: {exc}") from exc
        for producer, state in sorted(known.items(), key=lambda item: item[1].seen):
            if not state.is_sound():
                raise CheckpointError(f"the stored sequence window of {producer!r} contradicts itself")
            (sequences._left if state.left else sequences._producers)[producer] = state
            sequences._dumped.add(producer)
            if not state.left and any(state.waiting()):
                sequences._waiting.add(producer)
        return sequences

    def _judge(
        self, producer: str, known: Producer, epoch: str | None, seq: int, newer: bool, now: float
    ) -> NumberVerdict:
        """Judge a number that is not just the next."""
        window = known.window(epoch) or self._open(producer, known, epoch, seq - 1)
        if seq <= window.high:
            at = window.hole_index(seq)
            hole = None if at is None else window.holes[at]
            if at is not None and hole is not None and (hole.due != BEFORE_CONTACT or epoch is not None):
                window.fill(at, seq)
                self._lose(producer, window.shed())
                self._share_out()
                return "recovered" if hole.due is None else "new"
            restart = seq == 1 or seq <= window.floor or hole is not None or newer
            if epoch is not None or not restart:
                return "duplicate"
            self.reopened_windows += 1
            window = self._open(producer, known, None, 0)
        self._raise(producer, window, seq, seq - 1, now)
        return "new"

    def _all(self) -> Iterator[tuple[str, Producer]]:
        """Yield the producers that are kept and those that may return."""
        return chain(self._producers.items(), self._left.items())

    def _meet(self, producer: str, window: Window, seq: int, last_missing: int, now: float) -> Producer:
        """Add a producer at its first number."""
        window.raise_to(seq, last_missing, BEFORE_CONTACT)
        known = Producer([window], now)
        self._take_in(producer, known)
        return known

    def _returned(self, producer: str) -> Producer | None:
        """Restore a producer that left and was remembered."""
        known = self._left.pop(producer, None)
        if known is not None:
            known.left = False
            self._take_in(producer, known)
        return known

    def _take_in(self, producer: str, known: Producer) -> None:
        """Add a producer; at the limit the least recently seen leaves, and is remembered if it has missed numbers."""
        self._producers[producer] = known
        self._changed.add(producer)
        if len(self._producers) <= MAX_PRODUCERS:
            return
        name, leaving = self._producers.popitem(last=False)
        for window in leaving.windows:
            self._lose(name, window.holes)
            window.close()
        self._waiting.discard(name)
        if leaving.missed():
            leaving.left = True
            self._left[name] = leaving
            self._changed.add(name)
            if len(self._left) > MAX_PRODUCERS:
                self._drop(self._left.popitem(last=False)[0])
        else:
            self._drop(name)

    def _drop(self, producer: str) -> None:
        """Mark a producer for removal from the store, if it was ever stored."""
        if producer in self._dumped:
            self._changed.add(producer)
        else:
            self._changed.discard(producer)

    def _open(self, producer: str, known: Producer, epoch: str | None, before: int) -> Window:
        """Open a window at 1, or where a returning epoch was; the second-newest one closes.

        `before` precedes the number that opens it.
        """
        window = known.reopened(epoch)
        if window is not None:
            self.reopened_windows += 1
        else:
            window = Window(epoch)
            if known.may_have_had(epoch):
                self.reopened_windows += 1
                window.raise_to(before, before, BEFORE_CONTACT)
            elif len(self.restarts) < MAX_PRODUCERS:
                self.restarts.append((producer, epoch))
        known.windows.append(window)
        if len(known.windows) > MAX_EPOCHS:
            self._lose(producer, known.windows[0].holes)
            known.close(known.windows.pop(0))
        return window

    def _raise(self, producer: str, window: Window, seq: int, last_missing: int, now: float) -> None:
        self._waiting.add(producer)
        window.raise_to(seq, last_missing, now + GRACE_SECONDS)
        self._lose(producer, window.shed())
        self._share_out()

    def _share_out(self, new: int = 1) -> None:
        """If there are too many holes in all, keep only the newest of each window; `new` is how many may have come."""
        self._new_holes += new
        if self._new_holes < MAX_HOLES // 4:
            return
        self._new_holes = 0
        kept = dict(self._all())
        if sum(len(window.holes) for known in kept.values() for window in (*known.windows, *known.closed)) <= MAX_HOLES:
            return
        for producer in self._left:
            self._drop(producer)
        self._left.clear()
        for producer, known in self._producers.items():
            before = known.closed
            known.closed = []
            shed = [hole for window in known.windows for hole in window.shed(SHARE)]
            if shed or before:
                self._lose(producer, shed)
                self._changed.add(producer)

    def _lose(self, producer: str, holes: list[Hole]) -> None:
        """Count the waiting holes as missed before their time."""
        lost = sum(hole.size for hole in holes if hole.waits)
        if lost:
            known = producer in self._missed or len(self._missed) < MAX_PRODUCERS
            self._missed[producer if known else OTHER] += lost


def _dump(known: Producer) -> bytes:
    for window in known.windows:
        window.forget()
    return msgspec.msgpack.encode(known)
