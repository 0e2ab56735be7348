"""The demand of a simulated sale: the rush, the hot products, their stock."""

import math
import random
from collections.abc import Iterator
from itertools import accumulate

from msgspec import Struct

# The rush starts at 3.3 times the mean rate; this share of the sale is the time constant of its decay.
RUSH_DECAY = 0.15
RUSH_SHARE = 0.4
UNITS_PER_ORDER = ((1, 80), (2, 15), (3, 5))
MEAN_UNITS = sum(units * weight for units, weight in UNITS_PER_ORDER) / 100
# Less stock than demand, and spread more evenly: the hot products sell out first, the least popular ones never.
STOCK_PER_DEMAND = 0.62
STOCK_FOLLOWS_DEMAND = 0.6
NAMES = (
    "aurora-sneaker",
    "nimbus-jacket",
    "pixel-console",
    "terra-backpack",
    "echo-headphones",
    "luna-lamp",
    "cobalt-watch",
    "fjord-bottle",
)


class SimulatedProduct(Struct, frozen=True):
    """One product on sale. `popularity` is its share of the demand."""

    id: str
    popularity: float
    price_cents: int
    stock: int


def catalogue(rng: random.Random, *, count: int, orders: float) -> tuple[SimulatedProduct, ...]:
    """Return `count` products, the hottest first, with stock for a sale of about `orders` orders."""
    weights = [1 / rank for rank in range(1, count + 1)]
    supply = orders * MEAN_UNITS * STOCK_PER_DEMAND
    made = []
    for index, weight in enumerate(weights):
        popularity = weight / sum(weights)
        share = STOCK_FOLLOWS_DEMAND * popularity + (1 - STOCK_FOLLOWS_DEMAND) / count
        name = NAMES[index] if index < len(NAMES) else f"sku-{index + 1}"
        made.append(SimulatedProduct(name, popularity, rng.randrange(990, 24_990, 500), max(3, round(supply * share))))
    return tuple(made)


class Demand:
    """Orders as they come in: `rate` a second on average over `duration` seconds, most of them at the start."""

    def __init__(
        self, rng: random.Random, *, rate: float, duration: float, products: tuple[SimulatedProduct, ...]
    ) -> None:
        self._rng = rng
        self._rate = rate
        self._duration = duration
        self._products = products
        self._cumulative = tuple(accumulate(product.popularity for product in products))

    def rate_at(self, offset: float) -> float:
        """Return the orders a second expected at `offset`."""
        if not 0 <= offset < self._duration:
            return 0.0
        decayed = 1 - math.exp(-1 / RUSH_DECAY)
        rush = RUSH_SHARE / (RUSH_DECAY * decayed) * math.exp(-offset / (RUSH_DECAY * self._duration))
        return self._rate * (1 - RUSH_SHARE + rush)

    def arrivals(self) -> Iterator[float]:
        """Yield the times of the orders: a Poisson process whose rate follows the rush."""
        highest = self.rate_at(0.0)
        offset = self._rng.expovariate(highest)
        while offset < self._duration:
            if self._rng.random() * highest < self.rate_at(offset):
                yield offset
            offset += self._rng.expovariate(highest)

    def choose(self) -> tuple[SimulatedProduct, int]:
        """Draw a product, hot ones more often, and the number of units."""
        product = self._rng.choices(self._products, cum_weights=self._cumulative)[0]
        units, weights = zip(*UNITS_PER_ORDER, strict=True)
        return product, self._rng.choices(units, weights)[0]
