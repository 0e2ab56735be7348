"""Which producer sent which number: the sequence windows of all sources, and what they show about a batch.

Sequence windows and the losses of streams change as events come; `windows` are the committed dumps of both, `unsaved`
those that changed since. They are the entries `w:<source>\\n<key>` and `l:<source>` of the checkpoint. The key of a
window is the name of its producer; for a pattern it is `<channel>\\n<producer>`.
"""

from collections import defaultdict
from collections.abc import Mapping
from itertools import groupby

from sidecar.core.checkpoint.codec import seal, unseal
from sidecar.core.counts.labels import Labels
from sidecar.core.counts.liveness import Watch
from sidecar.core.counts.parts import Attendance
from sidecar.core.counts.pending import Pending
from sidecar.core.counts.rules import MAX_PRODUCERS, OTHER
from sidecar.core.events.channels import is_pattern
from sidecar.core.events.event import Event, Rejection
from sidecar.core.events.source import kind_of
from sidecar.core.sequence.clock_offsets import Clocks
from sidecar.core.sequence.double_sources import DoubleSources, SourceWindow
from sidecar.core.sequence.losses import LOSS, Loss
from sidecar.core.sequence.numbers import Sequences
from sidecar.core.sequence.shared_names import SharedNames
from sidecar.core.sequence.windows import Window
from sidecar.errors import CheckpointError

WINDOW = "w:"
# A batch that spans a longer time comes from a backlog, which cannot measure a clock.
TOGETHER_SECONDS = 0.1
HEARD_KEPT = 2 * MAX_PRODUCERS  # producers with open connections, and others


