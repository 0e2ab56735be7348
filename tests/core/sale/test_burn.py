"""Error budgets: the failure shapes of a sale page, warn, or stay silent, and each alert comes once."""

from collections.abc import Collection
from statistics import median

import numpy as np
import pytest
from msgspec.structs import replace

from sidecar.core.counts.manifest import Expected, Manifest, Slo
from sidecar.core.counts.parts import Slice
from sidecar.core.counts.slo_alert import SloAlert, SloPart
from sidecar.core.sale.burn import budget, judged
from tests.core.counted import NOW, aggregator, batch, commit, order, shown
from tests.core.sale.commands import say

ORDERS = Slo(name="orders", target=0.99)
SECONDS = np.arange(900)
RATES = 8 + 192 * np.exp(-SECONDS / 45)
EXPECTED = int(RATES.sum())
SEEDS = range(4)
# name -> from, to, share of bad orders above 0.2 %; in which seconds the page and the warning begin, () if never
SHAPES: dict[str, tuple[int, int, float, Collection[int], Collection[int] | None]] = {
    "healthy": (0, 0, 0.0, (), ()),
    "2 % for the first minute": (5, 65, 0.02, range(9, 20), None),
    "4 % for a minute in the tail": (600, 660, 0.04, (), ()),
    "everything for 5 s": (300, 305, 1.0, range(301, 304), None),
    "30 % for 20 s": (30, 50, 0.3, range(31, 35), None),
    "3 % from 200 s on": (200, 900, 0.03, range(380, 520), range(235, 285)),
}


def run(shape: str, seed: int) -> tuple[list[int], list[int]]:
    """Return the seconds at which a page and a warning began, judged every second."""
    first, end, share, _, _ = SHAPES[shape]
    random = np.random.default_rng(seed)
    orders = random.poisson(RATES)
    bad = random.binomial(orders, np.where((first <= SECONDS) & (end > SECONDS), share, 0.002))
    rings: dict[int, dict[int, Slice]] = {1: {}, 5: {}, 10: {}}
    whole, alert, pages, warnings = Slice(), SloAlert(), [], []
    for second in range(900):
        for width, ring in rings.items():
            slices = (whole, ring.setdefault(second - second % width, Slice()))
            for part in slices if width == 1 else slices[1:]:
                part.finished += int(orders[second])
                part.failed += int(bad[second])
                part.faults += int(bad[second])
            ring.pop(second - second % width - width * (35 if width == 10 else 16), None)
        before, found = alert, budget(ORDERS, [whole], rings, EXPECTED, second)
        alert = judged(alert, found, ORDERS, second + 1.0)
        pages += [second + 1] if before.page_since is None and alert.page_since is not None else []
        warnings += [second + 1] if before.warn_since is None and alert.warn_since is not None else []
    return pages, warnings


@pytest.mark.parametrize("shape", SHAPES)
def test_a_failure_pages_within_seconds_and_what_the_budget_bears_does_not(shape: str) -> None:
    found = [run(shape, seed) for seed in SEEDS]
    for kind, expected in enumerate(SHAPES[shape][3:]):
        begins = [one[kind][0] for one in found if one[kind]]
        if expected is not None:
            assert len(begins) == (len(SEEDS) if expected else 0)
            assert not begins or int(median(begins)) in expected
    assert sum(len(pages) for pages, _ in found) <= 2 * len(SEEDS), "it does not flap"


PLAN = Manifest(
    version="1",
    sale="drop",
    starts_at=NOW,
    expected=Expected(orders=1000),
    slo=(ORDERS, Slo(name="latency", bad="latency_ms > 800", target=0.9)),
)


def test_a_budget_is_exact_in_orders_and_survives_a_crash_and_ends_with_the_sale() -> None:
    aggregate = aggregator()
    say(aggregate, "load", "drop", manifest=PLAN)
    commit(aggregate, NOW)
    for second in range(1, 4):
        at = NOW + second
        events = [
            *[order(latency_ms=800.0)] * 10,
            *[order(latency_ms=800.1)] * 2,
            *[order("failed", reason="timeout", latency_ms=900)] * 5,
            order("failed", reason="sold_out"),
        ]
        aggregate.apply(batch(*events, at=at), at)
        commit(aggregate, at)
        aggregate, fields = aggregator(), aggregate.fields()
        aggregate.load(fields, same_generation=False)
    found = shown(aggregate, NOW + 3).slo
    orders, latency = found["orders"], found["latency"]
    assert (orders.bad, orders.valid, orders.exhausted_in_s) == (15, 51, 0)
    assert [orders.orders, orders.left, orders.remaining_ratio] == pytest.approx([10, -5, -0.5])
    assert (orders.state, orders.since) == ("page", NOW + 2)
    assert orders.burn["10s"] == pytest.approx(15 / 51 / 0.01)
    assert (latency.bad, latency.valid, latency.state) == (6, 51, "ok")
    for second in range(4, 95, 3):
        commit(aggregate, NOW + second)
        assert shown(aggregate, NOW + second).slo["orders"].state == ("page" if second < 91 else "ok")
    aggregate.committed.slos["orders"] = SloPart(SloAlert(page_since=NOW, page_seen=NOW))
    say(aggregate, "stop", at=NOW + 99)
    commit(aggregate, NOW + 99)
    assert aggregate.committed.slos == {}
    assert shown(aggregate, NOW + 99).slo["orders"].bad == 15


def test_without_a_manifest_nothing_is_judged() -> None:
    aggregate = aggregator()
    aggregate.apply(batch(*[order("failed", reason="timeout")] * 50), NOW)
    commit(aggregate, NOW)
    assert shown(aggregate).slo == {}


def test_without_orders_nothing_burns() -> None:
    found = budget(ORDERS, [], {1: {}, 5: {}, 10: {}}, None, 0)
    assert (found.spent(ORDERS), found.pages(ORDERS), found.warns(ORDERS)) == (0.0, False, False)


def test_a_warning_stays_for_30_s() -> None:
    part = Slice()
    part.finished = part.failed = part.faults = 20
    found = budget(ORDERS, [part], {1: {0: part}, 5: {0: part}, 10: {0: part}}, 1000, 0)
    assert found.warns(ORDERS)
    alert = judged(SloAlert(), found, ORDERS, 1.0)
    quiet = budget(ORDERS, [part], {1: {}, 5: {}, 10: {}}, 1000, 0)
    assert [judged(alert, quiet, ORDERS, at).warn_since for at in (30.9, 31.0)] == [1.0, None]


def test_of_a_fleet_the_member_that_fires_is_shown() -> None:
    one, other = SloPart(SloAlert()), SloPart(SloAlert(page_since=1.0, page_seen=2.0))
    one.merge(other)
    assert one.alert == other.alert


def test_a_sale_before_the_planned_one_has_no_budget() -> None:
    aggregate = aggregator()
    say(aggregate, "load", "drop", manifest=replace(PLAN, starts_at=NOW + 600))
    aggregate.apply(batch(*[order("failed", reason="timeout")] * 50), NOW)
    for second in (0, 1, 2):
        commit(aggregate, NOW + second)
    assert (aggregate.committed.total.sale.state, aggregate.committed.slos) == ("running", {})
