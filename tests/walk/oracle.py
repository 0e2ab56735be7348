"""What must be shown, from the contract alone: it knows what was published and happened, and no line of the sidecar.

`Oracle` keeps apart what Redis stores, what was sent to it without an answer, and what was heard since: a crash loses
the last two, a clear the first. `Counts` is one recount.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from copy import deepcopy
from dataclasses import replace
from typing import Any

from tests.walk import custom
from tests.walk.counts import (
    AHEAD_SECONDS,
    FIELDS,
    HEARD_SECONDS,
    LATE_SECONDS,
    PUBSUB,
    SILENT_SECONDS,
    STREAM,
    WORDS,
    Counts,
    Heard,
    Reading,
    fault_of,
    newest,
)
from tests.walk.numbers import Numbers
from tests.walk.places import LIMITS, Places, limited
from tests.walk.steps import Event, Settings


class Oracle:
    """What is stored, sent and heard; and what the windows of numbers say."""

    def __init__(self) -> None:
        self.stored: Counts | None = None
        self.numbers = {PUBSUB: Numbers(), STREAM: Numbers()}
        self.heard_of: dict[str, float] = {}  # producers, by the clock that nobody sets
        self.since_start = 0.0  # when the sidecar last began, by that clock
        self.sent: list[Heard] | None = None
        self.landed = False
        self.heard: list[Heard] = []
        self.stored_entry = 0
        self.clock_set = False  # since the sidecar began
        self.clock_ever_set = False
        self.committed_at = 0.0  # when what is stored was sent, by the clock that nobody sets
        self.places = Places()  # of what is stored
        self.settings = Settings()
        self.just_cleared = False  # nothing was stored since
        self._sent_at = 0.0

    # What happens

    def start(self, now: float, wall: float) -> None:
        """A sidecar takes over what is stored."""
        self.since_start = now
        self.places.forget()
        if self.stored:  # what was timed by the clock of before a step may lie in the future: it counts as of now
            if self.clock_set:
                self.stored.outlasting |= self.stored.connections.keys()
            self.stored.outlasting &= self.stored.connections.keys()
            self.stored.perhaps_silent |= self.stored.outlasting
            self.heard_of |= dict.fromkeys(self.stored.outlasting, now)
        self.clock_set = False
        if self.stored is None:
            self.stored = Counts(wall)

    def hear(self, heard: Heard) -> None:
        """A payload is read."""
        self.heard.append(replace(heard, settings=self.settings))

    def read(self, published: Mapping[int, Heard], there: Collection[int], now: float) -> None:
        """The stream is read to its end: what was published after what was read before is there, or lost."""
        after = max([self.stored_entry, *(heard.entry for heard in (*(self.sent or ()), *self.heard))])
        unread = sorted(entry for entry in published if entry > after)
        for entry in unread:
            heard = replace(published[entry], entry=entry, read=now)
            self.hear(heard if entry in there else replace(heard, events=(), lost=1))

    def commit(self, now: float, how: str = "ok") -> None:
        """A commit is sent; what was sent before without an answer is sent again, alone."""
        if self.sent is None:
            self.sent, self.heard, self.landed = self.heard, [], False
            self._sent_at = now
        if how != "away" and not self.landed:
            assert self.stored is not None
            self._store(self.stored, self.sent, self._sent_at)
            self.places.fill(self.stored)
            self.landed, self.committed_at, self.just_cleared = True, self._sent_at, False
        if how == "ok":
            self.sent = None
            self.places.bear(now)

    def crash(self) -> None:
        """The sidecar is gone, with what it had not stored."""
        self.sent, self.heard, self.landed = None, [], False

    def bucket(self, bounds_ms: tuple[float, ...]) -> None:
        """Other buckets are configured: the histograms of the exposition restart at 0."""
        if bounds_ms != self.settings.buckets_ms:
            self.settings = self.settings._replace(buckets_ms=bounds_ms)
            assert self.stored is not None
            self.stored.other_buckets = {name: len(values) for name, values in self.stored.times.items()}

    def clear(self, now: float, wall: float) -> None:
        """What is stored is cleared; what is not counts after it."""
        full = {kind for kind in LIMITS if self.places.full(kind)}
        unsure = full if self.sent or self.heard else set()  # what is not committed may have been put beyond
        self.places = Places(unsure=unsure)
        if self.sent is not None and not self.landed:
            self.heard = self.sent + self.heard
            self.sent = None
        before = self.stored or Counts(wall)
        self.stored, self.committed_at, self.just_cleared = Counts(wall), now, True
        self.stored.lost_before = before.lost + before.lost_before
        self.stored.missed_before = before.missed[STREAM] + before.missed_before
        self.stored.mixed = before.in_flight > 0  # what is read before the sidecar hears of it may decide those
        for numbers in self.numbers.values():
            numbers.forget_missed()

    def clear_metric(self, name: str) -> None:
        """What is stored of one custom metric is cleared; what is not counts after it."""
        assert self.stored is not None
        gauge = name == custom.WAITING.name
        cleared = [key for key in self.stored.custom if key[0] == name]
        if not (self.stored.newest_custom.values if gauge else cleared):
            return
        if self.sent is not None and not self.landed:
            self.heard = self.sent + self.heard
            self.sent = None
        for key in cleared:
            del self.stored.custom[key]
        if gauge:
            self.stored.newest_custom = custom.Newest()

    def save(self) -> "Oracle":
        """Return what a replica would have."""
        return deepcopy(self)

    def fail_over(self, saved: "Oracle", now: float) -> bool:
        """Redis is what it was; return whether counts were lost.

        Where the stream took no part since, memory is the better truth. Otherwise counts are those of then, the stream
        is read on from there, and what pub/sub had told since is missed.
        """
        if saved.stored_entry == self.stored_entry:
            return False
        assert self.stored is not None and saved.stored is not None
        lost = self.stored.published(PUBSUB) - saved.stored.published(PUBSUB)
        saved.places.follow(self.places, now)
        self.stored, self.places, self.stored_entry = saved.stored, saved.places, saved.stored_entry
        self.numbers[STREAM] = saved.numbers[STREAM]
        self.stored.missed[PUBSUB] += lost
        self.stored.rolled_back = True
        self.stored.perhaps_silent |= self.stored.connections.keys()
        return True

    @property
    def shown(self) -> Counts:
        """What is stored, under the names that are shown."""
        assert self.stored is not None
        return limited(self.stored, self.places)

    # Counting

    def _store(self, counts: Counts, payloads: Iterable[Heard], now: float) -> None:
        counts.orders_from.clear()
        if not counts.followed:
            counts.perhaps_known.clear()
        for heard in payloads:
            counts.lost += heard.lost
            self.stored_entry = max(self.stored_entry, heard.entry)
            for event in heard.events:
                self._count(counts, heard, event)
        self._fall_silent(counts, now)
        counts.mixed |= len(counts.orders_from) > 1
        for source, numbers in self.numbers.items():
            for producer, missed in numbers.miss(now).items():
                counts.missed[source] += missed
                self._attendance(counts, producer)["missed"] += missed

    def _fall_silent(self, counts: Counts, now: float) -> None:
        """Forget the connections of who was silent for a minute."""
        for producer in list(counts.connections):
            heard = self.heard_of[producer]
            if now - heard > SILENT_SECONDS:
                del counts.connections[producer]
            elif now - heard > SILENT_SECONDS - HEARD_SECONDS and self.since_start >= heard:
                counts.perhaps_silent.add(producer)

    def _attendance(self, counts: Counts, producer: str) -> Counter[str]:
        counts.numbered = True
        return counts.producers.setdefault(producer, Counter())

    def _count(self, counts: Counts, heard: Heard, event: Event) -> None:
        fields: dict[str, Any] = _numbers_in(event) if isinstance(event, str) else event
        if producer := fields.get("producer"):
            self.heard_of[producer] = max(self.heard_of.get(producer, 0.0), heard.published)
        if not self._is_new(counts, heard, fields, refused=fault_of(event) is not None):
            return
        counts.received[heard.source] += 1
        fault = fault_of(event)
        if fault is not None:
            counts.invalid[fault] += 1
            return
        assert isinstance(event, dict)
        self._count_new(counts, heard, event)

    def _is_new(self, counts: Counts, heard: Heard, event: dict[str, Any], *, refused: bool) -> bool:
        """Look at the number of an event: tell whether it is neither a repeat nor a heartbeat."""
        producer, epoch, seq = event.get("producer"), event.get("epoch"), event.get("seq")
        if event.get("type") == "heartbeat":
            if producer and seq:
                self.numbers[heard.source].beat(producer, epoch, seq, heard.read)
            return False
        if not producer or not seq:
            return True
        ts = None if refused else _explicit(event, heard)
        verdict = self.numbers[heard.source].see(producer, epoch, seq, ts, heard.read)
        attendance = self._attendance(counts, producer)
        if verdict == "duplicate":
            counts.duplicates += 1
            attendance["duplicates"] += 1
            return False
        if verdict == "recovered":
            counts.recovered[heard.source] += 1
            attendance["missed"] -= 1
        attendance["received"] += 1
        return True

    def _count_new(self, counts: Counts, heard: Heard, event: dict[str, Any]) -> None:
        ts = _explicit(event, heard)
        at = heard.published_wall if ts is None or ts > heard.published_wall + AHEAD_SECONDS else ts
        if heard.published_wall - at > LATE_SECONDS:
            counts.late += 1
        moment = heard.published + (at - heard.published_wall), heard.published
        kind = event.get("type", "order")
        custom.count(counts.custom, kind, WORDS[event["status"].lower()] if kind == "order" else None, event)
        match kind:
            case "order":
                counts.orders_from.add(heard.source)
                counts.order(event, int(at), heard.read, heard.settings)
            case "visit":
                pass  # only a custom metric counts it
            case "queue":
                if "waiting" in event:
                    counts.newest_custom.read(event["waiting"], moment[0])
                for name in FIELDS:
                    if name in event:
                        key = event.get("queue", "orders"), name
                        newest(counts.queues, key, Reading(moment, event[name]))
            case "inventory":
                newest(counts.stock, event["product_id"], Reading(moment, event["stock"]))
            case "connections":
                producer = event.get("producer", "")
                newest(counts.connections, producer, Reading(moment, event["active"]))
                counts.perhaps_silent.discard(producer)
                before = 0.0 if producer in counts.outlasting else self.heard_of.get(producer, 0.0)
                counts.outlasting.discard(producer)
                self.heard_of[producer] = max(before, heard.published)
            case other:
                counts.ignored[other] += 1


def _explicit(event: dict[str, Any], heard: Heard) -> float | None:
    """Return the time that an event carries: on a walk it is relative to the second in which it was published."""
    return int(heard.published_wall) + event["ts"] if "ts" in event else None


def _numbers_in(payload: str) -> dict[str, Any]:
    """Return the numbers that can be read in a payload that was cut."""
    found = [part.split(":") for part in payload.strip("{").split(",")]
    pairs = {name.strip(' "'): value.strip(' "') for name, value in found}
    return {"producer": pairs["producer"], "epoch": pairs["epoch"], "seq": int(pairs["seq"])}