class Register:
    """The windows of every source."""

    def __init__(self) -> None:
        self.windows: dict[str, bytes] = {}
        self.unsaved: dict[str, bytes | None] = {}
        self.clocks = Clocks()
        self.names = SharedNames()
        self.watch = Watch(MAX_PRODUCERS)
        self.double_sources = DoubleSources()
        self.heard: dict[str, float] = {}  # when producers were last heard of
        self._sequences: dict[str, Sequences] = {}
        self._losses: dict[str, Loss] = {}
        self._cleared: set[str] = set()  # committed windows whose missed numbers were missed before a clear
        self._sources: set[str] = set()

    def load(self, windows: dict[str, bytes], *, cleared: bool) -> None:
        """Take over committed windows, also of sources that are silent now. `cleared`: there was a clear since."""
        self.windows = windows
        self._cleared = set(windows) if cleared else set()
        self._sources.update(name.partition(":")[2].partition("\n")[0] for name in windows)

    def sequences(self, source: str) -> Sequences:
        """Return the windows of a source; the first call loads the committed ones."""
        if source not in self._sequences:
            self._sources.add(source)
            sequences = self._sequences[source] = self._committed(source, set(self.windows))
            if self._cleared:
                sequences.forget_missed(self._committed(source, self._cleared))
        return self._sequences[source]

    def forget_missed(self) -> None:
        """Forget the numbers that are committed as missed, as a clear does."""
        self._cleared = set(self.windows)
        for source, sequences in self._sequences.items():
            sequences.forget_missed(self._committed(source, self._cleared))
        for source, loss in self._losses.items():
            loss.forget(self._committed_loss(source).entries)

    def loss(self, source: str) -> Loss:
        """Return the losses of a stream; the first call loads the committed ones."""
        if source not in self._losses:
            self._sources.add(source)
            loss = self._losses[source] = self._committed_loss(source)
            if LOSS + source in self._cleared:
                loss.forget(loss.entries)
        return self._losses[source]

    def advance(self, source: str, pending: Pending, labels: Labels, now: float) -> None:
        """Count the numbers of a source that are missed by now, and note which windows changed."""
        sequences = self.sequences(source)
        call = RollCall(self, source, pending, labels, now)
        restarts, sequences.restarts = sequences.restarts, []
        for key, epoch in restarts:
            self.watch.restarted(_producer(source, key), epoch, now)
        for key, missed in sequences.advance(now).items():
            counted = missed
            if kind_of(source).rereads:
                missed = self.loss(source).forgive(missed)
                counted = self.loss(source).miss(missed)
            call.attendance(_producer(source, key)).missed += missed
            pending.state.total.tallies["missed"][source] += counted
        self.unsaved.update(_named(source, sequences.changed()))
        if source in self._losses or LOSS + source in self.windows:
            self._note(source, self.loss(source))

    def count_twice(self, now: float) -> int:
        """Return how many more events were counted twice since the last call."""
        return self.double_sources.count(self._window, now)

    def forget(self, now: float) -> None:
        """Drop what is known about silent producers."""
        self.clocks.forget(now)
        self.names.forget(now)
        self.double_sources.forget(now)

    @property
    def sources(self) -> list[str]:
        """The sources that have windows or losses, also stored ones."""
        return sorted(self._sources)

    def _window(self, where: SourceWindow, epoch: str | None) -> Window | None:
        source, key = where
        return self._sequences[source].window(key, epoch) if source in self._sequences else None

    def _committed(self, source: str, names: set[str]) -> Sequences:
        """Return the named windows of a source, as committed."""
        start = f"{WINDOW}{source}\n"
        stored = {name[len(start) :]: name for name in names if name.startswith(start)}
        return Sequences.load({producer: unseal(name, self.windows[name]) for producer, name in stored.items()})

    def _committed_loss(self, source: str) -> Loss:
        stored = self.windows.get(LOSS + source)
        return Loss() if stored is None else Loss.load(source, stored)

    def land(self, windows: Mapping[str, bytes | None]) -> None:
        """Take over committed windows; those that changed since stay unsaved."""
        self._cleared.difference_update(windows)
        for name, value in windows.items():
            if value is None:
                self.windows.pop(name, None)
            else:
                self.windows[name] = value
            if name in self.unsaved and self.unsaved[name] == value:
                del self.unsaved[name]

    def listen(self, connected: set[str]) -> None:
        """Track when these producers, which have open connections, are heard of; others only while there is room."""
        if len(self.heard) >= HEARD_KEPT:
            newest = sorted(self.heard, key=self.heard.__getitem__)[-MAX_PRODUCERS:]
            self.heard = {name: self.heard[name] for name in (self.heard.keys() & connected).union(newest)}
        for name in connected:
            self.heard.setdefault(name, 0.0)

    def step(self, by: float, now: float) -> None:
        """Follow a clock that was set by `by` seconds, to `now`."""
        self.clocks.clear()
        self.names.step(by)
        self.watch.step(by, now)
        self.double_sources.clear()
        self.heard = {name: min(at + by, now) for name, at in self.heard.items()}
        for sequences in self._sequences.values():
            sequences.step(by)

    def drop(self, source: str) -> None:
        """Return to the committed windows: the source will be read again from there."""
        self._sequences.pop(source, None)
        self._losses.pop(source, None)
        self.double_sources.clear()
        start = f"{WINDOW}{source}\n"
        self.unsaved = {
            name: value for name, value in self.unsaved.items() if not name.startswith(start) and name != LOSS + source
        }

    def save(self, source: str) -> None:
        """Mark every window of a source for the next commit, since the stored ones are older."""
        self.unsaved.update(_named(source, self.sequences(source).dump()))

    def _note(self, source: str, loss: Loss) -> None:
        """Mark a loss for the next commit if it changed."""
        name, value = LOSS + source, loss.dump(source)
        known = self.unsaved.get(name, self.windows.get(name))
        if value != known and (known is not None or loss != Loss()):
            self.unsaved[name] = value


