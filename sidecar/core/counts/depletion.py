"""How fast a product sells, and when it will be sold out.

The rate is the sum of units sold, each weighted by 2^(-age/half-life), divided by the integral of the weights since the
first sale. The sums are as of the newest sale: adding is O(1), exponents never rise, and merging two equals replaying
both (up to float rounding). A restock changes only the stock, never the rate.

The spread says how far off the time may be: the chance in what was seen and is left, orders of several units, demand
that changes, and a rate that rises or falls while it is measured.
"""

from math import exp2, isfinite, log, sqrt
from typing import Any

from sidecar.errors import CheckpointError

HALF_LIFE_SECONDS = 10.0  # follows a flash sale from its first seconds
CALM_HALF_LIFE_SECONDS = 60.0  # steadier, for products that sell rarely
CALM_BELOW_UNITS = 20.0  # with fewer effective units the short half-life is too noisy
KNOWN_FROM_UNITS = 1.0  # with less than one effective unit a time to sell out is a guess
# Of random gaps, one in a thousand is seven times the usual one; one in twenty is three times as long.
PAUSE_UNITS = 7.0
SHORTEST_PAUSE_SECONDS = 10.0
KEPT_RATE_SECONDS = 60.0  # how long the rate of a product that is sold out says something about its restock
DRIFT_PER_MINUTE = 0.25  # how much demand changes by itself, as a share
TREND_FROM_UNITS = 5.0
TREND_SECONDS = 72.0  # between the mean ages of the two sums, once they are full
SHORTEST_TREND_SECONDS = 3.0
TREND_VARIANCE = 1.64  # a trend that goes on as it is lies at the edge of a band of 80 %
WIDEST_SPREAD = 3.0
SHORTEST_SPAN_SECONDS = 1.0  # a first sale just now is no infinite rate
AHEAD_SECONDS = 3.0  # how far a sale may be ahead: 2 s, and it counts in the middle of its second
# Sums are stored in units of 2^-20, which no rate shows: the rest of a float is noise that does not compress.
GRAIN = 2**20
MOST_UNITS = 2.0**43  # 9 * 10^12; in grains, half of what msgpack can hold


def _weight(age: float, half_life: float) -> float:
    return exp2(-age / half_life)


