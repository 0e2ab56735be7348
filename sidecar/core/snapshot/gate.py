"""The gate: did a sale keep to its thresholds? The verdict over a report, line by line.

Inconclusive is no pass: too many events are missing, too few samples for a percentile, or a limit so close to a
percentile that the histogram cannot tell on which side it is. A name that is misspelled, or a tag that matches nothing,
is an error.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Literal, TypeVar

from msgspec import Struct

from sidecar.core.counts.manifest import Threshold
from sidecar.core.counts.phases import PHASES
from sidecar.core.sale.thresholds import METRICS, Expression, Subject, expression, subject
from sidecar.core.snapshot.report import Report
from sidecar.core.snapshot.snapshot import PhaseOrders, Summary
from sidecar.errors import ConfigError

T = TypeVar("T")
GateOutcome = Literal["pass", "fail", "inconclusive"]
LEAST_COMPLETENESS = 0.999
HISTOGRAM_ERROR = 1.011
NOTHING = PhaseOrders(finished=0, failed=0, refusals=0, faults=0, latency_ms=Summary(), processing_ms=Summary())
COUNTED = frozenset({"completeness", "oversold_units", "queue_waiting", "unfinished"})  # whatever else is missing

Thresholds = Mapping[str, Iterable[Threshold]]


class GateLine(Struct, frozen=True, kw_only=True):
    """The verdict on one threshold. An `optional` one does not decide, one that `aborts` ends a rehearsal at once."""

    metric: str
    threshold: str
    value: float | None
    limit: float | None
    outcome: GateOutcome
    optional: bool
    detail: str
    aborts: bool = False


class GateResult(Struct, frozen=True, kw_only=True):
    """The verdict about a sale."""

    sale: str | None
    passed: bool
    lines: list[GateLine]


class _Found(Struct, frozen=True):
    """A value of the report, with a factor that it may be off by, and what is wrong with it."""

    value: float | None
    error: float = 1.0
    doubt: str = ""


def judge(thresholds: Thresholds, report: Report, baseline: Report | None = None) -> GateResult:
    """Return the verdict. Raises ConfigError if a threshold cannot be meant."""
    lines = [_line(name, threshold, report, baseline) for name, several in thresholds.items() for threshold in several]
    if not lines:
        raise ConfigError("there is no threshold: name some in the manifest, or with --threshold")
    passed = all(line.outcome == "pass" or line.optional for line in lines)
    return GateResult(sale=report.sale.id, passed=passed, lines=lines)


def _line(name: str, threshold: Threshold, report: Report, baseline: Report | None) -> GateLine:
    try:
        about = subject(name)
        wanted = expression(threshold.threshold, about.metric)
    except ValueError as exc:
        raise ConfigError(str(exc)) from None
    found, limit = _value(about, wanted, report), wanted.value
    doubt = found.doubt
    if wanted.relative:
        if baseline is None:
            raise ConfigError(f"{name} {threshold.threshold}: there is no baseline: name one with --against")
        before = _value(about, wanted, baseline)
        doubt = doubt or (before.doubt and f"baseline: {before.doubt}")
        limit *= before.value or 0.0
    if about.metric not in COUNTED and (report.completeness.ratio or 1.0) < LEAST_COMPLETENESS:
        doubt = f"completeness is {report.completeness.ratio:.4f}, below {LEAST_COMPLETENESS}"
    outcome: GateOutcome = "inconclusive"
    if found.value is not None and not doubt:
        ends = {wanted.holds(found.value * factor, limit) for factor in (1 / found.error, 1.0, found.error)}
        outcome = "inconclusive" if len(ends) > 1 else "pass" if ends == {True} else "fail"
        doubt = "the histogram is not fine enough to tell" if len(ends) > 1 else ""
    return GateLine(
        metric=name,
        threshold=threshold.threshold,
        value=found.value,
        limit=limit,
        outcome=outcome,
        optional=threshold.optional,
        detail=doubt,
        aborts=outcome == "fail"
        and threshold.abort_on_fail
        and _seconds(Subject("orders"), report) >= threshold.delay_abort_seconds,
    )


def _value(about: Subject, wanted: Expression, report: Report) -> _Found:
    match METRICS[about.metric][0]:
        case "counter":
            return _counter(about, wanted, report)
        case "rate":
            part, whole = _count("faults", about, report), _count("orders", about, report)
            return _Found(part / whole) if whole else _Found(None, doubt="no order finished")
        case "trend":
            return _trend(about, wanted, report)
        case _:
            return _gauge(about, report)


def _counter(about: Subject, wanted: Expression, report: Report) -> _Found:
    count = _count(about.metric, about, report)
    if wanted.method == "count":
        return _Found(count)
    seconds = _seconds(about, report)
    return _Found(count / seconds) if seconds else _Found(None, doubt="the sale took no time")


def _count(metric: str, about: Subject, report: Report) -> float:
    orders, chosen = report.orders, about.chosen
    if about.tag == "phase":
        phase = _phase(about, report)
        return {"orders": phase.finished, "faults": phase.faults, "refusals": phase.refusals}[metric]
    if metric == "revenue":
        amounts = {currency: float(amount) for currency, amount in orders.revenue.items()}
        return _of(amounts, about) if chosen else sum(amounts.values())
    if about.tag == "product":
        product = _of(orders.by_product, about)
        return product.units if metric == "units_sold" else product.success + product.failed
    units = sum(product.units for product in orders.by_product.values())
    return {"orders": orders.total, "faults": orders.faults, "refusals": orders.refusals, "units_sold": units}[metric]


def _seconds(about: Subject, report: Report) -> float:
    """Return how long the sale took, or the chosen phase; without a sale, how long was counted."""
    sale = report.sale
    end = sale.ended_at if sale.ended_at is not None else report.until
    if about.tag == "phase":
        changes = report.phases.changes
        ends = [*(one.at for one in changes[1:]), end]
        spans = (until - one.at for one, until in zip(changes, ends, strict=True) if one.phase == about.chosen)
        return sum(max(span, 0.0) for span in spans)
    return end - sale.started_at if sale.started_at is not None else report.duration_s or 0.0


def _trend(about: Subject, wanted: Expression, report: Report) -> _Found:
    if about.metric == "sell_out_s":
        return _sell_out(wanted, report)
    if about.tag == "phase":
        summary: Summary = getattr(_phase(about, report), about.metric)
    else:
        timings = getattr(report, about.metric)
        summary = _of(timings.by_status, about) if about.tag else timings.total
    percent = 50.0 if wanted.method == "med" else wanted.percent
    if percent is None:
        return _known(getattr(summary, wanted.method))
    if summary.count < 10 / (1 - percent / 100):
        return _Found(None, doubt=f"{summary.count} samples are too few for p({percent:g})")
    return _Found(getattr(summary, f"p{percent:g}".replace(".", "")), HISTOGRAM_ERROR)


def _sell_out(wanted: Expression, report: Report) -> _Found:
    """Return how long after the start products were sold out."""
    start = report.sale.started_at
    ends = [one.sell_out.at for one in report.inventory.values() if one.sell_out.state == "sold_out"]
    times = sorted(at - start for at in ends if at is not None and start is not None)
    if not times or wanted.percent is not None:
        return _Found(None, doubt="no product is sold out" if not times else "products are too few for a percentile")
    middle = times[len(times) // 2]
    return _Found({"avg": sum(times) / len(times), "min": times[0], "max": times[-1], "med": middle}[wanted.method])


def _gauge(about: Subject, report: Report) -> _Found:
    match about.metric:
        case "queue_waiting":
            waiting = {name: queue.waiting for name, queue in report.queues.items()}
            known = [length for length in waiting.values() if length is not None]
            return _known(_of(waiting, about) if about.tag else sum(known) if known else None)
        case "oversold_units":
            below = {name: float(max(-one.stock, 0)) for name, one in report.inventory.items()}
            return _known(_of(below, about) if about.tag else sum(below.values()) if below else None)
        case "completeness":
            return _known(report.completeness.ratio)
        case _:
            return _known(report.orders.in_flight)


def _phase(about: Subject, report: Report) -> PhaseOrders:
    """Return what finished in a phase, nothing if the sale was not in it. Raises ConfigError if there is none."""
    return _of({**dict.fromkeys(PHASES, NOTHING), **report.phases.orders}, about)


def _known(value: float | None) -> _Found:
    return _Found(None, doubt="the report does not know it") if value is None else _Found(value)


def _of(parts: Mapping[Any, T], about: Subject) -> T:
    """Return the part that a tag chooses. Raises ConfigError if there is none."""
    if about.chosen not in parts:
        there = ", ".join(parts) or "none"
        raise ConfigError(f"{about.metric}: there is no {about.tag} {about.chosen!r} in the report, but {there}")
    return parts[about.chosen]