class RollCall:
    """The numbers of one batch."""

    def __init__(self, register: Register, source: str, pending: Pending, labels: Labels, now: float) -> None:
        self._register = register
        self._sequences = register.sequences(source)
        self._source = source
        self._state = pending.state
        self._labels = labels
        self._now = now
        self._attendances: dict[str, Attendance] = {}
        self._received = self._duplicates = 0

    def attend(
        self, events: list[Event], arrivals: list[float], channels: list[str] | None = None, *, only_orders: bool
    ) -> tuple[list[Event], list[float]]:
        """Return the events that count (no heartbeats, no duplicates) and their arrivals.

        If the source is a pattern, `channels[i]` is the channel of `events[i]`.
        """
        beats = not only_orders and "heartbeat" in [event.type for event in events]
        arrived_together = bool(arrivals) and arrivals[-1] - arrivals[0] < TOGETHER_SECONDS
        absent: set[int] = set()  # ids: events are mutable, and as values they may be equal
        if beats:
            self._beat(events, arrivals)
        for key, mine in _by_window(events, channels).items():
            if key is not None:
                self._hear(mine[0].producer, arrivals[-1])
                if arrived_together:
                    self._measure_clock(mine, arrivals[-1])
                absent.update(self._take(key, mine, arrivals[-1], beats))
            elif beats:
                absent.update(id(event) for event in mine if event.type == "heartbeat")
        if not absent:
            return events, arrivals
        present = [at for at, event in enumerate(events) if id(event) not in absent]
        return [events[at] for at in present], [arrivals[at] for at in present]

    def reject(self, rejection: Rejection, channel: str | None = None) -> int:
        """Judge the numbers of a rejection; return how many of its events are not duplicates."""
        if rejection.numbers is None:
            self._sequences.unread(self._now)
        for producer, _, _ in rejection.numbers or ():
            self._hear(producer, rejection.arrival)
        if not rejection.numbers:
            return 1
        return sum(
            self._see(producer if channel is None else _key(channel, producer), producer, _epoch(epoch), seq, None)
            for producer, epoch, seq in rejection.numbers
        )

    def _hear(self, producer: str | None, arrival: float) -> None:
        """Note when a producer was heard of."""
        heard = self._register.heard
        if producer in heard:
            heard[producer] = max(heard[producer], arrival)
        elif producer is not None and len(heard) < HEARD_KEPT:
            heard[producer] = arrival

    def _beat(self, events: list[Event], arrivals: list[float]) -> None:
        """Note the heartbeats of a batch."""
        for event, arrival in zip(events, arrivals, strict=True):
            if event.type == "heartbeat" and event.producer is not None:
                self._register.watch.beat(event.producer, _epoch(event.epoch), arrival)

    def attendance(self, producer: str) -> Attendance:
        """Return the counts of a producer's numbers."""
        if producer not in self._attendances:
            label = self._labels.admit("producer", producer)
            if label is OTHER:
                self._state.total.tallies["overflow"]["producer"] += 1
            self._attendances[producer] = self._state.producers.setdefault(f"{self._source}\n{label}", Attendance())
        return self._attendances[producer]

    def _take(self, key: str, events: list[Event], arrival: float, beats: bool) -> list[int]:
        """Judge the events of one producer; return the ids of those that do not count."""
        absent: list[int] = []
        sequences = self._sequences
        before = (self._received, self._duplicates, sequences.reopened_windows, len(sequences.restarts))
        twice = self._register.double_sources
        for run in _runs(events, beats):
            if not self._goes_on(key, run):
                absent += [id(event) for event in run if not self._counts(key, event)]
            if twice.wants(run[-1].seq, len(run)) and run[0].type != "heartbeat":
                twice.see((self._source, key), run, arrival)
        received, duplicates, again, epochs = before
        counts = (
            self._received - received,
            self._duplicates - duplicates,
            sequences.reopened_windows - again,
            len(sequences.restarts) - epochs,
        )
        self._register.names.note(_sender(events), counts, self._now, limit=self._labels.max_producers)
        return absent

    def _goes_on(self, key: str, events: list[Event]) -> bool:
        """Judge a run of events at once; return False, with nothing changed, if they must be judged one by one."""
        numbers = [event.seq for event in events if event.seq is not None]
        if len(numbers) < len(events) or events[0].type == "heartbeat":
            return False
        newest = max([event.ts or 0.0 for event in events])
        recovered = self._sequences.take(key, _epoch(events[0].epoch), numbers, newest, self._now)
        if recovered is None:
            return False
        attendance = self.attendance(_sender(events))
        attendance.received += len(numbers)
        self._received += len(numbers)
        if recovered:
            self._recover(attendance, recovered)
        return True

    def _counts(self, key: str, event: Event) -> bool:
        """Judge one event; return whether it counts."""
        if event.type == "heartbeat":
            if event.seq is not None:
                self._sequences.heartbeat(key, _epoch(event.epoch), event.seq, self._now)
            return False
        return event.seq is None or self._see(key, _sender([event]), _epoch(event.epoch), event.seq, event.ts)

    def _see(self, key: str, producer: str, epoch: str | None, seq: int, ts: float | None) -> bool:
        verdict = self._sequences.see(key, epoch, seq, ts, self._now)
        attendance = self.attendance(producer)
        if verdict == "duplicate":
            self._state.total.tallies["duplicates"][""] += 1
            attendance.duplicates += 1
            self._duplicates += 1
            return False
        if verdict == "recovered":
            self._recover(attendance, 1)
        attendance.received += 1
        self._received += 1
        return True

    def _recover(self, attendance: Attendance, numbers: int) -> None:
        self._state.total.tallies["recovered"][self._source] += numbers
        attendance.missed -= numbers
        if kind_of(self._source).rereads:
            self._register.loss(self._source).recover(numbers)

    def _measure_clock(self, events: list[Event], arrival: float) -> None:
        """Compare the newest time of a batch with its arrival: one measurement is as good as hundreds."""
        newest = next((event.ts for event in reversed(events) if event.ts is not None), None)
        if newest is not None:
            limit = self._labels.max_producers
            self._register.clocks.measure(_sender(events), arrival - newest, arrival, limit=limit)


