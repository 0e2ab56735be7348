"""The sale: when it begins and ends. Somebody says it, or it is known from the orders; what was said comes first.

- A sale begins with its first order, or when somebody says so.
- A sale that nobody began by a word is over when orders stop (quiet.py tells), and goes on with the next order within
  an hour. Later orders begin another sale.
- A sale that was said to begin is over when that is said. Orders that are still decided afterwards are stragglers: for
  ten minutes none of them begins a sale.

Cancellations come days after a sale: they neither begin nor prolong one.
"""

import re
from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

Action = Literal["start", "stop"]
By = Literal["orders", "command", "http", "event"]
ACTIONS: tuple[Action, ...] = ("start", "stop")
Progress = Literal["none", "running", "ended"]

SAME_SALE_SECONDS = 3600.0  # orders within an hour of what nobody said are of the same sale, also those before it
STRAGGLER_SECONDS = 600.0  # payments take minutes; an order that comes later is of something new
CURRENT = "current"  # in place of an id: whichever sale there is
ID_PATTERN = "^[a-z0-9][a-z0-9._-]{0,62}$"
ID_RULE = "at most 63 characters of a-z, 0-9, dot, underscore and hyphen, a letter or digit first, other than `current`"


class Sale(Struct, frozen=True):
    """Whether a sale runs, since when or until when (Unix seconds), and what showed it. `id` is what it was called."""

    id: str | None = None
    state: Progress = "none"
    started_at: float | None = None
    ended_at: float | None = None
    started_by: By | None = None
    ended_by: By | None = None

    @property
    def is_said(self) -> bool:
        """Whether somebody said what it is now."""
        return (self.ended_by or self.started_by or "orders") != "orders"

    def step(self, now: float) -> "Sale":
        """Follow a clock that was set to `now`: the times are mostly those of events, but none is in the future."""
        return replace(self, started_at=_past(self.started_at, now), ended_at=_past(self.ended_at, now))


class Announcement(Struct, frozen=True, kw_only=True):
    """What somebody said: which sale starts or stops, when (Unix seconds). `word` tells this from all else."""

    action: Action
    id: str | None = None
    at: float
    by: By
    word: str = ""


class Span(Struct, frozen=True):
    """The first and the newest of some orders, Unix seconds of the events."""

    first: float
    newest: float


def joined(*spans: Span | None) -> Span | None:
    """Return the span of all of them; `None` if there is none."""
    known = [span for span in spans if span is not None]
    return Span(min(span.first for span in known), max(span.newest for span in known)) if known else None


def is_id(text: str) -> bool:
    """Return whether a sale may be called so."""
    return bool(re.fullmatch(ID_PATTERN, text)) and not text.endswith("\n") and text != CURRENT


def follow(sale: Sale, orders: Span | None, said: list[Announcement], over_at: float | None) -> Sale:
    """Return the sale after these orders and words; `over_at` is when it was over if nobody said that it goes on."""
    if orders is not None:
        sale = _with_orders(sale, orders)
    for one in said:
        if not objection(sale, one):
            sale = _told(sale, one)
    if sale.state == "running" and over_at is not None and not sale.is_said:
        sale = replace(sale, state="ended", ended_at=over_at, ended_by="orders")
    return sale


def objection(sale: Sale, said: Announcement) -> str:
    """Return why there is nothing to do about what was said, or nothing."""
    newest = max(sale.started_at or 0.0, sale.ended_at or 0.0) if sale.is_said else 0.0
    if said.by == "event" and said.at < newest:
        return "it is older than what was said last"
    if said.action == "start":
        return ""
    if sale.state == "none":
        return "there is no sale to stop: none was started, and no order came"
    if said.id is not None and said.id != sale.id:
        called = "is not called anything" if sale.id is None else f"is {sale.id}"
        return f"the sale {called}: stop it as {sale.id or CURRENT}"
    return ""


def merged(one: Sale, other: Sale) -> Sale:
    """Return the sale of two sidecars: it runs if it runs in one of them; the first to begin, or the last to end."""
    if one.state != other.state:
        return max(one, other, key=lambda sale: ("none", "ended", "running").index(sale.state))
    if one.state == "running":
        return min(one, other, key=_began)
    return max(one, other, key=lambda sale: sale.ended_at or 0.0)


def cleared(sale: Sale) -> Sale:
    """Return what a clear leaves: what was said. The next order shows the rest."""
    return sale if sale.is_said else Sale()


def _with_orders(sale: Sale, orders: Span) -> Sale:
    began = Sale(state="running", started_at=orders.first, started_by="orders")
    if sale.state == "none":
        return began
    if sale.state == "running":
        earlier = 0 < _began(sale) - orders.first <= SAME_SALE_SECONDS and not sale.is_said
        return replace(sale, started_at=orders.first) if earlier else sale
    ended_at = sale.ended_at or 0.0
    if orders.newest <= ended_at + (STRAGGLER_SECONDS if sale.is_said else 0.0):
        return sale
    if not sale.is_said and orders.newest <= ended_at + SAME_SALE_SECONDS:
        return replace(sale, state="running", ended_at=None, ended_by=None)
    return began if orders.first > ended_at else replace(began, started_at=orders.newest)


def _told(sale: Sale, said: Announcement) -> Sale:
    if said.action == "start":
        known = sale.state == "running" and sale.is_said and said.id in (None, sale.id)
        return sale if known else Sale(said.id, "running", said.at, None, said.by)
    if sale.state == "running":
        return replace(sale, state="ended", ended_at=max(said.at, _began(sale)), ended_by=said.by)
    return sale if sale.is_said else replace(sale, ended_by=said.by)


def _began(sale: Sale) -> float:
    return sale.started_at or 0.0


def _past(at: float | None, now: float) -> float | None:
    return None if at is None else min(at, now)
