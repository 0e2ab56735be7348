"""When a product will be sold out: a time with a band that holds in four of five cases, or why there is none."""

from math import exp

from sidecar.core.counts.parts import Product
from sidecar.core.snapshot.snapshot import SellOut

BAND = 1.28  # standard deviations: 80 %
STARTING_SECONDS = 5.0
STARTING_UNITS = 5
RESTOCKED_SECONDS = 10.0
RELIABLE = 0.99  # with more than 1 % of the events missing, the rate is too low


def sell_out(part: Product, now: float, *, over: bool, completeness: float | None, kept: int = 0) -> SellOut:
    """Return what is known of a product whose stock is known.

    `over`: the sale has ended. `completeness` is that of the last minute. `kept` units are not for sale.
    """
    sales, stock = part.depletion, (part.stock or 0) - kept
    if stock <= 0:
        return SellOut("sold_out", at=part.turned_at, units_seen=sales.sold)
    if over:
        return SellOut("ended", units_seen=sales.sold)
    if completeness is not None and completeness < RELIABLE:
        return SellOut("unknown", units_seen=sales.sold)
    if sales.first_ts is None:
        return SellOut("starting" if part.units else "not_started")
    if sales.pauses(now):
        usual = sales.calm_rate(sales.newest_ts)
        return SellOut("stalled", at=sales.newest_ts, rate_per_second=usual, units_seen=sales.sold)
    rate, seconds = sales.forecast(stock, now)
    if sales.sold < STARTING_UNITS or now - sales.first_ts < STARTING_SECONDS or not rate or seconds is None:
        return SellOut("starting", units_seen=sales.sold)
    factor = exp(BAND * sales.spread(stock, seconds, now))
    restocked = part.turned_at is not None and now - part.turned_at < RESTOCKED_SECONDS
    return SellOut(
        "restocked" if restocked else "selling",
        eta_s=seconds,
        low_s=seconds / factor,
        high_s=seconds * factor,
        at=now + seconds,
        rate_per_second=rate,
        units_seen=sales.sold,
    )
