"""Eight shapes of demand: units sold by second, until the stock is gone."""

from collections.abc import Iterator

import numpy as np

from sidecar.core.counts.parts import Product
from sidecar.core.snapshot.sell_out import sell_out
from sidecar.core.snapshot.snapshot import SellOut

T0 = 1_790_000_000
SECONDS = 1200
# shape -> stock, and its restocks by second
STOCKS: dict[str, tuple[int, dict[int, int]]] = {
    "steady": (4000, {}),
    "rush": (11_000, {}),
    "slow": (60, {}),
    "restock": (2400, {50: 1500}),
    "baskets": (2500, {}),
    "changing": (4000, {}),
    "outage": (4000, {}),
    "ramp": (6000, {}),
}


def demand(shape: str, random: np.random.Generator) -> list[list[int]]:
    """Return the quantities of the orders of each second."""
    t = np.arange(SECONDS)
    rates = {
        "steady": np.full(SECONDS, 40.0),
        "rush": 8 + 192 * np.exp(-t / 45),
        "slow": np.full(SECONDS, 0.2),
        "restock": np.full(SECONDS, 30.0),
        "baskets": np.full(SECONDS, 10.0),
        "changing": 40 * random.gamma(4, 1 / 4, SECONDS // 5).repeat(5),
        "outage": np.where((t >= 40) & (t < 60), 0.0, 40.0),
        "ramp": np.minimum(60.0, 2.0 + t),
    }[shape]
    orders = random.poisson(rates)
    if shape == "baskets":
        return [random.geometric(0.4, count).tolist() for count in orders]
    return [[1] * count for count in orders]


def sale(shape: str, seed: int) -> Iterator[tuple[int, int, SellOut]]:
    """Yield (second, stock left, what was shown at its end) until the last unit is sold."""
    random = np.random.default_rng(seed)
    part, (left, restocks) = Product(), STOCKS[shape]
    for second, quantities in enumerate(demand(shape, random)):
        left += restocks.get(second, 0)
        sold = squares = 0
        for quantity in quantities:
            if quantity <= left:
                left, sold, squares = left - quantity, sold + quantity, squares + quantity**2
        if sold:
            part.units += sold
            part.depletion.sell(sold, T0 + second + 0.5, squares)
        part.restock(left, T0 + second + 0.9)
        yield second, left, sell_out(part, T0 + second + 1, over=False, completeness=1.0)
        if not left and second > max(restocks, default=0):
            return
