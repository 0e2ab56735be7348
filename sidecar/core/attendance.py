"""Who sent what number: the sequence windows of all sources, and what they say of a batch.

Windows live on as events come, and so do the losses of streams; `windows` are the committed dumps of both, `unsaved`
those that changed since. They are the fields `w:<source>\\n<producer>` and `l:<source>` of the checkpoint.
"""

from collections import defaultdict
from collections.abc import Mapping

from sidecar.core.clocks import Clocks
from sidecar.core.events import Event, Rejection
from sidecar.core.labels import Labels
from sidecar.core.losses import LOSS, Loss
from sidecar.core.parts import Attendance
from sidecar.core.pending import Pending
from sidecar.core.sequence import Sequences
from sidecar.core.state import OTHER
from sidecar.core.stored import seal, unseal
from sidecar.errors import CheckpointError

WINDOW = "w:"
# A batch of a backlog spans minutes: against when its last entry came, no clock can be measured.
TOGETHER_SECONDS = 0.1


class Register:
    """The windows of every source."""

    def __init__(self) -> None:
        self.windows: dict[str, bytes] = {}
        self.unsaved: dict[str, bytes | None] = {}
        self.clocks = Clocks()
        self._sequences: dict[str, Sequences] = {}
        self._losses: dict[str, Loss] = {}
        self._sources: set[str] = set()

    def load(self, windows: dict[str, bytes]) -> None:
        """Take over windows that were committed, with the holes that wait in them, however silent their source is."""
        self.windows = windows
        self._sources.update(name.removeprefix(WINDOW).partition("\n")[0] for name in windows if _is_window(name))

    def sequences(self, source: str) -> Sequences:
        """Return the windows of a source, as committed when first asked for."""
        if source not in self._sequences:
            self._sources.add(source)
            start = f"{WINDOW}{source}\n"
            stored = {name[len(start) :]: name for name in self.windows if name.startswith(start)}
            self._sequences[source] = Sequences.load(
                {producer: unseal(name, self.windows[name]) for producer, name in stored.items()}
            )
        return self._sequences[source]

    def loss(self, source: str) -> Loss:
        """Return what a stream lost, as committed when first asked for."""
        if source not in self._losses:
            self._sources.add(source)
            stored = self.windows.get(LOSS + source)
            self._losses[source] = Loss() if stored is None else Loss.load(source, stored)
        return self._losses[source]

    def advance(self, source: str, pending: Pending, labels: Labels, now: float) -> None:
        """Count the holes of a source that are missed by now, and note which windows changed."""
        sequences = self.sequences(source)
        call = RollCall(self, source, pending, labels, now)
        for producer, missed in sequences.advance(now).items():
            call.attendance(producer).missed += missed
            counted = self.loss(source).miss(missed) if _is_stream(source) else missed
            pending.state.total.tallies["missed"][source] += counted
        self.unsaved.update(_named(source, sequences.changed()))
        if source in self._losses:
            self._note(source, self._losses[source])

    @property
    def sources(self) -> list[str]:
        """The sources that have sent numbers, now or before a restart, or were asked for."""
        return sorted(self._sources)

    def land(self, windows: Mapping[str, bytes | None]) -> None:
        """Take over windows that were committed; one that changed since stays unsaved."""
        for name, value in windows.items():
            if value is None:
                self.windows.pop(name, None)
            else:
                self.windows[name] = value
            if name in self.unsaved and self.unsaved[name] == value:
                del self.unsaved[name]

    def drop(self, source: str) -> None:
        """Go back to what is committed: the source will be read again from there."""
        self._sequences.pop(source, None)
        self._losses.pop(source, None)
        start = f"{WINDOW}{source}\n"
        self.unsaved = {
            name: value for name, value in self.unsaved.items() if not name.startswith(start) and name != LOSS + source
        }

    def save(self, source: str) -> None:
        """Have every window of a source committed again: what is stored is older."""
        self.unsaved.update(_named(source, self.sequences(source).dump()))

    def _note(self, source: str, loss: Loss) -> None:
        """Have a loss committed if it changed."""
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

    def attend(self, events: list[Event], arrivals: list[float]) -> tuple[list[Event], list[float]]:
        """Return the events that count, that is, neither heartbeats nor duplicates, with their arrivals."""
        beats = "heartbeat" in [event.type for event in events]
        arrived_together = bool(arrivals) and arrivals[-1] - arrivals[0] < TOGETHER_SECONDS
        absent: set[int] = set()  # ids: events are mutable, and as values they may be equal
        for producer, mine in _by_producer(events).items():
            if producer is not None:
                if arrived_together:
                    self._measure_clock(producer, mine, arrivals[-1])
                if beats or not self._goes_on(producer, mine):
                    absent.update(id(event) for event in mine if not self._counts(producer, event))
            elif beats:
                absent.update(id(event) for event in mine if event.type == "heartbeat")
        if not absent:
            return events, arrivals
        present = [at for at, event in enumerate(events) if id(event) not in absent]
        return [events[at] for at in present], [arrivals[at] for at in present]

    def refuse(self, refused: Rejection) -> int:
        """See the numbers of what was refused; return how many events it was that are no duplicates."""
        if not refused.numbers:
            return 1
        return sum(self._see(producer, _epoch(epoch), seq, None) for producer, epoch, seq in refused.numbers)

    def attendance(self, producer: str) -> Attendance:
        """Return where the numbers of a producer are counted."""
        label = self._labels.admit("producer", producer)
        if label is OTHER:
            self._state.total.tallies["overflow"]["producer"] += 1
        return self._state.producers.setdefault(f"{self._source}\n{label}", Attendance())

    def _goes_on(self, producer: str, events: list[Event]) -> bool:
        """Take events whose numbers just go on all at once; False, with nothing done, for any others."""
        numbers = [event.seq for event in events]
        first, epoch = numbers[0], events[0].epoch
        if first is None or numbers != list(range(first, first + len(numbers))):
            return False
        if [event.epoch for event in events].count(epoch) < len(events):
            return False
        newest = max([event.ts or 0.0 for event in events])
        if not self._sequences.go_on(producer, _epoch(epoch), first, first + len(numbers) - 1, newest, self._now):
            return False
        self.attendance(producer).received += len(numbers)
        return True

    def _counts(self, producer: str, event: Event) -> bool:
        """See one event by itself; tell whether it counts."""
        if event.type == "heartbeat":
            if event.seq is not None:
                self._sequences.heartbeat(producer, _epoch(event.epoch), event.seq, self._now)
            return False
        return event.seq is None or self._see(producer, _epoch(event.epoch), event.seq, event.ts)

    def _see(self, producer: str, epoch: str | None, seq: int, ts: float | None) -> bool:
        verdict = self._sequences.see(producer, epoch, seq, ts, self._now)
        tallies = self._state.total.tallies
        attendance = self.attendance(producer)
        if verdict == "duplicate":
            tallies["duplicates"][""] += 1
            attendance.duplicates += 1
            return False
        if verdict == "recovered":
            tallies["recovered"][self._source] += 1
            attendance.missed -= 1
            if _is_stream(self._source):
                self._register.loss(self._source).recover()
        attendance.received += 1
        return True

    def _measure_clock(self, producer: str, events: list[Event], arrival: float) -> None:
        """Compare the newest time of a batch with when it came: one measure is as good as hundreds."""
        newest = next((event.ts for event in reversed(events) if event.ts is not None), None)
        if newest is not None:
            self._register.clocks.measure(producer, arrival - newest, arrival, limit=self._labels.max_producers)


def _by_producer(events: list[Event]) -> Mapping[str | None, list[Event]]:
    sorted_out: defaultdict[str | None, list[Event]] = defaultdict(list)
    for event in events:
        sorted_out[event.producer].append(event)
    return sorted_out


def _epoch(epoch: str | int | None) -> str | None:
    """Return the name of an epoch: 5 and "5" are the same."""
    return None if epoch is None else str(epoch)


def windows_of(fields: Mapping[str, bytes]) -> dict[str, bytes]:
    """Return the `w:` and `l:` fields of a checkpoint, all of them sound.

    Raises CheckpointError if one of them is damaged.
    """
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


def _is_stream(source: str) -> bool:
    return source.startswith("stream:")


def _named(source: str, dumps: Mapping[str, bytes | None]) -> dict[str, bytes | None]:
    names = {f"{WINDOW}{source}\n{producer}": dump for producer, dump in dumps.items()}
    return {name: None if dump is None else seal(name, dump) for name, dump in names.items()}
