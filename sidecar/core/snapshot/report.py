"""The report: a Snapshot, and the time that it is about."""

from msgspec import UNSET
from msgspec.structs import asdict

from sidecar.core.snapshot.snapshot import Snapshot


class Report(Snapshot, frozen=True, kw_only=True):
    """The snapshot's fields and its period, up to `until`; `None`: unknown."""

    until: float
    duration_s: float | None
    average_per_second: float | None


def report(snapshot: Snapshot) -> Report:
    """Return the report of a Snapshot, as the JSON shows it."""
    until = snapshot.ts if snapshot.committed_at is None else snapshot.committed_at
    duration = None if snapshot.since is None else max(0.0, until - snapshot.since)
    period = {"until": until, "duration_s": duration, "average_per_second": _average(snapshot, duration)}
    return Report(**asdict(snapshot) | period | {"series": UNSET})


def _average(snapshot: Snapshot, duration: float | None) -> float | None:
    """Return the orders per second of the report's period, which begins earlier if that of `per_second.total` does."""
    if not duration:
        return None
    orders, until_now = snapshot.orders, snapshot.ts - (snapshot.since or 0.0)
    counted = orders.total / orders.per_second.total if orders.per_second.total else 0.0
    return orders.total / (duration + max(counted - until_now, 0.0))
