"""The history by the second: the sums of the gauges, and the peak."""

from collections.abc import Callable, Collection, Iterable, Mapping

from sidecar.core.counts.parts import Minute, Reading
from sidecar.core.counts.pending import Pending
from sidecar.core.counts.queues import queues_at, reported_at
from sidecar.core.counts.readings import by_second, joined
from sidecar.core.counts.rules import CONNECTION_SECONDS, HISTORY_SECONDS
from sidecar.core.counts.state import State

_TABLES = {"throughput": "finished", "queue_length": "waiting", "active_connections": "connections"}


def write_gauges(
    merged: State, committed: State, pending: Collection[Pending], connected: Mapping[str, Reading], now: float
) -> None:
    """Write the gauges into every second of `merged`, from their readings to now.

    `connected` are the committed connections, with the time their producers were last heard of.
    """
    reported = reported_at(joined(*(one.queue_seconds for one in pending)), now, committed, merged)
    queues = by_second(queues_at(now, committed), reported, _before(committed, "waiting"), now)
    reported = joined(*(one.connection_seconds for one in pending))
    connections = by_second(connected, reported, _before(committed, "connections"), now, CONNECTION_SECONDS)
    for name, sums in (("waiting", queues), ("connections", connections)):
        for second, value in sums.items():
            if second >= now - HISTORY_SECONDS:
                getattr(_minute(merged, committed, second), name)[second] = value


def reach_peak(merged: State, deltas: Iterable[State]) -> None:
    """Compare the seconds that changed with the peak."""
    for delta in deltas:
        for start, minute in delta.minutes.items():
            for second in minute.finished:
                merged.total.reach(merged.minutes[start].finished[second], second)


def seconds_of(state: State, metric: str, start: int, end: int) -> dict[int, int]:
    """Return a metric of the history (named as its keys in Redis) by Unix second, from `start` to `end` inclusive."""
    minutes = (state.minutes.get(at) for at in range(start - start % 60, end + 1, 60))
    tables = (getattr(minute, _TABLES[metric]) for minute in minutes if minute is not None)
    return {second: value for table in tables for second, value in table.items() if start <= second <= end}


def _before(committed: State, name: str) -> Callable[[int], int | None]:
    """Return a function from a second to the committed sum of a gauge in it."""

    def before(second: int) -> int | None:
        minute = committed.minutes.get(second - second % 60)
        return None if minute is None else getattr(minute, name).get(second)

    return before


def _minute(merged: State, committed: State, second: int) -> Minute:
    start = second - second % 60
    if start not in merged.minutes:
        merged.minutes[start] = committed.minutes.get(start, Minute()).copy()
    return merged.minutes[start]
