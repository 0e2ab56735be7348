"""Windows of time, from the contract alone: what must be shown of the last 10 s, 1 min and 5 min."""

from collections import Counter
from math import ceil
from typing import Any, NamedTuple

from tests.walk.counts import Counts, Finished

WINDOWS = {"10s": (10, 1), "1m": (60, 5), "5m": (300, 10)}  # how long they are, and their slices, in seconds
HISTORY_SECONDS = 3600


class Near(float):
    """A value that may be shown 1.1 % off."""


class Moment(NamedTuple):
    """When something is shown, how long after its end a second is shown as whole, and since when is counted."""

    ts: float
    settled: float
    since: float

    @property
    def last(self) -> int:
        """The last whole second."""
        return int(self.ts - self.settled) - 1


def expected(counts: Counts, at: Moment) -> dict[str, Any]:
    """Return what the JSON must hold."""
    orders = {name: _since(counts, at.last + 1 - seconds, width) for name, (seconds, width) in WINDOWS.items()}
    per_second = counts.seconds
    return {
        "orders": {
            "error_rate": {name: _share([order.failed for order in part]) for name, part in orders.items()},
            "fault_rate": {name: _share([order.fault for order in part]) for name, part in orders.items()},
            "per_second": {
                "now": per_second[at.last],
                "peak": max(per_second.values(), default=0),
                **{name: _rate(per_second, at, seconds) for name, (seconds, _) in WINDOWS.items()},
                **_total_rate(per_second, at),
            },
        },
        "latency_ms": {name: summary(_known([order.latency for order in part])) for name, part in orders.items()},
        "processing_ms": {name: summary(_known([order.processing for order in part])) for name, part in orders.items()},
    }


def summary(values: list[float]) -> dict[str, Any]:
    """Return what must be shown of these values."""
    if not values:
        return {"count": 0, "avg": None, "min": None, "p50": None, "max": None}
    ordered = sorted(values)
    ranks = {"p50": 0.5, "p90": 0.9, "p95": 0.95, "p99": 0.99, "p999": 0.999}
    return {
        "count": len(values),
        "avg": sum(values) / len(values),
        "min": ordered[0],
        "max": ordered[-1],
        **{name: Near(ordered[ceil(q * len(values)) - 1]) for name, q in ranks.items()},
    }


def _since(counts: Counts, first: int, width: int) -> list[Finished]:
    """Return the orders of a window, which reaches from its first whole slice to now."""
    return [order for order in counts.finished if order.second - order.second % width >= first]


def _share(which: list[bool]) -> float | None:
    return sum(which) / len(which) if which else None


def _known(values: list[float | None]) -> list[float]:
    return [value for value in values if value is not None]


def _rate(per_second: Counter[int], at: Moment, seconds: int) -> float:
    """Return the orders per second of a window, or of the part of it in which was counted."""
    inside = [second for second in per_second if at.last - seconds < second <= at.last]
    begin = min([at.since, *(second for second in inside if second < int(at.since))])
    return sum(per_second[second] for second in inside) / min(max(at.last + 1 - begin, 1.0), seconds)


def _total_rate(per_second: Counter[int], at: Moment) -> dict[str, float]:
    begin = min([at.since, *(second for second in per_second if second < int(at.since))])
    elapsed = at.ts - begin
    return {"total": per_second.total() / elapsed} if elapsed >= 1 else {}
