"""The manifest of a sale: what is planned, before it starts. All times are Unix seconds, all durations seconds."""

from decimal import Decimal
from typing import ClassVar, Literal

from msgspec import Struct, field

Kind = Literal["live", "rehearsal", "replay"]
StockModel = Literal["on_pending", "on_success", "reported"]
FAULT = "fault"
KINDS: tuple[Kind, ...] = ("live", "rehearsal", "replay")


class PlannedProduct(Struct, frozen=True, kw_only=True):
    """A product that the sale has. `safety_stock` units are not for sale."""

    id: str
    title: str = ""
    stock: int | None = None
    price: Decimal | None = None
    safety_stock: int = 0


class Expected(Struct, frozen=True, kw_only=True):
    """What the sale should bring."""

    orders: int | None = None
    peak_per_second: float | None = None
    connections: int | None = None


class Slo(Struct, frozen=True, kw_only=True):
    """A share of orders that must be good: `bad` is what is not, `fault` or `latency_ms > 800`."""

    name: str
    bad: str = FAULT
    target: float

    @property
    def slow_ms(self) -> float | None:
        """How long an order may take, `None` if this is about faults."""
        return None if self.bad == FAULT else float(self.bad.rpartition(" ")[2])


class RushRule(Struct, frozen=True, kw_only=True):
    """When the rush is over, if the rule for the rate should not say."""

    seconds: float = field(name="for")


class PhaseRules(Struct, frozen=True, kw_only=True):
    """Rules for phases."""

    rush: RushRule | None = None


class Threshold(Struct, frozen=True, kw_only=True):
    """A line of the gate, such as `p(99)<800`. A text stands for its `threshold`."""

    threshold: str
    optional: bool = False
    abort_on_fail: bool = field(name="abortOnFail", default=False)
    delay_abort_seconds: float = field(name="delayAbortEval", default=0.0)

    short: ClassVar = {"YamlText": "threshold"}


class Marker(Struct, frozen=True, kw_only=True):
    """A line in every chart, at a time of day or some seconds after the start."""

    at: float
    text: str


class Manifest(Struct, frozen=True, kw_only=True):
    """One sale as it is planned. What is missing turns features off."""

    version: Literal["1"]
    sale: str
    title: str = ""
    kind: Kind = "live"
    starts_at: float
    ends_at: float | None = None
    warm_up: float = 0.0
    drain: float = 0.0
    currency: str = ""
    products: tuple[PlannedProduct, ...] = ()
    stock_model: StockModel = "on_success"
    refusals: tuple[str, ...] = ()
    expected: Expected = Expected()
    slo: tuple[Slo, ...] = ()
    phases: PhaseRules = PhaseRules()
    thresholds: dict[str, tuple[Threshold, ...]] = {}
    baseline: str = ""
    markers: tuple[Marker, ...] = ()

    @property
    def slow_ns(self) -> int | None:
        """How long an order may take, in nanoseconds."""
        return next((round(one.slow_ms * 1e6) for one in self.slo if one.slow_ms is not None), None)

    @property
    def over_at(self) -> float | None:
        """When late events no longer belong to the sale."""
        return None if self.ends_at is None else self.ends_at + self.drain

    def safety_stock(self, product: str) -> int:
        """Return the units of a product that are not for sale."""
        return next((one.safety_stock for one in self.products if one.id == product), 0)
