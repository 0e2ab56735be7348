"""Depletion: a rate that follows the sale, whatever order the sales come in."""

from math import inf, nan
from random import Random

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.core.counts.depletion import Depletion
from sidecar.errors import CheckpointError

T0 = 1_790_000_000.0
sales = st.lists(st.tuples(st.integers(1, 1000), st.floats(0, 600).map(lambda age: T0 + age)), max_size=40)


def sold(pairs: list[tuple[int, float]]) -> Depletion:
    """Return the depletion of some (units, ts)."""
    depletion = Depletion()
    for units, ts in pairs:
        depletion.sell(units, ts)
    return depletion


def steady(per_second: int, seconds: int) -> Depletion:
    """Return a steady sale that ends at T0 + seconds."""
    return sold([(per_second, T0 + second + 0.5) for second in range(seconds)])


def plain(depletion: Depletion) -> list[float]:
    """Return the whole state; a first sale at 0 where there was none."""
    return [depletion.first_ts or 0.0, depletion.newest_ts, depletion.units, depletion.calm_units]


def by_definition(pairs: list[tuple[int, float]], half_life: float, now: float) -> float:
    """Integrate the weights numerically and divide the weighted units by that."""
    span = max(now - min(ts for _, ts in pairs), 1.0)
    steps = 20_000
    integral = sum(2 ** (-(i + 0.5) * span / steps / half_life) for i in range(steps)) * span / steps
    return sum(units * 2 ** (-(now - ts) / half_life) for units, ts in pairs) / integral


@pytest.mark.parametrize("seconds", [5, 10, 60, 600])
def test_a_steady_sale_reads_as_its_rate(seconds: int) -> None:
    assert steady(50, seconds).rate(T0 + seconds) == pytest.approx(50, rel=0.12 if seconds < 10 else 0.06)


def test_many_effective_units_have_a_half_life_of_10_s() -> None:
    pairs = [(30, T0), (40, T0 + 7), (5, T0 + 11)]
    assert sold(pairs).rate(T0 + 12) == pytest.approx(by_definition(pairs, 10, T0 + 12), rel=1e-6)


def test_below_20_effective_units_the_half_life_is_60_s() -> None:
    pairs = [(8, T0), (4, T0 + 7), (5, T0 + 11)]
    assert sold(pairs).rate(T0 + 12) == pytest.approx(by_definition(pairs, 60, T0 + 12), rel=1e-6)


@pytest.mark.parametrize(("units", "half_life"), [(39, 60), (40, 10)])
def test_the_half_life_changes_at_20_effective_units(units: int, half_life: float) -> None:
    expected = by_definition([(units, T0)], half_life, T0 + 10)
    assert sold([(units, T0)]).rate(T0 + 10) == pytest.approx(expected, rel=1e-6)


def test_what_was_never_sold_has_no_rate() -> None:
    assert Depletion().rate(T0) is None
    assert Depletion().forecast(10, T0)[1] is None


def test_a_single_sale_a_moment_ago_is_spread_over_a_second() -> None:
    assert sold([(3, T0)]).rate(T0) == pytest.approx(3, rel=0.01)


@pytest.mark.parametrize("units", [3, 300])
def test_a_sale_ahead_of_now_counts_as_now(units: int) -> None:
    depletion = sold([(units, T0 + 2)])
    assert depletion.rate(T0) == depletion.rate(T0 + 2)
    assert depletion.forecast(30, T0)[1] == depletion.forecast(30, T0 + 2)[1]


def test_the_time_to_sell_out_is_stock_over_rate() -> None:
    depletion = steady(50, 60)
    rate = depletion.rate(T0 + 60)
    assert rate is not None
    assert depletion.forecast(1000, T0 + 60)[1] == 1000 / rate
    assert depletion.forecast(2000, T0 + 60)[1] == 2000 / rate, "a restock changes the stock, not the rate"


@pytest.mark.parametrize("stock", [0, -5])
def test_what_is_gone_sells_out_in_no_time(stock: int) -> None:
    assert steady(1, 5).forecast(stock, T0 + 5)[1] == 0.0
    assert Depletion().forecast(stock, T0)[1] == 0.0


def test_less_than_one_effective_unit_gives_a_rate_but_no_time_to_sell_out() -> None:
    depletion = sold([(1, T0 - 180), (1, T0)])
    assert depletion.forecast(10, T0 + 10)[1] is not None
    assert depletion.forecast(10, T0 + 20) == (depletion.rate(T0 + 20), None)


@pytest.mark.parametrize("age", [10.1, 60.0, 1e9])
@pytest.mark.parametrize(("stock", "seconds"), [(10, None), (0, 0.0)])
def test_what_does_not_sell_any_more_has_no_time_to_sell_out(age: float, stock: int, seconds: float | None) -> None:
    depletion = steady(5, 60)
    newest = T0 + 59.5
    assert depletion.forecast(stock, newest + age) == (0.0, seconds)
    assert depletion.forecast(stock, newest + 10)[0] == depletion.rate(newest + 10)


