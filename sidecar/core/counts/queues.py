"""The numbers of every queue at a moment: what the queue says itself if the sidecar reads it, else what events say."""

from collections.abc import Collection

from sidecar.core.counts.parts import Reading
from sidecar.core.counts.queue_read import QueueRead
from sidecar.core.counts.readings import BySecond
from sidecar.core.counts.state import State


def read_at(now: float, *states: State) -> dict[str, QueueRead]:
    """Return the fresh readings of queues; a later state has the newer ones."""
    found = {name: part for state in states for name, part in state.reads.items()}
    return {name: part for name, part in found.items() if part.is_fresh(now)}


def queues_at(now: float, *states: State) -> dict[str, Reading]:
    """Return the numbers of every queue; events fill in what a queue itself cannot say."""
    found = {name: reading for state in states for name, reading in state.queues.items()}
    for name, part in read_at(now, *states).items():
        own = Reading(part.reading.at, part.reading.numbers)
        found[name] = own if name not in found else _filled(own, found[name])
    return found


def reported_at(seconds: BySecond, now: float, committed: State, merged: State) -> BySecond:
    """Return the readings that count in each second: of a queue that is read, those that it gave itself."""
    own = {name: part.reading for name, part in read_at(now, committed, merged).items()}
    known = {name for name, reading in own.items() if reading.waiting is not None}
    found = {second: without(readings, known) for second, readings in seconds.items()}
    new = {name: Reading(own[name].at, own[name].numbers) for name in known & merged.reads.keys()}
    if new:
        found.setdefault(int(now), {}).update(new)
    return {second: readings for second, readings in found.items() if readings}


def without(readings: dict[str, Reading], names: Collection[str]) -> dict[str, Reading]:
    """Return the readings of all other names."""
    return {name: reading for name, reading in readings.items() if name not in names}


def _filled(own: Reading, events: Reading) -> Reading:
    """Return the queue's own numbers; those that it does not know are from events."""
    for at, value in enumerate(own.values):
        if value is None and at < len(events.values):
            own.values[at], own.times[at] = events.values[at], events.times[at]
    return own
