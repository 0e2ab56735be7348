"""The records of sales: what commands change in them, which planned sale is due, and what a manifest turns on."""

from collections.abc import Callable, Iterator, Mapping

from msgspec.structs import replace

from sidecar.core.counts.manifest import Manifest, Marker
from sidecar.core.counts.sale import Announcement, Sale
from sidecar.core.counts.sale_record import MOST_NOTES, MOST_SALES, Restock, SaleRecord
from sidecar.core.sale.transitions import objection

Records = Mapping[str, SaleRecord]
AD_HOC = ""  # the record of a sale without an id
# What of a manifest turns which feature on.
FEATURES: dict[str, Callable[[Manifest], object]] = {
    "start and end by themselves": lambda one: one.ends_at is not None,
    "error budgets": lambda one: one.slo,
    "gate": lambda one: one.thresholds,
    "share of the stock sold": lambda one: any(product.stock is not None for product in one.products),
}


def features(manifest: Manifest | None) -> dict[str, bool]:
    """Return which features a sale has; without a manifest, none of these."""
    return {name: bool(manifest and needs(manifest)) for name, needs in FEATURES.items()}


def refusal(sale: Sale, records: Records, said: Announcement) -> str:
    """Return why a command does not apply, "" if it does."""
    known = records.get(said.id or AD_HOC)
    match said.action:
        case "start" | "stop":
            return objection(sale, said)
        case "load":
            if known is None:
                return "" if len(records) < MOST_SALES else f"there are {MOST_SALES} sales: delete some"
            if known.started_at is not None:
                return f"the sale {said.id} has begun: its manifest is fixed"
            same = said.details.replace or known.manifest == said.details.manifest
            return "" if same else f"the sale {said.id} is loaded with another content: replace it (--replace)"
        case "delete":
            if known is None:
                return f"there is no sale {said.id}"
            return f"the sale {said.id} runs: stop it first" if _runs(sale, said) else ""
        case _:
            if sale.state == "none" or said.id not in (None, sale.id):
                return "there is no such sale now: only the present one takes markers and restocks"
            noted = present(records, sale)
            full = len(noted.markers) + len(noted.restocks) >= MOST_NOTES
            return f"a sale takes {MOST_NOTES} markers and restocks" if full else ""


def _runs(sale: Sale, said: Announcement) -> bool:
    return sale.state == "running" and sale.id == said.id


def due(sale: Sale, records: Records, now: float) -> Iterator[Announcement]:
    """Yield the starts and the stop that manifests plan for a time up to `now`."""
    planned = [(one.manifest.starts_at, id) for id, one in records.items() if one.manifest and one.started_at is None]
    for starts_at, id in sorted(planned):
        manifest = records[id].manifest
        if starts_at <= now and manifest and (manifest.ends_at is None or now < manifest.ends_at):
            yield Announcement(action="start", id=id, at=starts_at, by="manifest")
    running = records.get(sale.id or AD_HOC)
    if sale.state == "running" and running and running.manifest and running.ended_at is None:
        over_at, ends_at = running.manifest.over_at, running.manifest.ends_at
        if over_at is not None and ends_at is not None and over_at <= now:
            yield Announcement(action="stop", id=sale.id, at=ends_at, by="manifest")


def present(records: Records, sale: Sale) -> SaleRecord:
    """Return the record of the present sale, an empty one if nothing was kept of it."""
    known = records.get(sale.id or AD_HOC)
    if known is None or (sale.id is None and (known.started_at or 0.0) < (sale.started_at or 0.0)):
        return SaleRecord(started_at=sale.started_at)
    return known


def changed(
    records: Records, before: Sale, after: Sale, said: Announcement | None, now: float
) -> dict[str, SaleRecord]:
    """Return the records that change, by a command that applies, and because the sale went from `before` to `after`."""
    found: dict[str, SaleRecord] = {}
    if said is not None and said.action == "load" and said.id is not None:
        known = records.get(said.id, SaleRecord())
        if known.manifest != said.details.manifest:
            found[said.id] = replace(known, manifest=said.details.manifest)
    elif said is not None and said.action in ("mark", "restock"):
        known, details = present(records, after), said.details
        if said.action == "mark":
            marker = Marker(at=said.at if details.at is None else details.at, text=details.text)
            known = replace(known, markers=(*known.markers, marker))
        else:
            restock = Restock(said.at, details.product_id, details.units)
            known = replace(known, restocks=(*known.restocks, restock))
        found[after.id or AD_HOC] = known
    if after != before:
        if before.id is not None and before.id != after.id and before.state == "running":
            known = found.get(before.id) or present(records, before)
            found[before.id] = replace(known, ended_at=after.started_at)
        if after.id is not None:
            known = found.get(after.id) or present(records, after)
            found[after.id] = replace(known, started_at=after.started_at, ended_at=after.ended_at)
    return {id: replace(record, changed_at=now) for id, record in found.items()}
