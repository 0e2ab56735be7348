"""Follow the sale from commit to commit: what its orders show, and what is announced.

An announcement comes as an event among the others, or through Redis, where the newest one waits until the owner of the
state takes it. `announced` of the totals identifies the last one taken, so that none applies twice.
"""

from collections.abc import Mapping
from contextlib import suppress
from operator import attrgetter

import msgspec
from msgspec import MsgspecError
from msgspec.structs import replace

from sidecar.core.checkpoint.codec import field
from sidecar.core.checkpoint.state import load_state
from sidecar.core.counts.manifest import Manifest
from sidecar.core.counts.parts import Slice
from sidecar.core.counts.phases import PhasePart, PhaseProgress, Timeline
from sidecar.core.counts.sale import Announcement, Sale, cleared
from sidecar.core.counts.sale_record import SalePart
from sidecar.core.counts.slo_alert import SloAlert, SloPart
from sidecar.core.counts.state import State
from sidecar.core.sale.burn import budgets, judged, rings
from sidecar.core.sale.phases import SELLING, advance, finished_by
from sidecar.core.sale.quiet import Pendings, Quiet, is_sold_out
from sidecar.core.sale.records import AD_HOC, changed, due, present, refusal
from sidecar.core.sale.transitions import follow
from sidecar.errors import CheckpointError

_decode = msgspec.json.Decoder(Announcement).decode


class Following:
    """What is known of the sale beyond the committed state."""

    def __init__(self) -> None:
        self._quiet = Quiet()
        self._said: Announcement | None = None
        self.slow_ns: int | None = None  # how long an order may take in the sale that runs, or is next
        self.deleted: set[str] = set()  # the records that the commit in flight deletes

    def hear(self, text: str) -> None:
        """Take the announcement that waits in Redis, as JSON, "" if none does. It applies with the next commit."""
        with suppress(MsgspecError):  # written by hand, perhaps
            self._said = _decode(text) if text else None

    def learn(self, state: State) -> None:
        """Take what a stored state says of the sale that runs, or is next."""
        manifest = _planned(state.total.sale, state.sales, state.total.committed_at or 0.0)
        self.slow_ns = manifest.slow_ns if manifest else None

    def follow(self, merged: State, committed: State, pending: Pendings, now: float, *, silent: bool) -> None:
        """Write into `merged`, which is about to be committed, whether a sale runs.

        `silent`: a producer fell silent.
        """
        orders = self._quiet.listen(merged, committed, pending, now)
        said = sorted((one for part in pending for one in part.said), key=attrgetter("at"))
        before, records = merged.total.sale, {id: part.record for id, part in committed.sales.items()}
        command: Announcement | None = None
        if self._said is not None and self._said.unique_id != committed.total.announced:
            merged.total.announced = self._said.unique_id
            if not refusal(before, records, self._said):
                command = replace(self._said, at=min(self._said.at, now))
        if command is not None and command.action in ("start", "stop"):
            said.append(command)
        said += due(before, records, now)
        over_at = self._quiet.over_at(merged, committed, pending, now, silent=silent)
        sale = follow(before, orders, said, over_at)
        found = changed(records, before, sale, command, now)
        manifest = (found.get(sale.id or AD_HOC) or present(records, sale)).manifest
        merged.total.sale = replace(sale, kind=manifest.kind if manifest else "live")
        merged.sales = {id: SalePart(record) for id, record in found.items()}
        self.deleted = {command.id} if command is not None and command.action == "delete" and command.id else set()

    def go_on(
        self, merged: State, committed: State, pending: Pendings, now: float, interval: float
    ) -> set[tuple[str, str]]:
        """Write into `merged` which phase the sale is in, and what counted in each; return the parts of another one."""
        sale, records = merged.total.sale, committed.sales | merged.sales
        before = committed.phases[""].progress if committed.phases else PhaseProgress()
        manifest, until = _planned(sale, records, now), int(now - interval) - 1
        own = manifest if manifest is not None and manifest.sale == sale.id else None
        progress = advance(
            before,
            sale,
            manifest,
            finished_by(merged.minutes, committed.minutes),
            until=until,
            now=now,
            sold_out=_is_sold_out(merged, committed, own),
        )
        if progress != before:
            merged.phases = {"": PhasePart(progress)}
        timeline = Timeline(progress.changes)
        counted = committed.phase_counts if timeline.continues(before.changes) else {}
        for second, whole in (cell for part in pending for cell in part.cells.items()):
            if (key := timeline.key(second)) is not None:
                if key not in merged.phase_counts:
                    merged.phase_counts[key] = counted[key].copy() if key in counted else Slice()
                merged.phase_counts[key].merge(whole)
        gone = {("phase_counts", key) for key in committed.phase_counts.keys() - counted.keys()}
        self.slow_ns = manifest.slow_ns if manifest else None
        if own is None or progress.phase not in SELLING:
            return gone | {("slos", name) for name in committed.slos}
        found = budgets(own, counted | merged.phase_counts, rings(committed, merged), until)
        for slo in own.slo:
            known = committed.slos[slo.name].alert if slo.name in committed.slos else SloAlert()
            if (alert := judged(known, found[slo.name], slo, now)) != known:
                merged.slos[slo.name] = SloPart(alert)
        return gone

    def step(self, now: float) -> None:
        """Follow a clock that was set to `now`."""
        self._quiet.step(now)


def _is_sold_out(merged: State, committed: State, manifest: Manifest | None) -> bool:
    """Return whether nothing is left for sale: of the products of the manifest, or of all that are known."""
    if manifest is None or not manifest.products:
        return is_sold_out(merged, committed)
    return all(
        part is not None and part.stock is not None and part.stock <= one.safety_stock
        for one in manifest.products
        for part in [merged.products.get(one.id) or committed.products.get(one.id)]
    )


def _planned(sale: Sale, records: Mapping[str, SalePart], now: float) -> Manifest | None:
    """Return the manifest of the sale that runs, or else of the next one."""
    part = records.get(sale.id or AD_HOC)
    if sale.state == "running" and part is not None and part.record.manifest is not None:
        return part.record.manifest
    plans = [part.record.manifest for part in records.values() if part.record.started_at is None]
    ahead = [plan for plan in plans if plan is not None and (plan.ends_at is None or now < plan.ends_at)]
    return min(ahead, key=lambda plan: plan.starts_at, default=None)


def keep(state: State, before: State) -> None:
    """Carry what is left of the sale over a clear."""
    state.total.sale, state.total.announced = cleared(before.total.sale), before.total.announced
    state.sales = state.sales or before.sales


def keep_stored(state: State, totals: bytes) -> None:
    """Carry it over a clear that came while no sidecar counted; `totals` are the stored ones from before."""
    with suppress(CheckpointError):
        keep(state, load_state({field("totals", ""): totals} if totals else {}))
