"""The sale as it is stored: whether one runs, since when, and who announced it."""

from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from sidecar.core.counts.manifest import Kind, Manifest

By = Literal["orders", "command", "http", "event", "manifest"]
SaleCommand = Literal["start", "stop", "load", "delete", "mark", "restock"]
Progress = Literal["none", "running", "ended"]


class Sale(Struct, frozen=True):
    """Whether a sale runs, since when or until when (Unix seconds), and what showed it. `id` was announced with it.

    `kind` is that of its manifest.
    """

    id: str | None = None
    state: Progress = "none"
    started_at: float | None = None
    ended_at: float | None = None
    started_by: By | None = None
    ended_by: By | None = None
    kind: Kind = "live"

    @property
    def is_said(self) -> bool:
        """Whether its present state was announced."""
        return (self.ended_by or self.started_by or "orders") != "orders"

    def step(self, now: float) -> "Sale":
        """Follow a clock that was set to `now`: most times are event times, but none lies in the future."""
        return replace(self, started_at=_past(self.started_at, now), ended_at=_past(self.ended_at, now))


class Details(Struct, frozen=True, kw_only=True):
    """What a command needs: "load" a manifest, which may replace another; "mark" a text; "restock" a product and units.

    `at` is the time of a mark, if it is not now.
    """

    manifest: Manifest | None = None
    replace: bool = False
    text: str = ""
    at: float | None = None
    product_id: str = ""
    units: int = 0


NO_DETAILS = Details()


class Announcement(Struct, frozen=True, kw_only=True):
    """What is said of which sale, when (Unix seconds), and by whom. `unique_id` keeps it from applying twice."""

    action: SaleCommand
    id: str | None = None
    at: float
    by: By
    unique_id: str = ""
    details: Details = NO_DETAILS


class Span(Struct, frozen=True):
    """The event times of the first and the newest of some orders, in Unix seconds."""

    first: float
    newest: float


def joined(*spans: Span | None) -> Span | None:
    """Return the span of them all; `None` if there is none."""
    known = [span for span in spans if span is not None]
    return Span(min(span.first for span in known), max(span.newest for span in known)) if known else None


def merged(one: Sale, other: Sale) -> Sale:
    """Merge the sales of two sidecars: it runs if it runs in one of them; the first to begin, or the last to end."""
    if one.state != other.state:
        return max(one, other, key=lambda sale: ("none", "ended", "running").index(sale.state))
    if one.state == "running":
        return min(one, other, key=began)
    return max(one, other, key=lambda sale: sale.ended_at or 0.0)


def cleared(sale: Sale) -> Sale:
    """Return what a clear leaves: what was announced. The next order shows the rest."""
    return sale if sale.is_said else Sale()


def began(sale: Sale) -> float:
    """Return when a sale began, in Unix seconds; 0 if it did not."""
    return sale.started_at or 0.0


def _past(at: float | None, now: float) -> float | None:
    return None if at is None else min(at, now)
