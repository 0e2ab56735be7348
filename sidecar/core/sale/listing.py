"""The sales as readers see them: what is planned, what runs, what was."""

from typing import Literal

from msgspec import Struct

from sidecar.core.counts.manifest import Kind, Manifest, Marker
from sidecar.core.counts.sale import By, Sale
from sidecar.core.counts.sale_record import Restock, SaleRecord
from sidecar.core.sale.records import AD_HOC, Records, features, present


class ListedSale(Struct, frozen=True, kw_only=True):
    """One sale; times are Unix seconds. `features` says what its manifest turns on."""

    id: str | None
    title: str
    kind: Kind
    state: Literal["planned", "running", "ended"]
    starts_at: float | None
    ends_at: float | None
    started_at: float | None
    ended_at: float | None
    started_by: By | None = None
    ended_by: By | None = None
    features: dict[str, bool]
    markers: tuple[Marker, ...]
    restocks: tuple[Restock, ...]
    manifest: Manifest | None


def listing(records: Records, sale: Sale) -> list[ListedSale]:
    """Return all sales, the newest first; the present one belongs to them."""
    found = {id: _listed(id, record) for id, record in records.items() if id != AD_HOC}
    known = records.get(sale.id or AD_HOC)
    if sale.state != "none" and (sale.state == "running" or known is None or known.started_at is not None):
        found[sale.id or AD_HOC] = _current(records, sale)
    return sorted(found.values(), key=lambda one: one.started_at or one.starts_at or 0.0, reverse=True)


def _listed(id: str, record: SaleRecord, sale: Sale | None = None) -> ListedSale:
    manifest = record.manifest
    state: Literal["planned", "running", "ended"] = "planned" if record.started_at is None else "ended"
    markers = (*(manifest.markers if manifest else ()), *record.markers)
    return ListedSale(
        id=id or None,
        title=manifest.title if manifest else "",
        kind=manifest.kind if manifest else "live",
        state="running" if sale and sale.state == "running" else state,
        starts_at=manifest.starts_at if manifest else None,
        ends_at=manifest.ends_at if manifest else None,
        started_at=sale.started_at if sale else record.started_at,
        ended_at=sale.ended_at if sale else record.ended_at,
        started_by=sale.started_by if sale else None,
        ended_by=sale.ended_by if sale else None,
        features=features(manifest),
        markers=tuple(sorted(markers, key=lambda one: one.at)),
        restocks=record.restocks,
        manifest=manifest,
    )


def _current(records: Records, sale: Sale) -> ListedSale:
    return _listed(sale.id or AD_HOC, present(records, sale), sale)