@pytest.mark.parametrize(("pause", "sells"), [(31.0, True), (36.0, False)])
def test_what_sells_slowly_may_pause_longer(pause: float, sells: bool) -> None:
    """A unit every five seconds for five minutes: a pause of seven such gaps is too long."""
    depletion = sold([(1, T0 + 5 * n) for n in range(60)])
    rate, seconds = depletion.forecast(10, depletion.newest_ts + pause)
    assert (bool(rate), seconds is not None) == (sells, sells)


def test_after_a_sale_nothing_has_a_time_to_sell_out() -> None:
    depletion = sold([(1, T0 + 5 * n) for n in range(60)])
    newest = depletion.newest_ts
    assert depletion.forecast(10, newest + 5, over=True) == (depletion.rate(newest + 5), None)
    assert depletion.forecast(10, newest + 11, over=True) == (0.0, None)
    assert depletion.forecast(0, newest + 11, over=True) == (0.0, 0.0)
    assert Depletion().forecast(10, newest, over=True) == (None, None)


@pytest.mark.parametrize("per_second", [0.2, 1.0, 5.0])
def test_a_healthy_product_seldom_seems_to_pause(per_second: float) -> None:
    """Of 20 sales of five minutes with random gaps, as seen every second from the first half minute on."""
    paused = looks = 0
    for seed in range(20):
        random, at = Random(seed), 0.0
        depletion, looked = Depletion(), 30.0
        while (at := at + random.expovariate(per_second)) < 300:
            while looked < at:
                looks += 1
                paused += depletion.forecast(1000, T0 + looked)[0] in (0.0, None)
                looked += 1.0
            depletion.sell(1, T0 + at)
    assert paused / looks < 0.02


def test_a_sale_after_years_neither_overflows_nor_remembers() -> None:
    years = 1e9
    depletion = sold([(1000, T0), (5, T0 + years), (1000, T0 - years)])
    assert (depletion.units, depletion.calm_units) == (5, 5)
    assert depletion.first_ts == T0 - years


@given(sales, st.randoms(), st.integers(1, 5))
def test_merging_in_any_order_equals_replaying_all(pairs: list[tuple[int, float]], rng: Random, parts: int) -> None:
    shuffled = list(pairs)
    rng.shuffle(shuffled)
    merged = Depletion()
    for part in range(parts):
        merged.merge(sold(shuffled[part::parts]))
    assert plain(merged) == pytest.approx(plain(sold(pairs)), rel=1e-9)


@given(sales)
def test_a_dump_survives_msgpack_and_loads_to_the_same(pairs: list[tuple[int, float]]) -> None:
    depletion = sold(pairs)
    assert Depletion.load(msgspec.msgpack.decode(msgspec.msgpack.encode(depletion.dump()))) == depletion


@given(sales)
def test_what_is_settled_loads_to_the_last_bit_and_differs_by_no_millionth(pairs: list[tuple[int, float]]) -> None:
    depletion, exact = sold(pairs), sold(pairs)
    depletion.settle()
    assert plain(Depletion.load(depletion.dump())) == plain(depletion) == pytest.approx(plain(exact), abs=1e-6)


def test_more_units_than_can_be_stored_are_as_many_as_can() -> None:
    depletion = sold([(10**15, T0)])
    depletion.settle()
    assert plain(Depletion.load(msgspec.msgpack.decode(msgspec.msgpack.encode(depletion.dump()))))[2:] == [2**43] * 2


def test_a_copy_is_independent() -> None:
    depletion = sold([(1, T0)])
    twin = depletion.copy()
    twin.sell(1, T0)
    assert depletion == sold([(1, T0)]) != twin
    assert depletion != depletion.dump()


@pytest.mark.parametrize(
    "data",
    [
        None,
        "x",
        [],
        [T0],
        [T0, T0, 1, "1"],
        [T0, T0, 1, None],
        [None, T0, 1, 1],
        [T0, T0, 1, nan],
        [T0, inf, 1, 1],
        [T0 + 1, T0, 1, 1],
        [T0, T0, -1, 1],
        [T0, T0, 1, -1],
        [T0, T0, 1, 1, 1],
    ],
)
def test_a_damaged_dump_is_refused(data: object) -> None:
    with pytest.raises(CheckpointError):
        Depletion.load(data)  # type: ignore[arg-type]


def test_a_clock_step_changes_no_rate() -> None:
    for by in (-600.0, -20.0, 20.0, 86400.0):
        depletion, other = sold([(1, T0), (5, T0 + 3)]), sold([(1, T0), (5, T0 + 3)])
        depletion.step(by, T0 + 4 + by)
        assert depletion.rate(T0 + 4 + by) == other.rate(T0 + 4)
        depletion.sell(2, T0 + 5 + by)
        other.sell(2, T0 + 5)
        assert depletion.rate(T0 + 6 + by) == other.rate(T0 + 6)


def test_a_stored_sale_from_a_clock_ahead_counts_as_sold_now() -> None:
    depletion = sold([(1, T0), (5, T0 + 3)])
    depletion.step(0.0, T0 - 600)
    assert T0 - 600 <= depletion.newest_ts <= T0 - 597
    Depletion().step(0.0, T0)


def test_a_restock_of_what_never_sold_is_no_sale() -> None:
    depletion = Depletion()
    depletion.resume(5.0)
    assert depletion.first_ts is None
