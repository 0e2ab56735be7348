"""The phases of a sale, by rule and in event time: rush, tail, sold out.

The rate is the orders finished, failed ones too, within ten whole seconds: an outage of the shop is not the tail. A
rush is over when the rate has been below a quarter of its best for 30 s, and is back when it has been above half of it
for 5 s. Fewer than 20 orders in the best ten seconds are no rush that could end.
"""

from collections.abc import Callable, Mapping

from msgspec.structs import replace

from sidecar.core.counts.manifest import Manifest
from sidecar.core.counts.parts import Minute
from sidecar.core.counts.phases import MOST_CHANGES, PhaseChange, PhaseName, PhaseProgress
from sidecar.core.counts.sale import Sale

MEAN_SECONDS = 10
LEAST_ORDERS = 20
LOW_SHARE, LOW_SECONDS = 0.25, 30
HIGH_SHARE, HIGH_SECONDS = 0.5, 5
OUT_SECONDS = 5.0
CATCH_UP_SECONDS = 3600

SELLING = ("rush", "tail", "sold_out")

Finished = Callable[[int], int]


def finished_by(*tables: Mapping[int, Minute]) -> Finished:
    """Return how many orders finished in a second, from the first table of minutes that has it."""

    def finished(second: int) -> int:
        start = second - second % 60
        minute = next((table[start] for table in tables if start in table), None)
        return minute.finished.get(second, 0) if minute else 0

    return finished


def advance(
    progress: PhaseProgress,
    sale: Sale,
    manifest: Manifest | None,
    finished: Finished,
    *,
    until: int,
    now: float,
    sold_out: bool,
) -> PhaseProgress:
    """Return where the sale stands at the commit at `now`, after the seconds up to `until`, which are complete.

    `manifest` is that of the sale that runs, or else of the one that is planned next.
    """
    own = manifest if manifest is not None and manifest.sale == sale.id else None
    if sale.state == "running" and not (sale.started_by == "orders" and _warms_up(manifest, now)):
        progress = _running(progress, sale, now)
        return _sell(progress, own, finished, until=until, now=now, sold_out=sold_out)
    if sale.state == "ended" and progress.phase in SELLING:
        return _go(progress, "ended", sale.ended_at or now, f"ended by {sale.ended_by}")
    if sale.state == "none" and progress.phase in SELLING:
        progress = PhaseProgress()  # it was cleared
    if manifest is None or progress.phase == "warm_up":
        return progress
    if _warms_up(manifest, now):
        return PhaseProgress((PhaseChange(manifest.starts_at - manifest.warm_up, "warm_up", "by the clock"),))
    return progress if progress.phase else PhaseProgress((PhaseChange(now, "planned", "manifest"),))


def _warms_up(manifest: Manifest | None, now: float) -> bool:
    return manifest is not None and manifest.starts_at - manifest.warm_up <= now < manifest.starts_at


def _running(progress: PhaseProgress, sale: Sale, now: float) -> PhaseProgress:
    """Return the progress of a sale that runs: its first phase, or where it was, with a start that may have moved."""
    started = sale.started_at or now
    first = next((number for number, one in enumerate(progress.changes) if one.phase == "rush"), None)
    if first is None or started > progress.changes[first].at:
        kept = progress.changes if progress.phase == "warm_up" else ()
        start = PhaseChange(started, "rush", f"started by {sale.started_by}")
        return PhaseProgress((*kept, start), seen=max(int(started) - 1, 0))
    if progress.phase == "ended":
        progress = _go(progress, "tail", now, "orders came again")
    start = replace(progress.changes[first], at=started)
    if progress.changes[first:] == progress.changes[-1:] and start != progress.changes[first]:
        return PhaseProgress((*progress.changes[:first], start), seen=max(int(started) - 1, 0))
    return replace(progress, changes=(*progress.changes[:first], start, *progress.changes[first + 1 :]))


def _go(progress: PhaseProgress, phase: PhaseName, at: float, trigger: str) -> PhaseProgress:
    changes = progress.changes if len(progress.changes) < MOST_CHANGES else progress.changes[:-1]
    change = PhaseChange(at, phase, trigger)
    return replace(progress, changes=(*changes, change), low_since=None, high_since=None, out_since=None)


def _sell(
    progress: PhaseProgress, manifest: Manifest | None, finished: Finished, *, until: int, now: float, sold_out: bool
) -> PhaseProgress:
    rule = manifest.phases.rush if manifest else None
    for second in range(max(progress.seen, until - CATCH_UP_SECONDS) + 1, until + 1):
        progress = _judge(replace(progress, seen=second), finished, by_rate=rule is None)
    if rule is not None and progress.phase == "rush" and now >= progress.changes[-1].at + rule.seconds:
        progress = _go(progress, "tail", progress.changes[-1].at + rule.seconds, f"{rule.seconds:g} s of rush")
    if not sold_out:
        if progress.phase == "sold_out":
            return _go(progress, "tail", now, "reopened: stock rose")
        return replace(progress, out_since=None)
    since = now if progress.out_since is None else progress.out_since
    if progress.phase != "sold_out" and now - since >= OUT_SECONDS:
        return _go(progress, "sold_out", now, f"no stock for {OUT_SECONDS:g} s")
    return replace(progress, out_since=since)


def _judge(progress: PhaseProgress, finished: Finished, *, by_rate: bool) -> PhaseProgress:
    """Judge the rate after one more whole second."""
    second = progress.seen
    orders = sum(finished(one) for one in range(second - MEAN_SECONDS + 1, second + 1))
    best = max(progress.best, orders)
    low, high = orders < LOW_SHARE * best, orders > HIGH_SHARE * best
    progress = replace(
        progress,
        best=best,
        low_since=(second if progress.low_since is None else progress.low_since) if low else None,
        high_since=(second if progress.high_since is None else progress.high_since) if high else None,
    )
    if best < LEAST_ORDERS or not by_rate:
        return progress
    if progress.phase == "rush" and _lasts(progress.low_since, second, LOW_SECONDS):
        return _go(progress, "tail", second + 1.0, f"below a quarter of the best rate for {LOW_SECONDS} s")
    if progress.phase == "tail" and _lasts(progress.high_since, second, HIGH_SECONDS):
        return _go(progress, "rush", second + 1.0, f"above half of the best rate for {HIGH_SECONDS} s")
    return progress


def _lasts(since: int | None, second: int, seconds: int) -> bool:
    return since is not None and second - since >= seconds - 1
