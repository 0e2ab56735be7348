"""What was shown does not go back: over a rollback every counter stays until the recount has passed it."""

from itertools import accumulate
from random import Random
from typing import Any

import pytest
from msgspec import UNSET
from msgspec.structs import replace

from sidecar.core.snapshot.monotonic import Monotonic, as_exposed, raised
from sidecar.core.snapshot.snapshot import Custom, CustomSample, Snapshot
from tests.core.counted import NOW, STREAM, batch, commit, committed, order, shown

Counters = dict[tuple[str, ...], float]


def events(seed: int, number: int) -> list[Any]:
    """Return events of every kind that moves a counter."""
    rnd = Random(seed)
    kinds = (
        lambda i: order(product_id=f"p{i % 5}", quantity=2, amount=f"{i}.10", currency="EUR", latency_ms=i % 3000),
        lambda i: order("failed", reason=f"r{i % 3}", processing_ms=i % 900, product_id="p1"),
        lambda i: order("failed", reason="sold_out"),
        lambda i: order("pending"),
        lambda i: order("cancelled"),
        lambda i: {"type": f"t{i % 2}"},
        lambda i: {"status": f"nonsense {i}"},
        lambda i: order(producer="a", epoch=1, seq=1 + i // 2),
    )
    return [rnd.choice(kinds)(i) for i in range(number)]


def counters(snapshot: Snapshot) -> Counters:
    """Return every counter and bucket that the exposition shows."""
    assert snapshot.series
    snapshot = as_exposed(snapshot)
    orders, series = snapshot.orders, snapshot.series
    assert series
    found: Counters = {("orders", status): n for status, n in orders.by_status.items()}
    found |= {("revenue", name): float(amount) for name, amount in orders.revenue.items()}
    for name, product in orders.by_product.items():
        found |= {("product", name, field): getattr(product, field) for field in product.__struct_fields__}
    for kind in ("latency", "processing"):
        for status, histogram in getattr(series, kind).items():
            found[kind, status, "sum"] = histogram.sum_seconds
            found |= {(kind, status, str(i)): n for i, n in enumerate(accumulate(histogram.counts))}
            found |= {(kind, status, f"fine {index}"): n for index, n in histogram.fine.items()}
    for name in series.__struct_fields__:
        if name not in ("latency", "processing", "held"):
            found |= {(name, label): n for label, n in getattr(series, name).items()}
    return found | {
        ("duplicates",): snapshot.completeness.duplicates,
        ("late",): snapshot.completeness.late,
    }


def fallen(before: Counters, after: Counters) -> list[tuple[str, ...]]:
    """Name the counters that went back, or went."""
    return [name for name, value in before.items() if after.get(name, 0) < value]


@pytest.mark.parametrize("seed", range(5))
def test_over_a_rollback_nothing_shown_goes_back_and_in_the_end_it_is_the_truth(seed: int) -> None:
    hold = Monotonic()
    before = shown(committed(*events(seed, 300)))
    last = counters(hold.shown(before, 1, ""))
    assert last == counters(before)
    again = committed(*events(seed, 120))
    rolled_back = shown(again)
    assert fallen(last, counters(rolled_back))
    for number, event in enumerate(events(seed, 400)[120:]):
        now = counters(hold.shown(shown(again), 2, ""))
        assert not fallen(last, now), number
        last = now
        again.apply(batch(event), NOW)
        commit(again)
    assert counters(hold.shown(shown(again), 2, "")) == counters(shown(again))


def test_without_a_rollback_everything_is_shown_as_it_is() -> None:
    hold = Monotonic()
    for number in (1, 5, 3):  # whatever the reason
        snapshot = shown(committed(*events(0, number)))
        assert hold.shown(snapshot, 0, "") is snapshot


def test_once_the_recount_has_passed_nothing_is_held_any_more() -> None:
    hold = Monotonic()
    more, less = shown(committed(*[order()] * 3)), shown(committed(order()))
    assert hold.shown(more, 1, "") is more
    assert hold.shown(less, 2, "").orders.by_status["success"] == 3
    assert hold.shown(more, 2, "") == more
    assert hold.shown(less, 2, "") is less


def test_a_second_rollback_holds_what_was_shown_of_the_first() -> None:
    hold = Monotonic()
    hold.shown(shown(committed(*[order()] * 3)), 1, "")
    hold.shown(shown(committed(order())), 2, "")
    assert hold.shown(shown(committed(order(), order())), 3, "").orders.by_status["success"] == 3


def test_a_clear_ends_it() -> None:
    hold = Monotonic()
    hold.shown(shown(committed(*[order()] * 3)), 1, "")
    hold.shown(shown(committed(order())), 2, "")
    cleared = shown(committed(order()))
    assert hold.shown(cleared, 2, "a clear") is cleared


def test_a_clear_of_a_custom_metric_ends_it_for_that_one_alone() -> None:
    def counted(value: float) -> Custom:
        return Custom(type="counter", help="", series=[CustomSample(labels={}, value=value)])

    monotonic = Monotonic()
    high = replace(shown(committed()), custom={"a_total": counted(5), "b_total": counted(5)})
    monotonic.shown(high, 1, "g")
    low = replace(high, custom={"a_total": counted(1), "b_total": counted(1)})
    assert monotonic.shown(low, 2, "g").custom == high.custom
    assert monotonic.shown(low, 2, "g a_total=1").custom == {"a_total": counted(1), "b_total": counted(5)}
    plain = replace(low, custom=UNSET)
    monotonic.shown(plain, 3, "h")
    assert monotonic.shown(plain, 4, "h a_total=2") == plain


def test_a_clock_step_ends_no_hold() -> None:
    hold = Monotonic()
    hold.shown(shown(committed(*[order()] * 3)), 1, "")
    hold.shown(shown(committed(order())), 2, "")
    moved = replace(shown(committed(order())), since=1_789_999_980.0)
    assert hold.shown(moved, 2, "").orders.by_status["success"] == 3


def test_a_series_that_was_shown_with_a_value_is_not_held_at_0_when_the_recount_meets_it() -> None:
    met: list[Any] = [
        order(product_id="p", amount="1.00", currency="EUR"),
        order("failed", reason="r"),
        {"type": "t"},
        {},
    ]
    known = shown(committed(*met, source=STREAM))
    assert known.series
    fresh = replace(known, series=replace(known.series, held=frozenset({("product", "p"), ("reason", "q")})))
    settled = replace(known, series=replace(known.series, held=frozenset()))
    found = raised(fresh, settled).series
    assert found
    assert found.held == {("reason", "q")}
    still = raised(fresh, fresh).series  # shown at 0 when it was last shown
    assert still
    assert still.held == fresh.series.held  # type: ignore[union-attr]


def test_a_series_that_was_still_held_at_0_does_not_rise_by_what_was_lost() -> None:
    hold, empty = Monotonic(), shown(committed())
    events = order("failed", reason="boom", product_id="p1"), order(amount=1, currency="EUR"), {"type": "t1"}
    aggregate = committed(*events)
    assert counters(hold.shown(shown(aggregate), 0, ""))["faults", "boom"] == 0
    after = counters(hold.shown(empty, 1, ""))
    names = ("faults", "boom"), ("product", "p1", "failed"), ("revenue", "EUR"), ("ignored_by_type", "t1")
    assert [after[name] for name in names] == [0, 0, 0, 0]


def test_without_series_there_is_nothing_to_hold_of_them() -> None:
    snapshot = shown(committed(order())).public()
    assert raised(snapshot, shown(committed(order(), order()))).orders.by_status["success"] == 2