class Depletion:
    """The sales of one product, in constant memory."""

    __slots__ = ("calm_units", "first_ts", "newest_ts", "sold", "squares", "units")

    def __init__(self) -> None:
        """Start without a sale.

        `units` and `calm_units` are effective units as of `newest_ts`. `squares` weights the squared quantities of
        orders as `calm_units` does. `sold` are the units since the first sale.
        """
        self.first_ts: float | None = None
        self.newest_ts = 0.0
        self.units = 0.0
        self.calm_units = 0.0
        self.squares = 0.0
        self.sold = 0

    def __eq__(self, other: object) -> bool:
        """Compare all state."""
        return isinstance(other, Depletion) and self.dump() == other.dump()

    def sell(self, units: int, ts: float, squares: int | None = None) -> None:
        """Add units sold at `ts`, Unix seconds of the event; any order. `squares`: if they are of several orders."""
        self._add(ts, ts, float(units), float(units), float(units**2 if squares is None else squares))
        self.sold += units

    def merge(self, other: "Depletion") -> None:
        """Add the sales of another."""
        if other.first_ts is not None:
            self._add(other.first_ts, other.newest_ts, other.units, other.calm_units, other.squares)
            self.sold += other.sold

    def resume(self, seconds: float) -> None:
        """Follow a restock after `seconds` of being sold out, which are no pause. A minute is a new beginning."""
        if seconds > KEPT_RATE_SECONDS:
            self.__init__()  # type: ignore[misc]
        elif self.first_ts is not None:
            self.first_ts, self.newest_ts = self.first_ts + seconds, self.newest_ts + seconds

    def _add(self, first_ts: float, newest_ts: float, units: float, calm_units: float, squares: float) -> None:
        """Add effective units as of `newest_ts`, decaying the older of the two sums to the newer time."""
        if self.first_ts is None:
            self.first_ts, self.newest_ts = first_ts, newest_ts
        self.first_ts = min(self.first_ts, first_ts)
        ahead = newest_ts - self.newest_ts
        if ahead > 0:
            self.newest_ts = newest_ts
            self.units *= _weight(ahead, HALF_LIFE_SECONDS)
            calm = _weight(ahead, CALM_HALF_LIFE_SECONDS)
            self.calm_units, self.squares = self.calm_units * calm, self.squares * calm
        elif ahead < 0:
            units *= _weight(-ahead, HALF_LIFE_SECONDS)
            calm = _weight(-ahead, CALM_HALF_LIFE_SECONDS)
            calm_units, squares = calm_units * calm, squares * calm
        self.units += units
        self.calm_units += calm_units
        self.squares += squares

    def step(self, by: float, now: float) -> None:
        """Follow a clock that was set by `by` seconds, to `now`; the newest sale stays close to it."""
        if self.first_ts is not None:
            by = min(by, now + AHEAD_SECONDS - self.newest_ts)
            self.first_ts, self.newest_ts = max(self.first_ts + by, 0.0), max(self.newest_ts + by, 0.0)

    def settle(self) -> None:
        """Round the sums to what is stored, so that loading them gives the same to the last bit."""
        self.units = round(min(self.units, MOST_UNITS) * GRAIN) / GRAIN
        self.calm_units = round(min(self.calm_units, MOST_UNITS) * GRAIN) / GRAIN
        self.squares = round(min(self.squares, MOST_UNITS) * GRAIN) / GRAIN

    def copy(self) -> "Depletion":
        """Return an independent copy."""
        twin = Depletion()
        twin.first_ts, twin.newest_ts = self.first_ts, self.newest_ts
        twin.units, twin.calm_units = self.units, self.calm_units
        twin.squares, twin.sold = self.squares, self.sold
        return twin

    def rate(self, now: float) -> float | None:
        """Return units sold per second as of `now`, `None` if none was ever sold.

        The half-life is 10 s, and 60 s below 20 effective units.
        """
        if self.first_ts is None:
            return None
        fast = self._units_at(now)
        if fast >= CALM_BELOW_UNITS:
            return fast / self._integral(now, HALF_LIFE_SECONDS)
        return self.calm_rate(now)

    def calm_rate(self, now: float) -> float:
        """Return units sold per second with the half-life of 60 s; there must have been a sale."""
        return self._calm_units_at(now) / self._integral(now, CALM_HALF_LIFE_SECONDS)

    def _integral(self, now: float, half_life: float) -> float:
        """Return the integral of the weights from the first sale to `now`."""
        assert self.first_ts is not None
        span = max(max(now, self.newest_ts) - self.first_ts, SHORTEST_SPAN_SECONDS)
        return (1 - _weight(span, half_life)) * half_life / log(2)

    def _units_at(self, now: float) -> float:
        return self.units * _weight(max(now - self.newest_ts, 0.0), HALF_LIFE_SECONDS)

    def _calm_units_at(self, now: float) -> float:
        return self.calm_units * _weight(max(now - self.newest_ts, 0.0), CALM_HALF_LIFE_SECONDS)

    def forecast(self, stock: int, now: float, *, over: bool = False) -> tuple[float | None, float | None]:
        """Return the rate as of `now`, and the seconds until `stock` units are sold, 0 if none is left.

        The rate is 0 after a pause of several times the usual gap. The seconds are `None` then, or if nothing was ever
        sold, if less than one effective unit (half-life 60 s) remains, or if the sale is `over`.
        """
        rate = 0.0 if self.pauses(now, over=over) else self.rate(now)
        if stock <= 0:
            return rate, 0.0
        known = rate and not over and self._calm_units_at(now) >= KNOWN_FROM_UNITS
        return rate, stock / rate if rate and known else None

    def pauses(self, now: float, *, over: bool = False) -> bool:
        """Return whether nothing was sold for much longer than usual; after a sale, for 10 s."""
        if self.first_ts is None:
            return False
        usual = 0.0 if over else self.calm_rate(self.newest_ts)
        pause = max(PAUSE_UNITS / usual if usual else 0.0, SHORTEST_PAUSE_SECONDS)
        return now - self.newest_ts > pause

    def spread(self, stock: int, seconds: float, now: float) -> float:
        """Return the standard deviation of the logarithm of a forecast; `stock` and the rate must be above 0."""
        fast, calm = self._units_at(now), self._calm_units_at(now)
        seen = fast if fast >= CALM_BELOW_UNITS else calm
        dispersion = max(self.squares / self.calm_units, 1.0)
        variance = dispersion * (1 / stock + 1 / seen) + DRIFT_PER_MINUTE**2 * seconds / 60
        variance += (self._trend(fast, now) * seconds / 2) ** 2 / TREND_VARIANCE
        return min(sqrt(variance), WIDEST_SPREAD)

    def _trend(self, fast: float, now: float) -> float:
        """Return how fast the logarithm of the rate changes, per second: the rates of both half-lives show it."""
        if fast < TREND_FROM_UNITS or self.first_ts is None:
            return 0.0
        apart = TREND_SECONDS * min((now - self.first_ts) / CALM_HALF_LIFE_SECONDS, 1.0)
        change = log(fast / self._integral(now, HALF_LIFE_SECONDS) / self.calm_rate(now))
        return change / max(apart, SHORTEST_TREND_SECONDS)

    def dump(self) -> list[float | None]:
        """Return first and newest sale (Unix seconds; `None` if there was none), the sums in grains, and units sold."""
        sums = [round(self.units * GRAIN), round(self.calm_units * GRAIN), round(self.squares * GRAIN)]
        return [self.first_ts, self.newest_ts, *sums, self.sold]

    @classmethod
    def load(cls, data: list[Any]) -> "Depletion":
        """Return what was dumped; raise `CheckpointError` if it was damaged. Version 0.1.0 stored two sums."""
        depletion = cls()
        if isinstance(data, list) and len(data) == 4 and type(data[3]) is int:
            data = [*data, data[3], data[3] // GRAIN]
        if data == depletion.dump():
            return depletion
        sound = isinstance(data, list) and len(data) == 6 and all(type(n) in (int, float) and isfinite(n) for n in data)
        if not sound or data[0] > data[1] or min(data[2:]) < 0:
            raise CheckpointError("a stored depletion rate is damaged")
        depletion.first_ts, depletion.newest_ts = data[:2]
        depletion.units, depletion.calm_units = (grains / GRAIN for grains in data[2:4])
        depletion.squares, depletion.sold = data[4] / GRAIN, data[5]
        return depletion
