"""A scenario: what is done when, in seconds since the lane's sale began, and which pages are right.

`pages` must come, each once, in time, and go; `allowed` may come; any other page is false. A lane lasts until long
enough after its last step for what is late, or false, to arrive.
"""

from msgspec import Struct

from tests.gameday.actions import Action
from tests.gameday.judge import WARNING, WARNING_SECONDS, Page
from tests.gameday.shop import STREAM

AFTER_SECONDS = 45.0  # what is resolved 30 s after recovery is told a group_interval later, at worst
FAULT, RECOVERY = "fault", "recovery"


class Step(Struct, frozen=True):
    """What is done at which second."""

    at: float
    act: Action
    mark: str = ""


class Scenario(Struct, frozen=True, kw_only=True):
    """One lane. `stock` is what the shop has to sell; `transport_loses` where an event may get lost for good reason."""

    name: str
    what: str
    steps: tuple[Step, ...]
    pages: tuple[Page, ...] = ()
    allowed: tuple[Page, ...] = ()
    stock: dict[str, int] | None = None
    transports: tuple[str, ...] = (STREAM,)
    sentinels: bool = False
    standby: bool = False
    transport_loses: bool = False
    publisher_stays: bool = False
    ends: bool = False  # the sale is over at the end, and known to be
    after: float = AFTER_SECONDS

    @property
    def lasts(self) -> float:
        """Seconds."""
        return max(step.at for step in self.steps) + self.after

    def marked(self, mark: str) -> float | None:
        """Return when the fault began (the first such step), or was over (the last one)."""
        found = [step.at for step in self.steps if step.mark == mark]
        return (min(found) if mark == FAULT else max(found)) if found else None


def at(seconds: float, act: Action) -> Step:
    """Do something that is no fault."""
    return Step(seconds, act)


def fault(seconds: float, act: Action) -> Step:
    """Break something."""
    return Step(seconds, act, FAULT)


def recovery(seconds: float, act: Action) -> Step:
    """Let it be well again."""
    return Step(seconds, act, RECOVERY)


def warning(alert: str, within: float = WARNING_SECONDS, *, resolves: bool = True) -> Page:
    """Expect a warning."""
    return Page(alert, WARNING, within, resolves)


def critical(alert: str, *, resolves: bool = True) -> Page:
    """Expect a critical page."""
    return Page(alert, resolves=resolves)


def products(count: int, units: int) -> dict[str, int]:
    """Return the stock of so many products with so many units each."""
    return {f"sku-{number + 1}": units for number in range(count)}
