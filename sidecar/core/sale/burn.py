"""How fast an error budget burns, on the time of a sale: minutes, in which most orders come first.

The budget is a share of all orders that the sale is expected to have, so it is a number of orders. A page says that a
notable part of it went within one window, and still goes; a warning, that the rest will not last.
"""

from collections.abc import Iterable, Mapping

from msgspec import Struct
from msgspec.structs import replace

from sidecar.core.counts.manifest import FAULT, Manifest, Slo
from sidecar.core.counts.parts import Slice
from sidecar.core.counts.slo_alert import SloAlert
from sidecar.core.counts.state import State

LEAST_BAD = 10  # with 20 orders in a window and 1 % allowed, two bad ones come by chance in 1.8 % of all windows
PAGE_BURN, SHORT_BURN = 1.5, 1.0
WARN_BURN, WARN_SPENT = 2.0, 1.1
HOLD_SECONDS = 30.0
WIDTHS = {2: 1, 10: 1, 60: 5, 300: 10}  # of the slices of each window, in seconds
# Seconds of a window and of its short one, and the share of the budget that must have gone in it.
ROWS = ((10, 2, 0.10), (60, 10, 0.20), (300, 60, 0.40))

Rings = Mapping[int, Mapping[int, Slice]]  # by the width of a slice, in seconds


class SloCounts(Struct, frozen=True):
    """Orders that count, and the bad ones among them."""

    bad: int = 0
    valid: int = 0

    def plus(self, part: Slice, slo: Slo) -> "SloCounts":
        """Add a slice. Refusals are in neither: the business said no."""
        bad = part.faults if slo.bad == FAULT else part.slow
        return SloCounts(self.bad + bad, self.valid + part.finished - part.failed + part.faults)

    def burn(self, slo: Slo) -> float:
        """Return how many times faster than allowed orders are bad."""
        return self.bad / self.valid / (1 - slo.target) if self.valid else 0.0


class Budget(Struct, frozen=True):
    """The error budget of an SLO, in orders, and how fast it burns."""

    total: SloCounts
    expected: int
    windows: dict[int, SloCounts]

    def orders(self, slo: Slo) -> float:
        """Return how many orders may be bad."""
        return (1 - slo.target) * self.expected

    def spent(self, slo: Slo) -> float:
        """Return the share of the budget that is gone; more than 1 if it did not last."""
        return self.total.bad / self.orders(slo) if self.expected else 0.0

    def pages(self, slo: Slo) -> bool:
        """Return whether a notable part of the budget went within a window, and still goes."""
        return any(
            self.windows[window].bad >= max(LEAST_BAD, share * self.orders(slo))
            and self.windows[window].burn(slo) >= PAGE_BURN
            and self.windows[short].burn(slo) >= SHORT_BURN
            for window, short, share in ROWS
        )

    def warns(self, slo: Slo) -> bool:
        """Return whether the budget will not last, as the last minute and the last ten seconds both say."""
        return self.windows[60].bad >= LEAST_BAD and all(
            self.windows[window].burn(slo) >= WARN_BURN and self._at_the_end(slo, window) > WARN_SPENT
            for window in (60, 10)
        )

    def _at_the_end(self, slo: Slo, window: int) -> float:
        """Return the share of the budget that will be gone, if it goes on as in a window."""
        left = max(self.expected - self.total.valid, 0)
        return self.spent(slo) + self.windows[window].burn(slo) * left / self.expected if self.expected else 0.0


def budget(slo: Slo, whole: Iterable[Slice], rings: Rings, expected: int | None, last_second: int) -> Budget:
    """Return the budget of an SLO.

    `whole` is what finished in the sale. `rings` are slices by their width; `last_second` was complete.
    """
    total = SloCounts()
    for part in whole:
        total = total.plus(part, slo)
    windows = {}
    for seconds in WIDTHS:
        ring = rings[WIDTHS[seconds]]
        counted = SloCounts()
        for start, part in ring.items():
            if start > last_second - seconds:
                counted = counted.plus(part, slo)
        windows[seconds] = counted
    return Budget(total, max(expected or 0, total.valid), windows)


def rings(*states: State) -> Rings:
    """Return the slices of the time windows, by their width; of several states the last one that has a slice."""
    names = {1: "slices1", 5: "slices5", 10: "slices10"}
    return {
        width: {k: part for one in states for k, part in getattr(one, name).items()} for width, name in names.items()
    }


def budgets(manifest: Manifest, phases: Mapping[str, Slice], found: Rings, last_second: int) -> dict[str, Budget]:
    """Return the budget of each SLO; `phases` are the counts of the sale by phase."""
    orders = manifest.expected.orders
    return {slo.name: budget(slo, phases.values(), found, orders, last_second) for slo in manifest.slo}


def judged(alert: SloAlert, found: Budget, slo: Slo, now: float) -> SloAlert:
    """Return what is firing after a commit: a page, or a warning. Each stays for 30 s after its condition ended."""
    if found.pages(slo):
        alert = replace(alert, page_since=now if alert.page_since is None else alert.page_since, page_seen=now)
    elif alert.page_seen is not None and now - alert.page_seen >= HOLD_SECONDS:
        alert = replace(alert, page_since=None, page_seen=None)
    if found.warns(slo):
        alert = replace(alert, warn_since=now if alert.warn_since is None else alert.warn_since, warn_seen=now)
    elif alert.warn_seen is not None and now - alert.warn_seen >= HOLD_SECONDS:
        alert = replace(alert, warn_since=None, warn_seen=None)
    return alert
