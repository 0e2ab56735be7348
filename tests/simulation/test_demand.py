"""The demand of a made-up sale: what is hot, how much there is of it, and when the orders come."""

from collections import Counter
from random import Random

import pytest

from sidecar.simulation.demand import MEAN_UNITS, NAMES, STOCK_PER_DEMAND, Demand, catalogue


def demand(seed: int = 1, *, rate: float = 50.0, duration: float = 20.0, count: int = 3) -> Demand:
    products = catalogue(Random(seed), count=count, orders=rate * duration)
    return Demand(Random(seed), rate=rate, duration=duration, products=products)


def test_products_have_names_and_the_hottest_is_first() -> None:
    made = catalogue(Random(1), count=len(NAMES) + 1, orders=1000)
    assert [one.id for one in made] == [*NAMES, f"sku-{len(NAMES) + 1}"]
    assert [one.popularity for one in made] == sorted((one.popularity for one in made), reverse=True)
    assert sum(one.popularity for one in made) == pytest.approx(1)
    assert all(990 <= one.price_cents < 24_990 for one in made)


def test_there_is_less_stock_than_demand_and_hot_products_have_the_smaller_share_of_theirs() -> None:
    made = catalogue(Random(1), count=5, orders=10_000)
    assert sum(one.stock for one in made) == pytest.approx(10_000 * MEAN_UNITS * STOCK_PER_DEMAND, rel=0.01)
    per_demand = [one.stock / one.popularity for one in made]
    assert per_demand == sorted(per_demand)


def test_a_small_sale_has_some_stock_of_everything() -> None:
    assert [one.stock for one in catalogue(Random(1), count=5, orders=1)] == [3] * 5


def test_the_rush_is_at_the_start_and_the_mean_is_what_was_asked_for() -> None:
    rates = [demand().rate_at(second / 100) for second in range(2000)]
    assert rates == sorted(rates, reverse=True)
    assert rates[0] > 3 * 50
    assert sum(rates) / len(rates) == pytest.approx(50, rel=0.01)


@pytest.mark.parametrize("offset", [-0.1, 20.0, 30.0])
def test_before_and_after_the_sale_nobody_orders(offset: float) -> None:
    assert demand().rate_at(offset) == 0


def test_orders_come_in_time_as_often_as_the_rate_says() -> None:
    times = list(demand().arrivals())
    assert times == sorted(times)
    assert times[0] > 0 and times[-1] < 20
    assert len(times) == pytest.approx(1000, rel=0.15)
    assert sum(at < 5 for at in times) > 0.35 * len(times)


def test_the_same_seed_gives_the_same_sale() -> None:
    assert list(demand(7).arrivals()) == list(demand(7).arrivals())
    assert list(demand(7).arrivals()) != list(demand(8).arrivals())


def test_hot_products_are_chosen_more_often_and_mostly_one_of_them() -> None:
    one = demand()
    products, units = Counter[str](), Counter[int]()
    for _ in range(2000):
        product, number = one.choose()
        products[product.id] += 1
        units[number] += 1
    assert [name for name, _ in products.most_common()] == list(NAMES[:3])
    assert units[1] > units[2] > units[3] > 0
