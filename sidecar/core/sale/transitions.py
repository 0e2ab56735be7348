"""When a sale begins and ends. Orders show it, or somebody announces it; announcements take precedence.

- A sale begins with its first order, or when its start is announced.
- A sale whose start was not announced is over when orders stop (quiet.py), and continues with the next order within an
  hour. Later orders begin another sale.
- A sale whose start was announced is over when its end is. Orders decided after that are stragglers: for ten minutes
  they begin no sale.

Cancellations come days after a sale: they neither begin nor prolong one.
"""

from msgspec.structs import replace

from sidecar.core.counts.sale import Announcement, Sale, Span, began
from sidecar.core.events.sale_event import CURRENT

SAME_SALE_SECONDS = 3600.0  # orders within an hour of a sale that was not announced belong to it, before or after
STRAGGLER_SECONDS = 600.0  # payments take minutes; a later order belongs to something new


def follow(sale: Sale, orders: Span | None, said: list[Announcement], over_at: float | None) -> Sale:
    """Return the sale after these orders and announcements; without one, it was over at `over_at`."""
    if orders is not None:
        sale = _with_orders(sale, orders)
    for one in said:
        if not objection(sale, one):
            sale = _announced(sale, one)
    if sale.state == "running" and over_at is not None and not sale.is_said:
        sale = replace(sale, state="ended", ended_at=over_at, ended_by="orders")
    return sale


def objection(sale: Sale, said: Announcement) -> str:
    """Return why an announcement does not apply, "" if it does."""
    newest = max(sale.started_at or 0.0, sale.ended_at or 0.0) if sale.is_said else 0.0
    if said.by == "event" and said.at < newest:
        return "it is older than the last announcement"
    if said.action == "start":
        return ""
    if sale.state == "none":
        return "there is no sale to stop: none was started, and no order came"
    if said.id is not None and said.id != sale.id:
        called = "is not called anything" if sale.id is None else f"is {sale.id}"
        return f"the sale {called}: stop it as {sale.id or CURRENT}"
    return ""


def _with_orders(sale: Sale, orders: Span) -> Sale:
    new = Sale(state="running", started_at=orders.first, started_by="orders")
    if sale.state == "none":
        return new
    if sale.state == "running":
        earlier = 0 < began(sale) - orders.first <= SAME_SALE_SECONDS and not sale.is_said
        return replace(sale, started_at=orders.first) if earlier else sale
    ended_at = sale.ended_at or 0.0
    if orders.newest <= ended_at + (STRAGGLER_SECONDS if sale.is_said else 0.0):
        return sale
    if not sale.is_said and orders.newest <= ended_at + SAME_SALE_SECONDS:
        return replace(sale, state="running", ended_at=None, ended_by=None)
    return new if orders.first > ended_at else replace(new, started_at=orders.newest)


def _announced(sale: Sale, said: Announcement) -> Sale:
    if said.action == "start":
        known = sale.state == "running" and sale.is_said and said.id in (None, sale.id)
        return sale if known else Sale(said.id, "running", said.at, None, said.by)
    if sale.state == "running":
        return replace(sale, state="ended", ended_at=max(said.at, began(sale)), ended_by=said.by)
    return sale if sale.is_said else replace(sale, ended_by=said.by)
