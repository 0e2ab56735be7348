"""When a product sells out: true in four of five cases over eight shapes of demand, and silent where it cannot know."""

from collections.abc import Callable
from math import isfinite
from statistics import median

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.core.counts.parts import Product
from sidecar.core.snapshot.sell_out import sell_out
from sidecar.core.snapshot.snapshot import SellOut
from tests.core.snapshot.shapes import STOCKS, T0, sale

SEEDS = range(12)
# shape -> (seconds before the end, least share of truth within the band, largest median error)
BOUNDS: dict[str, list[tuple[range, float, float]]] = {
    "steady": [(range(10, 30), 0.70, 0.07), (range(60, 120), 0.70, 0.06)],
    "rush": [(range(10, 30), 0.70, 0.11), (range(60, 120), 0.70, 0.32)],
    "slow": [(range(10, 30), 0.70, 0.48), (range(60, 120), 0.70, 0.40)],
    "restock": [(range(10, 30), 0.70, 0.07)],
    "baskets": [(range(10, 30), 0.70, 0.12), (range(60, 120), 0.70, 0.10)],
    "changing": [(range(10, 30), 0.0, 0.30)],  # no band can know demand that changes within five seconds
    "outage": [(range(10, 30), 0.70, 0.07)],
    "ramp": [(range(10, 30), 0.70, 0.06), (range(60, 120), 0.70, 1.26)],
}


@pytest.mark.parametrize("shape", STOCKS)
def test_a_band_holds_the_truth_and_the_middle_is_close_to_it(shape: str) -> None:
    seen: list[tuple[int, SellOut]] = []
    for seed in SEEDS:
        run = list(sale(shape, seed))
        assert run[-1][2].state == "sold_out"
        seen += [(run[-1][0] - second, shown) for second, _, shown in run[:-1]]
    for shown in (one for _, one in seen):
        numbers = [shown.low_s, shown.eta_s, shown.high_s]
        if shown.state == "selling":
            low, eta, high = (n for n in numbers if n is not None and isfinite(n))
            assert 0 <= low <= eta <= high
        else:
            assert numbers == [None] * 3
    for span, share, error in BOUNDS[shape]:
        known = [(left, one) for left, one in seen if left in span and one.eta_s is not None]
        inside = sum((one.low_s or 0) <= left <= (one.high_s or 0) for left, one in known)
        assert inside / len(known) >= share
        assert median(abs((one.eta_s or 0) - left) / left for left, one in known) <= error


def selling(units: int = 600, *, seconds: int = 60) -> Product:
    """Return a product that sold `units` evenly, and has stock."""
    part = Product()
    part.units = units
    for second in range(seconds):
        part.depletion.sell(units // seconds, T0 + second + 0.5, units // seconds)
    part.restock(100, T0 + seconds)
    return part


def gone(after: int) -> Callable[[Product], None]:
    """Return what sells a product out, and restocks it later."""

    def then(part: Product) -> None:
        part.restock(0, T0 + 60)
        part.restock(0, T0 + 61)
        part.restock(500, T0 + 60 + after)

    return then


def rejected(part: Product) -> None:
    """An older reading changes nothing."""
    part.restock(0, T0)


def nothing(part: Product) -> None:
    """Change nothing."""


def out(part: Product) -> None:
    part.restock(0, T0 + 60)
    part.restock(-1, T0 + 62)


@pytest.mark.parametrize(
    ("part", "then", "at", "state", "when"),
    [
        (Product(), nothing, 1, "sold_out", None),
        (selling(), nothing, 61, "selling", ...),
        (selling(), rejected, 61, "selling", ...),
        (selling(5, seconds=5), nothing, 5.4, "starting", None),
        (selling(5, seconds=5), nothing, 5.6, "selling", ...),
        (selling(4, seconds=4), nothing, 9, "starting", None),
        (selling(), nothing, 70, "stalled", T0 + 59.5),
        (selling(), out, 63, "sold_out", T0 + 60),
        (selling(), gone(60), 121, "restocked", ...),
        (selling(), gone(60), 131, "stalled", T0 + 119.5),
        (selling(), gone(61), 122, "starting", None),
    ],
)
def test_a_product_is_in_one_state(
    part: Product, then: Callable[[Product], None], at: float, state: str, when: object
) -> None:
    part = part.copy()
    then(part)
    found = sell_out(part, T0 + at, over=False, completeness=None)
    assert found.state == state
    assert found.at == (when if when is not ... else T0 + at + (found.eta_s or 0))
    assert (found.eta_s is None) == (found.state not in ("selling", "restocked"))


def test_a_restock_keeps_the_rate_of_before() -> None:
    part = selling()
    before = part.depletion.rate(T0 + 60)
    gone(40)(part)
    assert sell_out(part, T0 + 100, over=False, completeness=1.0).rate_per_second == pytest.approx(before, rel=0.1)


def test_a_stalled_product_shows_the_rate_of_before() -> None:
    found = sell_out(selling(), T0 + 300, over=False, completeness=1.0)
    assert found.rate_per_second == pytest.approx(10, rel=0.1)


def test_no_time_is_shown_after_a_sale_before_the_first_one_or_while_events_are_missing() -> None:
    unsold = Product()
    unsold.restock(5, T0)
    assert sell_out(selling(), T0 + 61, over=True, completeness=1.0).state == "ended"
    assert sell_out(selling(), T0 + 61, over=False, completeness=0.98).state == "unknown"
    assert sell_out(unsold, T0, over=False, completeness=1.0) == SellOut("not_started")


def test_what_sells_too_seldom_has_no_number() -> None:
    part = Product()
    for minute in range(6):
        part.depletion.sell(1, T0 + 300 * minute)
    part.restock(10, T0)
    assert sell_out(part, T0 + 1520, over=False, completeness=1.0).state == "starting"


def test_orders_of_several_units_widen_the_band() -> None:
    pairs, whole = selling(), selling()
    pairs.depletion.squares *= 10
    wide, narrow = (sell_out(one, T0 + 61, over=False, completeness=None) for one in (pairs, whole))
    assert wide.eta_s == narrow.eta_s
    assert (wide.high_s or 0) > (narrow.high_s or 0) > (narrow.low_s or 0) > (wide.low_s or 0)


quantities = st.tuples(st.integers(1, 40), st.floats(0, 300))


@given(st.lists(quantities, min_size=5), st.integers(1, 10**6), st.integers(1, 999))
def test_more_stock_never_lowers_the_time(sales: list[tuple[int, float]], stock: int, more: int) -> None:
    part, now = Product(), T0 + 300
    for units, age in sales:
        part.depletion.sell(units, now - age)
    shown = []
    for left in (stock, stock + more):
        part.restock(left, now)
        shown.append(sell_out(part, now, over=False, completeness=None))
    assert shown[0].state == shown[1].state
    assert (shown[0].eta_s or 0) <= (shown[1].eta_s or 0)
    assert all(isfinite(one.high_s or 0) for one in shown)


def test_a_stock_that_ran_out_in_the_future_ran_out_now() -> None:
    part = Product()
    part.restock(0, T0 + 600)
    part.step(-600, T0)
    assert part.turned_at == T0
