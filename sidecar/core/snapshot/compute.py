"""State -> Snapshot: every number that is shown is computed here, once per tick."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import UNSET, Struct, UnsetType

from sidecar.core.counts import order_memory
from sidecar.core.counts.exemplars import Exemplar
from sidecar.core.counts.histogram import NS_PER_MS, Histogram
from sidecar.core.counts.last_minute import last_minute
from sidecar.core.counts.liveness import Presence, Sign
from sidecar.core.counts.manifest import Manifest
from sidecar.core.counts.parts import Attendance, Product, Slice, Timing
from sidecar.core.counts.phases import PhaseName, phase_of
from sidecar.core.counts.queue_read import QueueRead
from sidecar.core.counts.queues import queues_at, read_at
from sidecar.core.counts.readings import added_up
from sidecar.core.counts.rules import CONNECTION_SECONDS, GRACE_SECONDS, Rules
from sidecar.core.counts.state import RINGS, State
from sidecar.core.counts.understanding import NotUnderstood
from sidecar.core.events.event import FINISHED, STATUSES
from sidecar.core.events.source import kind_of
from sidecar.core.snapshot import custom
from sidecar.core.snapshot.error_budgets import error_budgets
from sidecar.core.snapshot.sell_out import sell_out
from sidecar.core.snapshot.snapshot import (
    JOB_STATES,
    ClassicHistogram,
    Completeness,
    Connections,
    ErrorBudget,
    Inventory,
    LastMinute,
    Orders,
    PerSecond,
    PhaseEntry,
    PhaseOrders,
    Phases,
    ProducerCompleteness,
    Producers,
    ProductOrders,
    Queue,
    Role,
    Scope,
    Series,
    Snapshot,
    Summary,
    System,
    Timings,
    Windows,
)

NS_PER_SECOND = 10**9
PERMILLES = (500, 900, 950, 990, 999)
MICROS = 10**6


class SnapshotContext(Struct, frozen=True, kw_only=True):
    """What a Snapshot shows in addition to the counts. Times are Unix seconds.

    `settled` is how long ago a second must have ended to be shown as complete: one commit interval.
    """

    instance: str
    now: float
    committed_at: float | None
    stale: bool
    uptime_s: float
    settled: float
    role: Role = "active"
    scope: Scope = "instance"
    instances: list[str] | UnsetType = UNSET
    system: System = System()
    born: Mapping[tuple[str, str], float] = {}
    exemplars: Mapping[tuple[str, str, int], Exemplar] = {}
    not_understood: Mapping[str, NotUnderstood] = {}
    doubts: Mapping[str, str] = {}  # advice about producer names, by name
    heard: Mapping[str, float] = {}  # when producers were last heard of, in Unix seconds


def is_stale(committed_at: float | None, now: float, commit_interval: float) -> bool:
    """Return whether the last commit is too old: more than three intervals, and at least 2 s."""
    return committed_at is None or now - committed_at > max(3 * commit_interval, 2.0)


def compute(state: State, rules: Rules, context: SnapshotContext) -> Snapshot:
    """Return the Snapshot of `state` at `context.now`."""
    last_second = int(context.now - context.settled) - 1
    windows = {name: _window(state, name, last_second) for name in RINGS}
    completeness = _completeness(state, context, last_second)
    manifest = manifest_of(state)
    slo = error_budgets(state, manifest, last_second)
    return Snapshot(
        instance=context.instance,
        scope=context.scope,
        instances=context.instances,
        role=context.role,
        ts=context.now,
        since=state.total.since,
        committed_at=context.committed_at,
        stale=context.stale,
        uptime_s=round(context.uptime_s, 3),
        sale=state.total.sale,
        phases=_phases(state),
        slo=slo,
        orders=_orders(state, rules, windows, last_second, context.now),
        latency_ms=_timings(state, "latency", {name: part.latency for name, part in windows.items()}),
        processing_ms=_timings(state, "processing", {name: part.processing for name, part in windows.items()}),
        queues=_queues(state),
        inventory=_inventory(state, manifest, context.now, completeness.last_minute.ratio),
        connections=Connections(added_up(state.connections.values(), context.now - CONNECTION_SECONDS)),
        completeness=completeness,
        system=context.system,
        custom=custom.all_shown(rules.custom_metrics, state.custom),
        series=_series(state, rules, context, slo),
    )


def as_committed(state: State, rules: Rules, context: SnapshotContext) -> Snapshot:
    """Return the Snapshot of `state` as of its last commit: but for what the process says of itself (`instance`,
    `uptime_s`, `system`, `stale`), the same commit always gives the same.
    """
    total = state.total
    of_process = SnapshotContext(
        instance=context.instance,
        now=context.now if total.committed_at is None else total.committed_at,
        committed_at=total.committed_at,
        stale=context.stale,
        uptime_s=context.uptime_s,
        settled=context.settled if total.commit_interval is None else total.commit_interval,
        system=context.system,
    )
    return compute(state, rules, of_process)


def _window(state: State, name: str, last_second: int) -> Slice:
    """Merge the slices of a time window, from the first complete one to now."""
    ring = RINGS[name]
    first = last_second + 1 - ring.seconds
    window = Slice()
    for start, part in getattr(state, ring.section).items():
        if start >= first:
            window.merge(part)
    return window


def _orders(state: State, rules: Rules, windows: dict[str, Slice], last_second: int, now: float) -> Orders:
    tallies = state.total.tallies
    by_status: dict[str, int] = {status: tallies["orders"][status] for status in STATUSES}
    total = by_status["success"] + by_status["failed"]
    refusals, faults = tallies["refusals"].total(), tallies["faults"].total()
    reasons = tallies["refusals"] + tallies["faults"]
    return Orders(
        total=total,
        by_status=by_status,
        in_flight=max(state.total.in_flight, 0) if by_status["pending"] else None,
        failed_by_reason=dict(sorted(reasons.items())),
        refusals=refusals,
        faults=faults,
        error_rate=_rates({n: (w.failed, w.finished) for n, w in windows.items()}, by_status["failed"], total),
        fault_rate=_rates({n: (w.faults, w.finished) for n, w in windows.items()}, faults, total),
        per_second=_per_second(state, total, last_second, now),
        by_product=_by_product(state, rules, manifest_of(state)),
        revenue={currency: _decimal(micros) for currency, micros in sorted(tallies["revenue_micros"].items())},
    )


def _rates(windows: dict[str, tuple[int, int]], part: int, whole: int) -> Windows[float | None]:
    shares = {name: share / of if of else None for name, (share, of) in windows.items()}
    return Windows(
        last_10s=shares["10s"], last_1m=shares["1m"], last_5m=shares["5m"], total=part / whole if whole else None
    )


def _per_second(state: State, total: int, last_second: int, now: float) -> PerSecond:
    elapsed = now - _counted_from(state) if state.total.since is not None else 0.0
    return PerSecond(
        now=sum(_finished(state, last_second, 1).values()),
        last_10s=_rate(state, last_second, 10),
        last_1m=_rate(state, last_second, 60),
        last_5m=_rate(state, last_second, 300),
        total=total / elapsed if elapsed >= 1 else None,
        peak=state.total.peak,
        peak_at=state.total.peak_at,
    )


def _rate(state: State, last_second: int, seconds: int) -> float:
    """Return the orders finished per second in the counted part of a time window, at least a second of it.

    Counting began at `since`, or with the first order if that is earlier, as in a stream.
    """
    finished = _finished(state, last_second, seconds)
    since = state.total.since or 0.0
    first = min(finished, default=last_second)
    begin = since if first >= int(since) else first
    return sum(finished.values()) / min(max(last_second + 1 - begin, 1.0), seconds)


def _counted_from(state: State) -> float:
    """Return when counting began, or the first order of the last hour if that is earlier, as in a stream."""
    seconds = (next(iter(minute.finished), None) for _, minute in sorted(state.minutes.items()))
    first = next((second for second in seconds if second is not None), None)
    since = state.total.since or 0.0
    return since if first is None or first >= int(since) else first


def _finished(state: State, last_second: int, seconds: int) -> dict[int, int]:
    """Return the orders finished by second, in the `seconds` that end with `last_second`."""
    first = last_second + 1 - seconds
    minutes = (state.minutes.get(start) for start in range(first - first % 60, last_second + 1, 60))
    return {
        second: count
        for minute in minutes
        if minute is not None
        for second, count in minute.finished.items()
        if first <= second <= last_second
    }


def _by_product(state: State, rules: Rules, manifest: Manifest | None) -> dict[str, ProductOrders]:
    planned = {one.id for one in manifest.products} if manifest else set()
    names = sorted(state.products.keys() | set(rules.products) | planned)
    nothing = Product()
    parts = ((name, state.products.get(name, nothing)) for name in names)
    return {name: ProductOrders(p.success, p.failed, p.pending, p.cancelled, p.units) for name, p in parts}


def manifest_of(state: State) -> Manifest | None:
    """Return the manifest of the present sale, if it has one."""
    part = state.sales.get(state.total.sale.id or "")
    return part.record.manifest if part else None


def _inventory(state: State, manifest: Manifest | None, now: float, completeness: float | None) -> dict[str, Inventory]:
    over = state.total.sale.state == "ended"
    kept = {one.id: one.safety_stock for one in manifest.products} if manifest else {}
    return {
        name: Inventory(
            part.stock,
            *part.depletion.forecast(part.stock, now, over=over),
            sell_out(part, now, kept=kept.get(name, 0), over=over, completeness=completeness),
        )
        for name, part in sorted(state.products.items())
        if part.stock is not None
    }


def _queues(state: State) -> dict[str, Queue]:
    """Return every queue as of the commit."""
    at = state.total.committed_at or 0.0
    own = read_at(at, state)
    return {name: _queue(reading.values, own.get(name)) for name, reading in sorted(queues_at(at, state).items())}


def _queue(numbers: Sequence[int | None], own: QueueRead | None) -> Queue:
    jobs: dict[str, Any] = dict(zip(JOB_STATES, numbers, strict=False))
    if own is None:
        return Queue(**jobs)
    return Queue(
        **jobs,
        state_from="redis",
        oldest_waiting_s=own.reading.oldest_waiting_s,
        paused=own.reading.paused,
        drift_jobs=None if own.balance is None else own.balance.drift,
    )


def _phases(state: State) -> Phases:
    changes = state.phases[""].progress.changes if state.phases else ()
    if not changes:
        return Phases()
    slices: dict[PhaseName, Slice] = {}
    for key, part in sorted(state.phase_counts.items()):
        slices.setdefault(phase_of(key), Slice()).merge(part)
    return Phases(
        now=changes[-1].phase,
        since=changes[-1].at,
        reopened=any(one.phase == "sold_out" for one in changes[:-1]) and changes[-1].phase in ("rush", "tail"),
        changes=[PhaseEntry(at=one.at, phase=one.phase, trigger=one.trigger) for one in changes],
        orders={
            name: PhaseOrders(
                finished=part.finished,
                failed=part.failed,
                refusals=part.failed - part.faults,
                faults=part.faults,
                latency_ms=summary(part.latency),
                processing_ms=summary(part.processing),
            )
            for name, part in slices.items()
        },
    )


def _timings(state: State, duration: str, windows: dict[str, Histogram]) -> Timings:
    by_status = {status: _histogram(state, duration, status) for status in FINISHED}
    total = Histogram()
    for histogram in by_status.values():
        total.merge(histogram)
    return Timings(
        last_10s=summary(windows["10s"]),
        last_1m=summary(windows["1m"]),
        last_5m=summary(windows["5m"]),
        total=summary(total),
        by_status={status: summary(histogram) for status, histogram in by_status.items()},
    )


def _histogram(state: State, duration: str, status: str) -> Histogram:
    timing = state.timings.get(f"{duration}:{status}")
    return timing.histogram if timing else Histogram()


def _completeness(state: State, context: SnapshotContext, last_second: int) -> Completeness:
    tallies = state.total.tallies
    received = tallies["received"].total()
    missed = state.total.missed
    sources = tallies["received"].keys() | tallies["missed"].keys()
    knows = bool(state.producers) or any(kind_of(source).rereads for source in sources)
    lately = last_minute(state.lately, last_second - int(GRACE_SECONDS))
    return Completeness(
        ratio=_ratio(received, missed) if knows else None,
        received=received,
        missed=missed,
        duplicates=tallies["duplicates"].total(),
        late=tallies["late"].total(),
        invalid=tallies["invalid"].total(),
        ignored=tallies["ignored"].total(),
        adjusted=tallies["adjusted"].total(),
        repeats=tallies["repeats"].total(),
        counted_twice=tallies["twice"].total(),
        blind_s=tallies["blind_ms"].total() / 1000,
        last_minute=LastMinute(
            _ratio(lately.received, lately.missed) if knows else None, lately.received, lately.missed
        ),
        producers=_producers(state),
        by_producer=_by_producer(state, context.heard),
        not_understood=dict(context.not_understood),
        hints=list(context.doubts.values()) or UNSET,
    )


def _ratio(received: int, missed: int) -> float | None:
    return received / (received + missed) if received + missed > 0 else None


def _producers(state: State) -> Producers | None:
    """Count the watched producers."""
    found = Counter(sign.state for sign in state.signs.values())
    return Producers(found["alive"], found["silent"]) if found["alive"] or found["silent"] else None


def _by_producer(state: State, heard: Mapping[str, float]) -> dict[str, ProducerCompleteness]:
    """Add up the sources of each producer, and include producers that only send heartbeats."""
    sums: dict[str, Attendance] = {}
    for key, part in sorted(state.producers.items()):
        shown = Attendance(part.received, max(part.missed, 0), part.duplicates)
        sums.setdefault(key.split("\n", 1)[1], Attendance()).merge(shown)
    signs: dict[str, list[Sign]] = {}
    for key, sign in state.signs.items():
        signs.setdefault(key.rpartition("\n")[2], []).append(sign)
    watched = {name for name, found in signs.items() if any(sign.state for sign in found)}
    nothing = Attendance()
    return {
        name: _producer(sums.get(name, nothing), signs.get(name, []), heard.get(name))
        for name in sorted(sums.keys() | watched)
    }


def _producer(part: Attendance, signs: list[Sign], heard: float | None) -> ProducerCompleteness:
    """Join what is known about one producer, perhaps from several members of a fleet."""
    states = {sign.state for sign in signs}
    state: Presence | None = "alive" if "alive" in states else "silent" if "silent" in states else None
    seen = max([sign.seen for sign in signs] + [heard or 0.0])
    restarts = max((sign.restarts for sign in signs), default=0)
    return ProducerCompleteness(part.received, part.missed, part.duplicates, seen or None, state, restarts)


def _series(state: State, rules: Rules, context: SnapshotContext, slo: Mapping[str, ErrorBudget]) -> Series:
    tallies = state.total.tallies
    return Series(
        latency=_classics(state, rules, "latency", context.exemplars),
        processing=_classics(state, rules, "processing", context.exemplars),
        refusals=dict(tallies["refusals"]),
        faults=dict(tallies["faults"]),
        received_by_source=dict(tallies["received"]),
        missed_by_source=dict(tallies["missed"]),
        recovered_by_source=dict(state.total.recovered),
        invalid_by_reason=dict(tallies["invalid"]),
        ignored_by_type=dict(tallies["ignored"]),
        adjusted_by_reason=dict(tallies["adjusted"]),
        overflow_by_label=dict(tallies["overflow"]),
        slo_bad={name: one.bad for name, one in slo.items()},
        slo_valid={name: one.valid for name, one in slo.items()},
        held=frozenset(label for label, at in context.born.items() if context.now - at < rules.new_series_hold),
    )


def _classics(
    state: State, rules: Rules, duration: str, exemplars: Mapping[tuple[str, str, int], Exemplar]
) -> dict[str, ClassicHistogram]:
    bounds = tuple(bound / NS_PER_SECOND for bound in rules.buckets_ns)
    return {
        status: _classic(state.timings.get(f"{duration}:{status}"), bounds, _of(exemplars, duration, status))
        for status in FINISHED
    }


def _classic(timing: Timing | None, bounds: tuple[float, ...], exemplars: dict[int, Exemplar]) -> ClassicHistogram:
    if timing is None:
        return ClassicHistogram(bounds=bounds, counts=(0,) * (len(bounds) + 1), sum_seconds=0.0, exemplars={}, fine={})
    return ClassicHistogram(
        bounds=bounds,
        counts=tuple(timing.classic.counts),
        sum_seconds=timing.classic.sum_ns / NS_PER_SECOND,
        exemplars=exemplars,
        fine=timing.histogram.counts_since(timing.classic.before),
    )


def _of(exemplars: Mapping[tuple[str, str, int], Exemplar], duration: str, status: str) -> dict[int, Exemplar]:
    return {bucket: one for (d, s, bucket), one in exemplars.items() if (d, s) == (duration, status)}


def _decimal(micros: int) -> str:
    """Format millionths with two to six decimals."""
    whole, rest = divmod(micros, MICROS)
    return f"{whole}.{f'{rest:06d}'.rstrip('0').ljust(2, '0')}"


def merged(states: Sequence[tuple[str, State]], rules: Rules) -> State:
    """Return the sum of the states of a fleet, given as (instance, state).

    Producers and queues of the same name in two members stay separate: such a queue becomes `instance:queue`.
    """
    total = State()
    names = Counter(name for _, state in states for name in state.queues.keys() | state.reads.keys())
    for number, (instance, state) in enumerate(states):
        twin = State()
        twin.merge(state, leave_out=order_memory.REMEMBERED)
        twin.fit(rules.buckets_ns)
        twin.connections = {f"{number}\n{name}": part for name, part in twin.connections.items()}
        twin.signs = {f"{number}\n{name}": part for name, part in twin.signs.items()}
        for section in ("queues", "reads"):
            parts = getattr(twin, section).items()
            setattr(twin, section, {f"{instance}:{name}" if names[name] > 1 else name: q for name, q in parts})
        total.merge(twin)
    for minute in total.minutes.values():
        for second, finished in minute.finished.items():
            total.total.reach(finished, second)
    return total


def summary(h: Histogram) -> Summary:
    """Summarise a histogram in milliseconds; average, minimum and maximum are exact."""
    if not h:
        return Summary()
    p50, p90, p95, p99, p999 = (ns and ns / NS_PER_MS for ns in h.quantiles_ns(PERMILLES))
    return Summary(
        count=h.count,
        avg=h.sum_ns / h.count / NS_PER_MS,
        min=h.min_ns / NS_PER_MS,
        p50=p50,
        p90=p90,
        p95=p95,
        p99=p99,
        p999=p999,
        max=h.max_ns / NS_PER_MS,
    )
