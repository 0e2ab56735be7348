"""The history by the second: outcomes and latency of orders, the sums of the gauges, and the peak."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping

from sidecar.core.counts.parts import Minute, Reading
from sidecar.core.counts.pending import Pending
from sidecar.core.counts.queues import queues_at, reported_at
from sidecar.core.counts.readings import by_second, joined
from sidecar.core.counts.rules import CONNECTION_SECONDS, HISTORY_SECONDS
from sidecar.core.counts.state import State

NS_PER_US = 1_000
US_PER_MS = 1_000

# Named as their keys in Redis, and as `GET /monitoring/history` names them. Those of orders are 0 in a counted second.
_ORDERS: dict[str, Callable[[Minute, int], int]] = {
    "throughput": lambda minute, second: minute.finished.get(second, 0),
    "ok": lambda minute, second: minute.finished.get(second, 0) - minute.failed.get(second, 0),
    "refused": lambda minute, second: minute.failed.get(second, 0) - minute.faults.get(second, 0),
    "fault": lambda minute, second: minute.faults.get(second, 0),
}
_GAUGES = {"queue_length": "waiting", "active_connections": "connections"}
_PERCENTILES = {"p50": 500, "p99": 990}


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


def write_percentiles(merged: State, committed: State, deltas: Iterable[State]) -> None:
    """Write the latency of each second that changed, of all its orders so far, into `merged`."""
    for delta in deltas:
        for second in delta.slices1:
            latency = merged.slices1[second].latency
            found = zip(_PERCENTILES, latency.quantiles_ns([*_PERCENTILES.values()]), strict=True)
            for name, ns in found if latency else ():
                _minute(merged, committed, second).table(name)[second] = round((ns or 0) / NS_PER_US)


def mark_counted(merged: State, committed: State, since: float, now: float) -> None:
    """Note that nothing was missing between two commits, in the seconds that have ended."""
    for second in range(int(since), int(now)):
        _minute(merged, committed, second).counted[second] = 1


def reach_peak(merged: State, deltas: Iterable[State]) -> None:
    """Compare the seconds that changed with the peak."""
    for delta in deltas:
        for start, minute in delta.minutes.items():
            for second in minute.finished:
                merged.total.reach(merged.minutes[start].finished[second], second)


def seconds_of(state: State, metric: str, start: int, end: int) -> dict[int, int | float]:
    """Return a metric of the history by Unix second, from `start` to `end` inclusive; p50 and p99 in milliseconds.

    A second that was not counted to its end, and in which no order finished, has no value.
    """
    minutes = (state.minutes.get(at) for at in range(start - start % 60, end + 1, 60))
    values = (item for minute in minutes if minute is not None for item in _values(minute, metric))
    return {second: value for second, value in values if start <= second <= end}


def _values(minute: Minute, metric: str) -> Iterator[tuple[int, int | float]]:
    if metric in _ORDERS:
        return ((second, _ORDERS[metric](minute, second)) for second in sorted({*minute.counted, *minute.finished}))
    if metric in _GAUGES:
        return iter(minute.table(_GAUGES[metric]).items())
    return ((second, us / US_PER_MS) for second, us in minute.table(metric).items())


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
