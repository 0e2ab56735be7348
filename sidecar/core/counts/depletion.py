"""How fast a product sells, and when it will be sold out.

The rate is the sum of units sold, each weighted by 2^(-age/half-life), divided by the integral of the weights since the
first sale. The sums are as of the newest sale: adding is O(1), exponents never rise, and merging two equals replaying
both (up to float rounding). A restock changes only the stock, never the rate.
"""

from math import exp2, isfinite, log
from typing import Any

from sidecar.errors import CheckpointError

HALF_LIFE_SECONDS = 10.0  # follows a flash sale from its first seconds
CALM_HALF_LIFE_SECONDS = 60.0  # steadier, for products that sell rarely
CALM_BELOW_UNITS = 20.0  # with fewer effective units the short half-life is too noisy
KNOWN_FROM_UNITS = 1.0  # with less than one effective unit a time to sell out is a guess
# Of random gaps, one in a thousand is seven times the usual one; one in twenty is three times as long.
PAUSE_UNITS = 7.0
SHORTEST_PAUSE_SECONDS = 10.0
SHORTEST_SPAN_SECONDS = 1.0  # a first sale just now is no infinite rate
AHEAD_SECONDS = 3.0  # how far a sale may be ahead: 2 s, and it counts in the middle of its second
# Sums are stored in units of 2^-20, which no rate shows: the rest of a float is noise that does not compress.
GRAIN = 2**20
MOST_UNITS = 2.0**43  # 9 * 10^12; in grains, half of what msgpack can hold


def _weight(age: float, half_life: float) -> float:
    return exp2(-age / half_life)


class Depletion:
    """The sales of one product, in constant memory."""

    __slots__ = ("calm_units", "first_ts", "newest_ts", "units")

    def __init__(self) -> None:
        """Start without a sale; `units` and `calm_units` are effective units as of `newest_ts`."""
        self.first_ts: float | None = None
        self.newest_ts = 0.0
        self.units = 0.0
        self.calm_units = 0.0

    def __eq__(self, other: object) -> bool:
        """Compare all state."""
        return isinstance(other, Depletion) and self.dump() == other.dump()

    def sell(self, units: int, ts: float) -> None:
        """Add units sold at `ts`, Unix seconds of the event; any order."""
        self._add(ts, ts, float(units), float(units))

    def merge(self, other: "Depletion") -> None:
        """Add the sales of another."""
        if other.first_ts is not None:
            self._add(other.first_ts, other.newest_ts, other.units, other.calm_units)

    def _add(self, first_ts: float, newest_ts: float, units: float, calm_units: float) -> None:
        """Add effective units as of `newest_ts`, decaying the older of the two sums to the newer time."""
        if self.first_ts is None:
            self.first_ts, self.newest_ts = first_ts, newest_ts
        self.first_ts = min(self.first_ts, first_ts)
        ahead = newest_ts - self.newest_ts
        if ahead > 0:
            self.newest_ts = newest_ts
            self.units *= _weight(ahead, HALF_LIFE_SECONDS)
            self.calm_units *= _weight(ahead, CALM_HALF_LIFE_SECONDS)
        elif ahead < 0:
            units *= _weight(-ahead, HALF_LIFE_SECONDS)
            calm_units *= _weight(-ahead, CALM_HALF_LIFE_SECONDS)
        self.units += units
        self.calm_units += calm_units

    def step(self, by: float, now: float) -> None:
        """Follow a clock that was set by `by` seconds, to `now`; the newest sale stays close to it."""
        if self.first_ts is not None:
            by = min(by, now + AHEAD_SECONDS - self.newest_ts)
            self.first_ts, self.newest_ts = max(self.first_ts + by, 0.0), max(self.newest_ts + by, 0.0)

    def settle(self) -> None:
        """Round the sums to what is stored, so that loading them gives the same to the last bit."""
        self.units = round(min(self.units, MOST_UNITS) * GRAIN) / GRAIN
        self.calm_units = round(min(self.calm_units, MOST_UNITS) * GRAIN) / GRAIN

    def copy(self) -> "Depletion":
        """Return an independent copy."""
        twin = Depletion()
        twin.first_ts, twin.newest_ts = self.first_ts, self.newest_ts
        twin.units, twin.calm_units = self.units, self.calm_units
        return twin

    def rate(self, now: float) -> float | None:
        """Return units sold per second as of `now`, `None` if none was ever sold.

        The half-life is 10 s, and 60 s below 20 effective units.
        """
        if self.first_ts is None:
            return None
        now = max(now, self.newest_ts)
        half_life = HALF_LIFE_SECONDS
        units = self.units * _weight(now - self.newest_ts, half_life)
        if units < CALM_BELOW_UNITS:
            half_life = CALM_HALF_LIFE_SECONDS
            units = self._calm_units_at(now)
        span = max(now - self.first_ts, SHORTEST_SPAN_SECONDS)
        return units / ((1 - _weight(span, half_life)) * half_life / log(2))

    def _calm_units_at(self, now: float) -> float:
        return self.calm_units * _weight(max(now - self.newest_ts, 0.0), CALM_HALF_LIFE_SECONDS)

    def forecast(self, stock: int, now: float, *, over: bool = False) -> tuple[float | None, float | None]:
        """Return the rate as of `now`, and the seconds until `stock` units are sold, 0 if none is left.

        The rate is 0 after a pause of several times the usual gap. The seconds are `None` then, or if nothing was ever
        sold, if less than one effective unit (half-life 60 s) remains, or if the sale is `over`.
        """
        rate = 0.0 if self._pauses(now, over=over) else self.rate(now)
        if stock <= 0:
            return rate, 0.0
        known = rate and not over and self._calm_units_at(now) >= KNOWN_FROM_UNITS
        return rate, stock / rate if rate and known else None

    def _pauses(self, now: float, *, over: bool) -> bool:
        """Return whether nothing was sold for much longer than usual; after a sale, for 10 s."""
        usual = None if over else self.rate(self.newest_ts)
        pause = max(PAUSE_UNITS / usual if usual else 0.0, SHORTEST_PAUSE_SECONDS)
        return self.first_ts is not None and now - self.newest_ts > pause

    def dump(self) -> list[float | None]:
        """Return first and newest sale (Unix seconds; `None` if there was none) and both sums in grains."""
        return [self.first_ts, self.newest_ts, round(self.units * GRAIN), round(self.calm_units * GRAIN)]

    @classmethod
    def load(cls, data: list[Any]) -> "Depletion":
        """Return what was dumped; raise `CheckpointError` if it was damaged."""
        depletion = cls()
        if data == depletion.dump():
            return depletion
        sound = isinstance(data, list) and len(data) == 4 and all(type(n) in (int, float) and isfinite(n) for n in data)
        if not sound or data[0] > data[1] or min(data[2:]) < 0:
            raise CheckpointError("a stored depletion rate is damaged")
        depletion.first_ts, depletion.newest_ts = data[:2]
        depletion.units, depletion.calm_units = (grains / GRAIN for grains in data[2:])
        return depletion
