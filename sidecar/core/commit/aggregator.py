"""The Aggregator: the only mutable state. It turns batches into pending counts, and pending into committed counts.

Pending counts are separate for each source: those of a stream can be dropped and read again, those of pub/sub cannot.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping
from random import Random
from typing import Any

from msgspec import Struct

from sidecar.core.checkpoint.state import dump_state, load_state
from sidecar.core.counts.custom_definition import CustomMetric
from sidecar.core.counts.custom_metrics import CustomCounting
from sidecar.core.counts.custom_series import metric_of
from sidecar.core.counts.drift import Drift
from sidecar.core.counts.exemplars import Exemplars
from sidecar.core.counts.history import mark_counted, reach_peak, write_gauges, write_percentiles
from sidecar.core.counts.in_flight import Course
from sidecar.core.counts.labels import Labels, first_met
from sidecar.core.counts.liveness import Changes
from sidecar.core.counts.order_memory import REMEMBERED, Memory
from sidecar.core.counts.parts import Reading
from sidecar.core.counts.pending import Pending, RejectedEvent
from sidecar.core.counts.queue_read import QueueRead, QueueReading
from sidecar.core.counts.rules import AHEAD_SECONDS, CONNECTION_SECONDS, GRACE_SECONDS, Rules
from sidecar.core.counts.state import State
from sidecar.core.counts.tally import Tally, fold
from sidecar.core.counts.understanding import Understanding
from sidecar.core.events.batch import Batch
from sidecar.core.events.by_channel import Origins, decode_by_channel
from sidecar.core.events.currencies import looks_minor
from sidecar.core.events.decode import Decoder, decode, unknown_fields
from sidecar.core.events.event import EARLIEST, Decoded, Event, Rejection
from sidecar.core.events.rejections import without_event
from sidecar.core.events.source import kind_of
from sidecar.core.sale.following import Following, keep, keep_stored
from sidecar.core.sequence.roll_call import Register, RollCall, windows_of
from sidecar.core.snapshot.compute import is_stale

UNKNOWN_FIELDS_KEPT = 100  # more are no misspellings
MISSED_UNDER = "wgen"  # checkpoint entry: the last clear before the sequence windows counted their missed numbers
HEARD_SECONDS = 10.0  # how old the stored time of a producer with connections becomes before it is stored again
DELIVERY = "delivery"  # the order memory keeps names of deliveries under this instead of a status
NO_SOURCE = ""  # for counts that belong to no single source
LOOK_SECONDS = 0.05  # a sample is enough: a misspelled field is in many events


class Flight(Struct, frozen=True):
    """What one commit carries: the pending counts by source, and the changed parts in absolute values.

    `moved` is True if it contains the whole order memory.
    """

    pending: dict[str, Pending]
    merged: State
    windows: dict[str, bytes | None]
    removed: list[tuple[str, object]]
    moved: bool
    custom_metrics: tuple[CustomMetric, ...] = ()


class Aggregator:
    """Count batches; freeze pending counts into a flight; keep committed counts."""

    def __init__(
        self,
        rules: Rules,
        random: Random,
        decoders: Mapping[str, Decoder] | None = None,
        foreign: Mapping[str, Counter[tuple[str, str, str]]] | None = None,
    ) -> None:
        """`decoders` are those of sources that need one of their own.

        `foreign` sources do not publish our events; each counts what its mappings took (Decoded.taken).
        """
        self._rules = rules
        self._decoders = decoders or {}
        self._foreign = foreign or {}
        self._random = random
        self.committed = State()
        self.register = Register()
        self.born: dict[tuple[str, str], float] = {}
        self.exemplars: Exemplars = {}
        self.unknown_fields: set[str] = set()
        self.understanding = Understanding()
        self.amounts: Counter[bool] = Counter()  # a sample of amounts: True for those that may be cents
        self.following = Following()
        self._looked_at = 0.0
        self._pending = self._nothing_pending()
        self._flying: dict[str, Pending] = {}  # the pending counts in a flight that may still land
        self._labels = Labels(rules)
        self._custom = CustomCounting(rules.custom_metrics)
        self.redefined: set[str] = set()  # custom metrics whose stored series another definition counted
        self._gone: set[tuple[str, Any]] = set()  # parts that a step of the clock removed, but not in the store yet
        self._memory = Memory()
        self._drift = Drift()
        self._refitted: set[str] = set()  # timings whose buckets restarted at 0, but not in the store yet
        self._moved = False  # whether a step changed the order memory, but not in the store yet

    def adopt(self, rules: Rules) -> None:
        """Count by other rules from now on."""
        self._rules = rules
        self._relearn()

    def pending_events(self) -> int:
        """Return how many events are counted, but not frozen yet."""
        return sum(sum(p.state.total.tallies["received"].values()) for p in self._pending.values())

    def apply(self, batch: Batch, now: float) -> None:
        """Count a batch."""
        pending = self._pending[batch.source]
        origins: Origins | None = None
        arrivals = _arrivals(batch.arrivals, now)
        decoder = self._decoders.get(batch.source, decode)
        if batch.channels is None:
            decoded = decoder(batch.payloads, arrivals)
        else:
            decoded, origins = decode_by_channel(decoder, batch.payloads, arrivals, batch.channels)
        if batch.payloads and now >= self._looked_at + LOOK_SECONDS:
            own = batch.payloads[:1] if batch.source not in self._foreign else []  # others have fields of their own
            self._look(own, decoded.events[:1], now)
        if batch.source in self._foreign:
            self._foreign[batch.source].update(decoded.taken)
        pending.heard |= bool(batch.payloads or batch.empty)
        received, ignored = self._count(batch.source, pending, decoded, now, origins)
        if batch.empty:
            received += self._count_empty(batch, pending, now)
        if received:
            pending.state.total.tallies["received"][batch.source] += received
            self.understanding.saw(batch.source, now, received)
            self.understanding.ignored(batch.source, now, ignored, batch.payloads)
        if pending.is_full:
            fold(pending, self._labels, self._rules, now)

    def miss(self, source: str, entries: int) -> None:
        """Count stream entries that were deleted before they were read, except those that holes have counted."""
        missed = self.register.loss(source).lose(entries)
        self._pending[source].state.total.tallies["missed"][source] += missed

    def settle(self, source: str) -> None:
        """Note that a stream was read to its end: all entries that its counter shows are counted."""
        self.register.loss(source).numbers = 0

    def blind(self, seconds: float) -> None:
        """Count time in which events that cannot be read again may have been missed."""
        self._pending[NO_SOURCE].state.total.tallies["blind_ms"][""] += round(seconds * 1000)

    def read(self, readings: Mapping[str, QueueReading]) -> set[str]:
        """Take what queues said themselves, by their names here; return the names that there is no room for."""
        reads = self._pending[NO_SOURCE].state.reads
        fit = {name for name in readings if self._labels.admit("queue", name) == name}
        reads.update({name: QueueRead(readings[name]) for name in fit})
        return readings.keys() - fit

    def watch(self, now: float, *, hears: bool) -> Changes:
        """Judge which producers are alive; `hears`: every source was connected since the last call."""
        runs = self.committed.total.sale.state == "running"
        return self.register.watch.look(self.register.heard, now, hears=hears, sale=runs)

    def begin(self, now: float) -> None:
        """Begin counting without a checkpoint."""
        self._pending[NO_SOURCE].state.total.since = now

    def freeze(self, now: float) -> Flight:
        """Move all pending counts into a flight; pending starts empty."""
        for source in self.register.sources:
            self.register.advance(source, self._pending[source], self._labels, now)
        self._pending[NO_SOURCE].state.total.tallies["twice"][""] += self.register.count_twice(now)
        self.register.forget(now)
        for pending in self._pending.values():
            fold(pending, self._labels, self._rules, now)
            pending.date(now, GRACE_SECONDS)
        self._flying, self._pending = dict(self._pending), self._nothing_pending()
        taken = self._flying.values()
        deltas = [pending.state for pending in taken]
        merged = self.committed.changed_by(*deltas)
        write_gauges(merged, self.committed, taken, self._listen(merged, now), now)
        write_percentiles(merged, self.committed, deltas)
        since, blind = self.committed.total.committed_at, any(d.total.tallies["blind_ms"].total() for d in deltas)
        if since is not None and not blind and not is_stale(since, now, self._rules.commit_interval):
            mark_counted(merged, self.committed, since, now)
        reach_peak(merged, deltas)
        self._compare(merged, now)
        silent = any(sign.state == "silent" for sign in self.register.watch.signs.values())
        self.following.follow(merged, self.committed, taken, now, silent=silent)
        expired_phases = self.following.go_on(merged, self.committed, taken, now, self._rules.commit_interval)
        merged.signs.update(self.register.watch.unsaved(self.committed.signs))
        if self._moved:
            self._write_memory_again(merged)
        for key in self._refitted - merged.timings.keys():
            merged.timings[key] = self.committed.timings[key].copy()
        merged.total.committed_at, merged.total.commit_interval = now, self._rules.commit_interval
        expired = {*self.committed.expired(now, self._rules.commit_interval), *self._gone}
        expired |= {("signs", name) for name in self.committed.signs.keys() - self.register.watch.signs.keys()}
        expired |= {("sales", id) for id in self.following.deleted} | expired_phases
        removed = [(name, key) for name, key in sorted(expired) if key not in getattr(merged, name)]
        moved, self._moved = self._moved, False
        unsaved = dict(self.register.unsaved)
        return Flight(self._flying, merged, unsaved, removed, moved, self._rules.custom_metrics)

    def land(self, flight: Flight, now: float) -> None:
        """Add the flight to the committed counts; it must not be used afterwards."""
        self._bear(flight.merged, now)
        self.committed.replace(flight.merged)
        self.committed.remove(flight.removed)
        self._refitted.clear()
        self._flying = {}
        self._labels.retain("connection", self._connected())
        self.register.listen(self._connected())
        self.register.land(flight.windows)
        self._gone -= {(name, key) for name, parts in flight.merged.sections() for key in parts}
        self._gone.difference_update(flight.removed)

    def thaw(self, flight: Flight) -> None:
        """Make the flight pending again, ahead of what came after it."""
        for source, earlier in flight.pending.items():
            earlier.merge(self._pending[source])
            self._pending[source] = earlier
        self._flying = {}
        self._moved |= flight.moved

    def step(self, by: float, now: float, flight: Flight | None = None) -> None:
        """Follow a clock that was set by `by` seconds, to `now`. `flight` is the commit in flight.

        `by` is 0 if the stored times are of another clock: then only times in the future are corrected.
        """
        flying = flight.pending.values() if flight else ()
        for pending in self._pending.values():
            fold(pending, self._labels, self._rules, now - by)
        for pending in (*self._pending.values(), *flying):
            pending.step(by, now)
        for state in (self.committed, flight.merged) if flight else (self.committed,):
            gone = state.step(by, now)
            self._gone.update(gone)
            self._moved |= any(section in REMEMBERED for section, _ in gone)
        if flight:  # the seconds that it removes may now belong to other parts
            flight.removed[:] = [(section, key) for section, key in flight.removed if section not in REMEMBERED]
        self.register.step(by, now)
        self.following.step(now)
        self._drift.restart()
        self.born = {label: at + by for label, at in self.born.items()}
        self.understanding.step(by)
        self._looked_at += by
        if by < 0:
            self.exemplars.clear()  # new exemplars would be older
        self._relearn()

    def drop_streams(self) -> None:
        """Drop the pending counts of streams; their entries will be read again."""
        for source in [*self._pending]:
            if kind_of(source).rereads:
                del self._pending[source]
        for source in self.register.sources:
            if kind_of(source).rereads:
                self.register.drop(source)
        self._relearn()

    def load(self, fields: Mapping[str, bytes], *, same_generation: bool) -> None:
        """Load a checkpoint. Pending pub/sub counts stay; events of pub/sub that it lacks count as missed.

        Raises CheckpointError, and changes nothing, if any part is damaged.
        """
        before, found, windows = self.committed, load_state(fields), windows_of(fields)
        kept = [source for source in self.register.sources if not kind_of(source).rereads]
        self.committed = found
        self._refitted = self.committed.fit(self._rules.buckets_ns)
        if same_generation:
            self._miss_what_rolled_back(before)
        else:
            self._forget_missed()
        self.register.watch.load(found.signs)
        last_clear = fields.get("gen", b"").partition(b" ")[0]  # as of generation.py
        was_cleared = fields.get(MISSED_UNDER, last_clear) != last_clear
        if was_cleared:
            keep_stored(self.committed, fields.get("cleared", b""))
        self.following.hear(fields.get("said", b"").decode("utf-8", "replace"))
        self.following.learn(found)
        for pending in self._pending.values():
            pending.slow_ns = self.following.slow_ns
        self.register.load(windows, cleared=was_cleared)
        for source in kept:
            self.register.save(source)
        self._moved = False
        self._drop_redefined()
        self.born.clear()
        self.drop_streams()

    def clear(self, now: float) -> None:
        """Empty the committed counts; sequence windows stay, but forget their missed numbers."""
        before, self.committed = self.committed, State()
        self._refitted.clear()
        self.committed.total.since, self.committed.total.committed_at = now, before.total.committed_at
        keep(self.committed, before)
        pending = self._pending[NO_SOURCE]
        pending.state.total.since = None
        below = min(sum(part.level for part in self._pending.values()), 0)
        pending.state.total.tallies["beside"]["unseen"] -= below  # they were pending before the clear
        pending.level -= below
        self._forget_missed()
        self.register.watch.load({})
        self.born.clear()
        self.exemplars.clear()
        self.understanding = Understanding()
        self.unknown_fields.clear()
        self.amounts.clear()
        self._relearn()

    def clear_metrics(self, names: Collection[str]) -> None:
        """Empty the committed counts of custom metrics."""
        self.committed.custom = {
            key: series for key, series in self.committed.custom.items() if metric_of(key) not in names
        }
        self._relearn()

    def fields(self) -> dict[str, bytes]:
        """Return everything committed as checkpoint entries."""
        return {**dump_state(self.committed), **self.register.windows}

    def _nothing_pending(self) -> defaultdict[str, Pending]:
        return defaultdict(lambda: Pending(self._random, self.following.slow_ns))

    def _count(
        self, source: str, pending: Pending, decoded: Decoded, now: float, origins: Origins | None = None
    ) -> tuple[int, Mapping[str, int]]:
        """Count events and rejections in order of arrival; return how many were received, and ignored by type."""
        call = RollCall(self.register, source, pending, self._labels, now)
        course = Course(
            pending,
            self._memory,
            level=self._level_beside(pending),
            worded=decoded.worded,
            count_repeats=self._rules.count_repeats,
            now=now,
        )
        count = Tally(
            pending,
            course,
            labels=self._labels,
            rules=self._rules,
            exemplars=self.exemplars,
            now=now,
            custom=self._custom.types,
        )
        received = start = 0
        for at, end in enumerate([*decoded.events_before, len(decoded.events)]):
            channels = None if origins is None else origins.events[start:end]
            events, arrivals = decoded.events[start:end], decoded.arrivals[start:end]
            events, arrivals = call.attend(events, arrivals, channels, only_orders=decoded.shared.only_orders)
            if decoded.repeats:
                events, arrivals = self._first_deliveries(events, arrivals, decoded.repeats, pending, now)
            count.add(events, arrivals, decoded.shared)
            if self._custom.types:
                only_orders = decoded.shared.only_orders
                self._custom.count(events, decoded.extras, pending.state.custom, only_orders=only_orders)
            received += len(events)
            if decoded.adjusted:
                for event in events:
                    pending.state.total.tallies["adjusted"].update(decoded.adjusted.get(id(event), ()))
            if at < len(decoded.rejections):
                rejection = decoded.rejections[at]
                if numbers := call.reject(rejection, None if origins is None else origins.rejections[at]):
                    self._reject(source, pending, rejection, now)
                    received += numbers
            start = end
        return received, count.ignored

    def _first_deliveries(
        self, events: list[Event], arrivals: list[float], names: Mapping[int, str], pending: Pending, now: float
    ) -> tuple[list[Event], list[float]]:
        """Return the events that were not delivered before, with their arrivals; count the others as duplicates."""
        said, repeats = pending.state.said, self._memory.repeats
        new = [
            at
            for at, event in enumerate(events)
            if not ((name := names.get(id(event))) and repeats(said, DELIVERY, name, now))
        ]
        pending.state.total.tallies["duplicates"][""] += len(events) - len(new)
        return [events[at] for at in new], [arrivals[at] for at in new]

    def _count_empty(self, batch: Batch, pending: Pending, now: float) -> int:
        """Reject the entries without an event; return how many were received."""
        call, received = RollCall(self.register, batch.source, pending, self._labels, now), 0
        for entry in batch.empty:
            lacking = without_event(entry.id, entry.fields, now, mapped=batch.source in self._foreign)
            if numbers := call.reject(lacking):
                self._reject(batch.source, pending, lacking, now)
                received += numbers
        return received

    def _look(self, payloads: list[bytes], events: list[Event], now: float) -> None:
        """Check payloads for unknown fields, and events for an amount in cents: one of each is enough."""
        self._looked_at = now
        for payload in payloads:
            room = UNKNOWN_FIELDS_KEPT - len(self.unknown_fields)
            self.unknown_fields.update(sorted(unknown_fields(payload) - self.unknown_fields)[:room])
        for event in events:
            currency = event.currency or self._rules.currency
            if event.amount is not None and (minor := looks_minor(event.amount, currency)) is not None:
                self.amounts[minor] += 1

    def _reject(self, source: str, pending: Pending, rejection: Rejection, now: float) -> None:
        self.understanding.rejected(source, now, rejection)
        pending.state.total.tallies["invalid"][rejection.reason] += 1
        text = rejection.payload.decode("utf-8", "backslashreplace")
        pending.rejected.append(RejectedEvent(rejection.arrival, source, rejection.reason, rejection.detail, text))

    def _listen(self, merged: State, now: float) -> dict[str, Reading]:
        """Update the stored times of producers that are too old; return all committed connections with these times."""
        known = dict(self.committed.connections)
        for name, reading in known.items():
            heard = self.register.heard.get(name, 0.0)
            if reading.seen < now - HEARD_SECONDS and reading.seen < heard >= now - CONNECTION_SECONDS:
                known[name] = reading.copy()
                known[name].hear(heard)
                merged.connections.setdefault(name, reading.copy()).hear(heard)
        return known

    def _compare(self, merged: State, now: float) -> None:
        """Compare the orders with the finished jobs of the queue whose jobs decide them."""
        orders = merged.total.tallies["orders"]
        for name, part in merged.reads.items():
            if name == self._rules.order_queue:
                self._drift.judge(part, orders["success"] + orders["failed"], now)
            else:
                part.balance = None  # it may have been compared before a restart with another configuration

    def _write_memory_again(self, merged: State) -> None:
        """Add the whole order memory to `merged`."""
        for name in REMEMBERED:
            parts = getattr(merged, name)
            parts.update({key: part.copy() for key, part in getattr(self.committed, name).items() if key not in parts})

    def _bear(self, merged: State, now: float) -> None:
        """Remember when label sets were first committed, until `new_series_hold` has passed."""
        fresh = first_met(self.committed, merged, self._rules.products)
        self.born = {label: at for label, at in self.born.items() if now - at < self._rules.new_series_hold}
        self.born.update(dict.fromkeys(fresh, now))

    def _miss_what_rolled_back(self, before: State) -> None:
        """Count as missed what pub/sub had published (received or missed) and the loaded checkpoint lacks."""
        known, found = before.total.tallies, self.committed.total.tallies
        for source in known["received"].keys() | known["missed"].keys():
            lost = _published(known, source) - _published(found, source)
            if not kind_of(source).rereads and lost > 0:
                self._pending[source].state.total.tallies["missed"][source] += lost

    def _drop_redefined(self) -> None:
        """Forget the series of custom metrics that are defined otherwise now."""
        for key in self._custom.outdated(self.committed.custom):
            del self.committed.custom[key]
            self._gone.add(("custom", key))
            self.redefined.add(metric_of(key))

    def _forget_missed(self) -> None:
        """Forget missed numbers, also those that were recovered since the last commit: those count as new."""
        self.register.forget_missed()
        for pending in self._pending.values():
            for key, part in pending.state.producers.items():
                if part.missed < 0:
                    pending.state.total.tallies["recovered"][key.split("\n")[0]] += part.missed
                    part.missed = 0

    def _connected(self) -> set[str]:
        """Return the names of the producers that have open connections."""
        return set(self.committed.connections).union(*(one.state.connections for one in self._pending.values()))

    def _relearn(self) -> None:
        self.register.listen(self._connected())
        self._labels, self._memory = Labels(self._rules), Memory()
        self._custom = CustomCounting(self._rules.custom_metrics)
        uncommitted = [*self._flying.values(), *self._pending.values()]
        states = (self.committed, *(pending.state for pending in uncommitted))
        for state in states:
            self._labels.learn(state)
            self._custom.learn(state.custom)
        said = [item for state in states for item in state.said.items()]
        self._memory.learn(said, [item for state in states for item in state.ended.items()])
        before = self.committed.total.tallies["orders"]["pending"] > 0
        self._memory.followed = before or any(pending.followed for pending in uncommitted)

    def _level_beside(self, pending: Pending) -> int:
        """Return how many orders are in flight in all counts except `pending`."""
        parts = (*self._flying.values(), *self._pending.values())
        return self.committed.total.in_flight + sum(part.level for part in parts if part is not pending)


def _arrivals(arrivals: list[float], now: float) -> list[float]:
    """Return when entries arrived; `now` for ids that are no time, since a client can choose any id."""
    latest = now + AHEAD_SECONDS
    if arrivals and min(arrivals) >= EARLIEST and max(arrivals) <= latest:
        return arrivals
    return [arrival if EARLIEST <= arrival <= latest else now for arrival in arrivals]


def _published(tallies: Mapping[str, Counter[str]], source: str) -> int:
    return tallies["received"][source] + tallies["missed"][source] - tallies["recovered"][source]
