"""Phases: when they change, what counts in each, and that neither a crash nor a late event moves anything."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from sidecar.core.commit.aggregator import Aggregator
from sidecar.core.counts.manifest import Manifest, PhaseRules, PlannedProduct, RushRule
from sidecar.core.counts.phases import MOST_CHANGES, PhaseChange, PhasePart, PhaseProgress, Timeline
from sidecar.core.counts.sale import Sale
from sidecar.core.sale.phases import advance
from tests.core.counted import NOW, aggregator, batch, commit, order, shown
from tests.core.sale.commands import say

T0 = int(NOW)
RUNS = Sale(state="running", started_at=NOW, started_by="orders")
DROP = Sale("drop", "running", NOW, None, "manifest")
OVER = Sale(state="ended", started_at=NOW, ended_at=NOW + 50, started_by="orders", ended_by="orders")
PLAN = Manifest(version="1", sale="drop", starts_at=NOW, warm_up=600.0)
TIMED = Manifest(version="1", sale="drop", starts_at=NOW, phases=PhaseRules(rush=RushRule(seconds=60.0)))
SECONDS = np.arange(900)
RUSH = 8 + 192 * np.exp(-SECONDS / 45)
SHAPES: dict[str, tuple[Any, list[tuple[str, int]]]] = {
    "a rush": (RUSH, [("tail", 110)]),
    "three equal drops": (
        8 + 192 * np.exp(-(SECONDS % 300) / 45),
        [("tail", 110), ("rush", 309), ("tail", 406), ("rush", 609), ("tail", 704)],
    ),
    "bots for five seconds": (np.where(SECONDS < 5, 2000, RUSH), [("tail", 44)]),
    "nothing finishes for a minute": (np.where((SECONDS >= 20) & (SECONDS < 80), 0, RUSH), [("tail", 56)]),
    "slow": (np.full(900, 0.2), []),
    "steady": (np.full(900, 40.0), []),
    "a ramp": (np.minimum(60, 2 + SECONDS), []),
}


def after(
    progress: PhaseProgress,
    sale: Sale = RUNS,
    manifest: Manifest | None = None,
    finished: Callable[[int], int] = lambda second: 0,
    *,
    at: float = 0.0,
    sold_out: bool = False,
) -> PhaseProgress:
    """Return the progress after a commit `at` seconds after the start."""
    return advance(progress, sale, manifest, finished, until=int(NOW + at) - 1, now=NOW + at, sold_out=sold_out)


def names(progress: PhaseProgress) -> list[tuple[str, float]]:
    return [(one.phase, one.at - NOW) for one in progress.changes]


@pytest.mark.parametrize("shape", SHAPES)
def test_the_rate_of_orders_shows_the_phase(shape: str) -> None:
    rates, changes = SHAPES[shape]
    counts = np.random.default_rng(5).poisson(rates)
    progress = PhaseProgress()
    for second in range(900):
        progress = after(progress, finished=lambda at: int(counts[at - T0]) if at >= T0 else 0, at=second + 1.5)
    assert names(progress) == [("rush", 0), *changes]


def test_what_a_commit_catches_up_with_is_the_same() -> None:
    counts = np.random.default_rng(5).poisson(RUSH)
    progress = after(PhaseProgress(), finished=lambda at: int(counts[at - T0]) if at >= T0 else 0, at=899)
    assert names(progress) == [("rush", 0), ("tail", 110)]


def test_a_planned_sale_warms_up_and_its_early_orders_are_no_rush() -> None:
    progress = after(PhaseProgress(), Sale(), PLAN, at=-700)
    assert names(progress) == [("planned", -700)]
    assert after(progress, Sale(), PLAN, at=-650) == progress
    progress = after(progress, Sale(), PLAN, at=-500)
    progress = after(progress, RUNS, PLAN, at=-1)
    assert names(progress) == [("warm_up", -600)]
    assert names(after(progress, DROP, PLAN, at=1)) == [("warm_up", -600), ("rush", 0)]


def test_a_rush_may_be_over_by_the_clock_alone() -> None:
    progress = after(PhaseProgress(), DROP, TIMED, at=59)
    assert names(progress) == [("rush", 0)]
    progress = after(progress, DROP, TIMED, lambda second: 100, at=90)
    assert names(progress) == [("rush", 0), ("tail", 60)]
    assert names(after(progress, DROP, TIMED, lambda second: 100, at=190)) == [("rush", 0), ("tail", 60)]


def test_a_sale_is_sold_out_after_five_seconds_and_reopens() -> None:
    progress = after(PhaseProgress(), sold_out=True, at=10)
    assert names(after(after(progress, at=14), sold_out=True, at=16)) == [("rush", 0)]
    progress = after(progress, sold_out=True, at=15)
    progress = after(progress, sold_out=True, at=25)
    assert names(progress) == [("rush", 0), ("sold_out", 15)]
    progress = after(progress, at=30)
    assert names(progress)[-1] == ("tail", 30)
    assert progress.changes[-1].trigger == "reopened: stock rose"


def test_a_sale_ends_and_goes_on_and_another_begins() -> None:
    progress = after(after(PhaseProgress(), at=10), OVER, at=80)
    assert names(progress) == [("rush", 0), ("ended", 50)]
    assert after(progress, OVER, at=90) == progress
    assert names(after(progress, at=100)) == [("rush", 0), ("ended", 50), ("tail", 100)]
    another = Sale(state="running", started_at=NOW + 200, started_by="orders")
    assert names(after(progress, another, at=201)) == [("rush", 200)]
    assert names(after(progress, Sale(), at=201)) == [("rush", 0), ("ended", 50)]
    assert after(after(PhaseProgress(), at=10), Sale(), at=201) == PhaseProgress(), "it was cleared"


def test_an_earlier_order_moves_the_start() -> None:
    earlier = Sale(state="running", started_at=NOW - 5, started_by="orders")
    assert names(after(after(PhaseProgress(), at=3), earlier, at=4)) == [("rush", -5)]
    tail = PhaseProgress((PhaseChange(NOW, "rush", ""), PhaseChange(NOW + 3, "tail", "")), seen=T0 + 3)
    assert names(after(tail, earlier, at=4)) == [("rush", -5), ("tail", 3)]


def test_changes_are_as_many_as_fit() -> None:
    many = PhaseProgress(tuple(PhaseChange(NOW + n, "rush", "") for n in range(MOST_CHANGES)))
    assert len(after(many, OVER).changes) == MOST_CHANGES


def test_an_order_counts_in_the_phase_of_its_time() -> None:
    timeline = Timeline(
        (PhaseChange(NOW, "rush", ""), PhaseChange(NOW + 60, "tail", ""), PhaseChange(NOW + 90, "rush", ""))
    )
    seconds = {0: "1:rush", 59: "1:rush", 60: "2:tail", 100: "3:rush", -1: None}
    assert {after: timeline.key(T0 + after) for after in seconds} == seconds


@pytest.fixture
def sale() -> Aggregator:
    """A sale that was announced, and sells an order every second."""
    aggregate = aggregator()
    say(aggregate, "load", "drop", manifest=TIMED)
    commit(aggregate, NOW)
    return aggregate


def test_phases_add_up_through_crashes_lost_commits_and_late_events(sale: Aggregator) -> None:
    for second in range(1, 100):
        at = NOW + second
        events = [order(latency_ms=second), order("failed", reason="timeout"), order("failed", reason="sold_out")]
        if second == 80:
            events.append(order(ts=NOW + 30, latency_ms=5000))
        sale.apply(batch(*events, at=at), at)
        if second % 7 == 0:
            sale.thaw(sale.freeze(at))
        else:
            commit(sale, at)
        if second % 11 == 1 and second % 7:
            sale, fields = aggregator(), sale.fields()
            sale.load(fields, same_generation=False)
    commit(sale, NOW + 100)
    found = shown(sale, NOW + 100).phases
    assert (found.now, found.since, found.reopened) == ("tail", NOW + 60, False)
    assert [(one.phase, one.trigger) for one in found.changes] == [
        ("rush", "started by manifest"),
        ("tail", "60 s of rush"),
    ]
    rush, tail = found.orders["rush"], found.orders["tail"]
    assert (rush.finished, rush.failed, rush.faults, rush.refusals) == (59 * 3 + 1, 59 * 2, 59, 59)
    assert (tail.finished, tail.failed, tail.faults, tail.refusals) == (40 * 3, 40 * 2, 40, 40)
    assert (rush.latency_ms.count, rush.latency_ms.max, tail.latency_ms.min) == (60, 5000, 60)


def test_another_sale_counts_from_0_and_a_clear_keeps_the_phase(sale: Aggregator) -> None:
    sale.apply(batch(order(), at=NOW + 1), NOW + 1)
    commit(sale, NOW + 1)
    commit(sale, NOW + 70)
    sale.clear(NOW + 71)
    commit(sale, NOW + 71)
    found = shown(sale, NOW + 71).phases
    assert (found.now, found.orders) == ("tail", {})
    sale.apply(batch(order(), at=NOW + 72), NOW + 72)
    commit(sale, NOW + 72)
    say(sale, "start", "second", at=NOW + 73)
    sale.apply(batch(order(), order(), at=NOW + 73), NOW + 73)
    assert {key for section, key in commit(sale, NOW + 73).removed if section == "phase_counts"} == {"2:tail"}
    found = shown(sale, NOW + 73).phases
    assert {name: one.finished for name, one in found.orders.items()} == {"rush": 2}


def test_the_products_of_a_manifest_decide_what_is_sold_out(sale: Aggregator) -> None:
    plan = Manifest(
        version="1",
        sale="few",
        starts_at=NOW + 5,
        products=(PlannedProduct(id="a", safety_stock=2), PlannedProduct(id="b")),
    )
    say(sale, "load", "few", manifest=plan)
    commit(sale, NOW + 5)
    stocks = [{"type": "inventory", "product_id": name, "stock": left} for name, left in (("a", 2), ("x", 9))]
    sale.apply(batch(*stocks, at=NOW + 6), NOW + 6)
    for second in (6, 20):
        commit(sale, NOW + second)
    assert shown(sale, NOW + 20).phases.now == "rush", "nobody knows of b"
    sale.apply(batch({"type": "inventory", "product_id": "b", "stock": 0}, at=NOW + 21), NOW + 21)
    for second in (21, 27):
        commit(sale, NOW + second)
    assert shown(sale, NOW + 27).phases.now == "sold_out"


def test_a_long_backlog_keeps_whole_minutes(sale: Aggregator) -> None:
    events = [order(ts=NOW + second) for second in range(0, 1300, 2)]
    sale.apply(batch(*events, at=NOW + 1300), NOW + 1300)
    commit(sale, NOW + 1300)
    commit(sale, NOW + 1301)
    found = shown(sale, NOW + 1301).phases
    assert sum(one.finished for one in found.orders.values()) == len(events)


def test_a_progress_of_a_fleet_is_that_of_the_member_that_saw_most_and_follows_the_clock() -> None:
    one, other = PhasePart(PhaseProgress(seen=T0)), PhasePart(PhaseProgress(seen=T0 + 1))
    one.merge(other)
    assert one.progress.seen == T0 + 1
    one.step(NOW - 60)
    assert one.progress.seen == T0 - 60
