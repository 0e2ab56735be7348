"""Exposed counters never fall.

After a rollback of Redis the counts may be lower than what Prometheus has seen. It would take the fall for a restart
from 0, and count everything again. So the exposition keeps what it showed until the recount has passed it; the JSON
shows the counts as they are.
"""

from collections.abc import Mapping
from decimal import Decimal
from itertools import accumulate, pairwise
from typing import Any

from msgspec import UNSET
from msgspec.structs import astuple, replace

from sidecar.core.checkpoint.generation import clears, last_clear, metrics_cleared
from sidecar.core.snapshot import custom
from sidecar.core.snapshot.snapshot import ClassicHistogram, ProductOrders, Series, Snapshot

HISTOGRAMS = ("latency", "processing")
# The counters by label value in Series: all that is no histogram.
TALLIES = tuple(name for name in Series.__struct_fields__ if name not in (*HISTOGRAMS, "held"))
# Those whose new label sets are held at 0, and under which family.
HELD = {"refusals": "reason", "faults": "reason", "ignored_by_type": "ignored", "invalid_by_reason": "invalid"}


class Monotonic:
    """Turns each Snapshot into the one to expose, from the last one exposed and the counts still to be passed."""

    def __init__(self) -> None:
        self._loads = 0
        self._clear = ""
        self._shown: Snapshot | None = None
        self._floor: Snapshot | None = None

    def shown(self, snapshot: Snapshot, loads: int, clear: str) -> Snapshot:
        """Return the Snapshot to expose.

        `loads` grows whenever the state may be older than the last one; `clear` is the generation of the state.
        """
        if loads != self._loads:
            self._loads, self._floor = loads, self._shown and as_exposed(self._shown)
        if clear != self._clear:
            self._floor = self._floor and _after(self._floor, self._clear, clear)
            self._clear = clear
        if self._floor is None:
            self._shown = snapshot
        else:
            self._shown = raised(snapshot, self._floor)
            if self._shown == snapshot:
                self._floor = None
        return self._shown


def _after(floor: Snapshot, before: str, now: str) -> Snapshot | None:
    """Return what is still the floor after a clear: nothing, or all but the custom metrics that were cleared."""
    if last_clear(before) != last_clear(now):
        return None
    if floor.custom is UNSET:
        return floor
    cleared = metrics_cleared(clears(now) - clears(before))
    return replace(floor, custom={name: one for name, one in floor.custom.items() if name not in cleared})


def as_exposed(snapshot: Snapshot) -> Snapshot:
    """Return the Snapshot with 0 for held label sets, as the exposition shows them."""
    series = snapshot.series
    if series is UNSET or not series.held:
        return snapshot
    held = {family: {label for name, label in series.held if name == family} for family, _ in series.held}
    products, currencies = held.get("product", set()), held.get("currency", set())
    orders = replace(
        snapshot.orders,
        by_product={**snapshot.orders.by_product, **dict.fromkeys(products, ProductOrders())},
        revenue={**snapshot.orders.revenue, **dict.fromkeys(currencies, "0.00")},
    )
    zeros = {
        name: {label: 0 if label in held.get(family, ()) else n for label, n in getattr(series, name).items()}
        for name, family in HELD.items()
    }
    return replace(snapshot, orders=orders, series=replace(series, **zeros))


def raised(snapshot: Snapshot, floor: Snapshot) -> Snapshot:
    """Return the Snapshot with no counter and no bucket below those of `floor`."""
    orders, low = snapshot.orders, floor.orders
    completeness = replace(
        snapshot.completeness,
        duplicates=max(snapshot.completeness.duplicates, floor.completeness.duplicates),
        repeats=max(snapshot.completeness.repeats, floor.completeness.repeats),
        late=max(snapshot.completeness.late, floor.completeness.late),
        counted_twice=max(snapshot.completeness.counted_twice, floor.completeness.counted_twice),
    )
    orders = replace(
        orders,
        by_status=_highest(orders.by_status, low.by_status),
        by_product=_products(orders.by_product, low.by_product),
        revenue=_revenue(orders.revenue, low.revenue),
    )
    series = snapshot.series
    if series is not UNSET and floor.series is not UNSET:
        series = _series(series, floor.series, floor)
    shown = custom.raised(snapshot.custom, floor.custom)
    return replace(snapshot, orders=orders, completeness=completeness, series=series, custom=shown)


def _series(series: Series, low: Series, floor: Snapshot) -> Series:
    counts = {name: _highest(getattr(series, name), getattr(low, name)) for name in TALLIES}
    histograms = {name: _histograms(getattr(series, name), getattr(low, name)) for name in HISTOGRAMS}
    # A label set that was shown with a value is not new, even if the recount meets it again.
    known: dict[str, Mapping[str, Any]] = {
        "product": floor.orders.by_product,
        "reason": {**low.refusals, **low.faults},
        "currency": floor.orders.revenue,
        "ignored": low.ignored_by_type,
        "invalid": low.invalid_by_reason,
    }
    met = {(family, label) for family, labels in known.items() for label in labels} - low.held
    return replace(series, **counts, **histograms, held=series.held - met)


def _highest(counts: Mapping[str, int], low: Mapping[str, int]) -> dict[str, int]:
    return {**counts, **{name: max(counts.get(name, 0), floor) for name, floor in low.items()}}


def _products(products: Mapping[str, ProductOrders], low: Mapping[str, ProductOrders]) -> dict[str, ProductOrders]:
    nothing = ProductOrders()
    held = {
        name: ProductOrders(*map(max, astuple(products.get(name, nothing)), astuple(floor)))
        for name, floor in low.items()
    }
    return {**products, **held}


def _revenue(revenue: Mapping[str, str], low: Mapping[str, str]) -> dict[str, str]:
    return {**revenue, **{name: max(revenue.get(name, "0"), floor, key=Decimal) for name, floor in low.items()}}


def _histograms(
    histograms: Mapping[str, ClassicHistogram], low: Mapping[str, ClassicHistogram]
) -> dict[str, ClassicHistogram]:
    return {status: _histogram(one, low[status]) for status, one in histograms.items()}


def _histogram(one: ClassicHistogram, low: ClassicHistogram) -> ClassicHistogram:
    """Keep from falling what is exposed: each cumulative bucket, and each fine one by itself."""
    cumulative = map(max, accumulate(one.counts), accumulate(low.counts))
    counts = tuple(above - below for below, above in pairwise((0, *cumulative)))
    fine = {index: max(one.fine.get(index, 0), low.fine.get(index, 0)) for index in sorted(one.fine | low.fine)}
    return replace(one, counts=counts, sum_seconds=max(one.sum_seconds, low.sum_seconds), fine=fine)
