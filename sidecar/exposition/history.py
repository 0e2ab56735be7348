"""The last hour by the second, on a grid of steps."""

import re
from array import array
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Literal, get_args

from msgspec import Struct

InRedis = Literal["throughput", "queue_length", "active_connections"]
Metric = InRedis | Literal["ok", "refused", "fault", "p50", "p99"]
IN_REDIS: tuple[InRedis, ...] = get_args(InRedis)  # they have keys in Redis, too
ORDERS: tuple[Metric, ...] = ("throughput", "ok", "refused", "fault")
PERCENTILES: tuple[Metric, ...] = ("p50", "p99")
METRICS: tuple[Metric, ...] = (*IN_REDIS, *ORDERS[1:], *PERCENTILES)

# How long the keys in Redis live.
KEPT_SECONDS = 3600

# The limit of Prometheus's query_range, which its clients know.
MAX_POINTS = 11_000
LATEST_TS = 10**11  # the latest event time

# Fractions, which Grafana sends, are cut off. Not \d, which matches the digits of every script.
_NUMBER = re.compile(r"([0-9]{1,11})(?:\.[0-9]*)?\Z")

# One command for an hour would take 1 MB, and block Redis for 2 ms.
SECONDS_AT_ONCE = 600

HistoryValue = int | float | None
# Reads the seconds of a metric that have a value, from the first to the last.
Read = Callable[[str, int, int], Awaitable[Mapping[int, int | float]]]


class Query(Struct, frozen=True):
    """The grid: points at `start`, `start + step`, ... up to `end`, in Unix seconds, both ends included."""

    start: int
    end: int
    step: int

    def kept(self, now: int) -> tuple[int, int]:
        """Return the first and the last second that can have a value; there are none if first > last."""
        return max(self.start, now - KEPT_SECONDS), min(self.end, now)


class History(Struct, frozen=True):
    """One metric on the grid; `from` is the first point."""

    metric: Metric
    step: int
    start: int
    points: list[tuple[int, HistoryValue]]

    def document(self) -> dict[str, object]:
        """Return the JSON value."""
        return {"metric": self.metric, "step": self.step, "from": self.start, "points": self.points}


def parse_query(parameters: Mapping[str, str], now: int) -> Query:
    """Read `from`, `to` and `step` (seconds); by default the hour up to `now`, by the second.

    Raises ValueError with a message for the client.
    """
    end = _number(parameters, "to", now)
    start = _number(parameters, "from", end - KEPT_SECONDS + 1)
    step = _number(parameters, "step", 1)
    if step < 1:
        raise ValueError("step must be 1 or more seconds")
    if start > end:
        raise ValueError("from must not be after to")
    if (end - start) // step >= MAX_POINTS:
        raise ValueError(f"more than {MAX_POINTS} points: take a larger step or a shorter time")
    return Query(start, end, step)


async def draw(metric: Metric, query: Query, now: int, read: Read) -> History:
    """Map values by second to the grid; a point covers the seconds from its own up to the next point or `end`.

    Orders are per second over the step, where a second without a value counts as 0; the two gauges are means of the
    seconds that have a value, percentiles the highest of them. A point is `None` if no second has one. A step of 1
    gives the values as they are.
    """
    times = range(query.start, query.end + 1, query.step)
    highest = metric in PERCENTILES
    known = array("q", [0]) * len(times)  # arrays: an hour takes 60 KB
    sums: Any = array("d" if highest else "q", [0]) * len(times)
    first, last = query.kept(now)
    for at in range(first, last + 1, SECONDS_AT_ONCE):
        for second, value in (await read(metric, at, min(at + SECONDS_AT_ONCE - 1, last))).items():
            i = (second - query.start) // query.step
            sums[i] = max(sums[i], value) if highest else sums[i] + value
            known[i] += 1
    points = [
        (ts, _point(metric, sums[i], known[i], min(query.step, query.end - ts + 1))) for i, ts in enumerate(times)
    ]
    return History(metric, query.step, query.start, points)


def _point(metric: Metric, total: float, known: int, seconds: int) -> HistoryValue:
    if not known:
        return None
    if seconds == 1 or metric in PERCENTILES:
        return total
    return total / (seconds if metric in ORDERS else known)


def _number(parameters: Mapping[str, str], name: str, default: int) -> int:
    text = parameters.get(name)
    if text is None:
        return default
    match = _NUMBER.match(text)
    if match is None or int(match[1]) > LATEST_TS:
        raise ValueError(f"{name} must be a number of seconds{' since 1970' if name != 'step' else ''}")
    return int(match[1])