def _by_window(events: list[Event], channels: list[str] | None) -> Mapping[str | None, list[Event]]:
    """Group events by the key of their window; events without a producer have no window."""
    sorted_out: defaultdict[str | None, list[Event]] = defaultdict(list)
    if channels is None:
        for event in events:
            sorted_out[event.producer].append(event)
    else:
        for event, channel in zip(events, channels, strict=True):
            sorted_out[event.producer and _key(channel, event.producer)].append(event)
    return sorted_out


def _runs(events: list[Event], beats: bool) -> list[list[Event]]:
    """Split the events of one producer at heartbeats and where the epoch changes."""
    if [event.epoch for event in events].count(events[0].epoch) == len(events) and not (
        beats and "heartbeat" in [event.type for event in events]
    ):
        return [events]
    return [list(run) for _, run in groupby(events, key=lambda event: (event.type == "heartbeat", event.epoch))]


def _sender(events: list[Event]) -> str:
    """Return the producer that all events share."""
    producer = events[0].producer
    assert producer is not None
    return producer


def _epoch(epoch: str | int | None) -> str | None:
    """Return the name of an epoch: 5 and "5" are the same."""
    return None if epoch is None else str(epoch)


def _key(channel: str, producer: str) -> str:
    """Return the key of a window if the source is a pattern."""
    return f"{channel}\n{producer}"


def _producer(source: str, key: str) -> str:
    """Return the producer of a key; in version 0.1 keys of patterns had no channel."""
    return key.partition("\n")[2] if "\n" in key and is_pattern(source) else key


def windows_of(fields: Mapping[str, bytes]) -> dict[str, bytes]:
    """Return the `w:` and `l:` entries of a checkpoint. Raises CheckpointError if one is damaged."""
    found = {name: value for name, value in fields.items() if name.startswith((WINDOW, LOSS))}
    for name, value in found.items():
        if not _is_window(name):
            Loss.load(name.removeprefix(LOSS), value)
            continue
        _, named, producer = name.partition("\n")
        if not named:
            raise CheckpointError(f"checkpoint field {name!r} names no producer")
        Sequences.load({producer: unseal(name, value)})
    return found


def _is_window(name: str) -> bool:
    return name.startswith(WINDOW)


def _named(source: str, dumps: Mapping[str, bytes | None]) -> dict[str, bytes | None]:
    names = {f"{WINDOW}{source}\n{producer}": dump for producer, dump in dumps.items()}
    return {name: None if dump is None else seal(name, dump) for name, dump in names.items()}
