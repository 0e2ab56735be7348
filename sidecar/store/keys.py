"""The keys that one commit writes: names, values and expiry (docs/reference/redis-keys.md). Pure."""

from collections.abc import Mapping

import msgspec
from msgspec import Struct, structs

from sidecar.core.checkpoint.codec import field
from sidecar.core.commit.aggregator import Flight
from sidecar.core.counts.custom_series import metric_of
from sidecar.core.counts.parts import Product
from sidecar.core.counts.pending import REJECTED_KEPT, Sample
from sidecar.core.counts.rules import HISTORY_SECONDS
from sidecar.core.counts.state import State
from sidecar.core.events.event import STATUSES
from sidecar.core.snapshot.custom import shown

EXPIRY_SECONDS = 3600
# An unchanged key is written again three times before it expires. A changed key keeps its expiry, which is shorter to
# write, until this much of it has passed.
RENEWAL_SECONDS = 1200
SALE_SECONDS = 90 * 86_400
SAMPLES_KEPT = 10_000
# Long enough to look at it after a holiday.
DAMAGED_KEPT_SECONDS = 7 * 86_400
DAMAGED = "checkpoint:damaged"
HISTORY = ("throughput", "queue_length", "active_connections")


class KeyValue(Struct, frozen=True, array_like=True):
    """A string key: name after the prefix, value, seconds to live."""

    key: str
    value: int | str
    expiry_seconds: int


class Listing(Struct, frozen=True):
    """Entries to push to the front of a list, newest last; the list keeps `kept` entries."""

    key: str
    entries: list[bytes]
    kept: int


def removed(flight: Flight) -> list[str]:
    """Return the checkpoint fields that a commit removes."""
    return [
        *(field(section, key) for section, key in flight.removed),
        *(name for name, value in flight.windows.items() if value is None),
    ]


def values(flight: Flight, committed: State, *, everything: bool, now: float) -> list[KeyValue]:
    """Return the string keys that a commit writes, with absolute values.

    These are the four order counts and whatever changed; every 20 minutes also the sale and the stock of all products,
    so that they do not expire while the sidecar lives. With `everything`: all of them.
    """
    merged = flight.merged
    orders = merged.total.tallies["orders"]
    found = [KeyValue(f"order_status:{status}", orders[status], EXPIRY_SECONDS) for status in STATUSES]
    minutes = {**committed.minutes, **merged.minutes} if everything else merged.minutes
    renew = everything or _renewal(committed.total.committed_at) != _renewal(now)
    sale = merged.total.sale
    if sale.state != "none" and (renew or sale != committed.total.sale):
        found.append(KeyValue("sale:current", _json(sale), EXPIRY_SECONDS))
    for id, part in merged.sales.items():
        state = _json(structs.replace(part.record, manifest=None))
        found.append(KeyValue(f"sale:{id or 'current'}:state", state, SALE_SECONDS))
        if part.record.manifest is not None:
            found.append(KeyValue(f"sale:{id}:manifest", _json(part.record.manifest), SALE_SECONDS))
    for deleted in (key for section, key in flight.removed if section == "sales"):
        found += [KeyValue(f"sale:{deleted}:{kind}", "", 1) for kind in ("state", "manifest")]
    products = {**committed.products, **merged.products} if renew else merged.products
    for start, minute in minutes.items():
        before = None if everything else committed.minutes.get(start)
        tables = (minute.finished, minute.waiting, minute.connections)
        known = (before.finished, before.waiting, before.connections) if before else ({}, {}, {})
        for name, table, old in zip(HISTORY, tables, known, strict=True):
            found += _seconds(name, table, old, now)
    found += [
        KeyValue(f"inventory:{product}", part.stock, EXPIRY_SECONDS)
        for product, part in products.items()
        if part.stock is not None and (renew or _is_new(part, committed.products.get(product)))
    ]
    changed = [*merged.custom, *(key for section, key in flight.removed if section == "custom")]
    metrics = {metric_of(key) for key in [*changed, *(committed.custom if renew else ())]}
    found += [
        KeyValue(f"custom:{metric.name}", _json(shown(metric, {**committed.custom, **merged.custom})), EXPIRY_SECONDS)
        for metric in flight.custom_metrics
        if metric.name in metrics
    ]
    return found


def _json(value: Struct) -> str:
    return msgspec.json.encode(value).decode()


def _is_new(part: Product, known: Product | None) -> bool:
    """Return whether a stock was reported since: orders alone do not change an inventory key."""
    return known is None or (part.stock, part.stock_ts) != (known.stock, known.stock_ts)


def _renewal(at: float | None) -> int | None:
    return None if at is None else int(at // RENEWAL_SECONDS)


def _seconds(name: str, table: Mapping[int, int], old: Mapping[int, int], now: float) -> list[KeyValue]:
    """Return the current second and those that changed, each to expire an hour after it."""
    current = int(now)
    return [
        KeyValue(f"{name}:{second}", value, second + HISTORY_SECONDS - current)
        for second, value in table.items()
        if second + HISTORY_SECONDS > current and (second == current or old.get(second) != value)
    ]


def listings(flight: Flight, *, keep_rejected: bool) -> list[Listing]:
    """Return the list keys a commit adds to: samples, and rejected payloads."""
    pending = flight.pending.values()
    found = [
        Listing("order_latency", _samples([part.latency for part in pending]), SAMPLES_KEPT),
        Listing("processing_time", _samples([part.processing for part in pending]), SAMPLES_KEPT),
    ]
    if keep_rejected:
        rejected = [msgspec.json.encode(one) for part in pending for one in part.rejected]
        found.append(Listing("rejected", rejected[-REJECTED_KEPT:], REJECTED_KEPT))
    return [listing for listing in found if listing.entries]


def _samples(samples: list[Sample]) -> list[bytes]:
    """Draw from all sources together."""
    drawn = samples[0].copy()
    for one in samples[1:]:
        drawn.merge(one)
    return [_number(value) for value in drawn.values]


def _number(value: float) -> bytes:
    """Format milliseconds, whole ones without `.0`."""
    return b"%d" % value if value == int(value) else repr(value).encode()
