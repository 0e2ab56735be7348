"""Follow the sale from commit to commit: what its orders show, and what is announced.

An announcement comes as an event among the others, or through Redis, where the newest one waits until the owner of the
state takes it. `announced` of the totals identifies the last one taken, so that none applies twice.
"""

from contextlib import suppress
from operator import attrgetter

import msgspec
from msgspec import MsgspecError
from msgspec.structs import replace

from sidecar.core.checkpoint.codec import field
from sidecar.core.checkpoint.state import load_state
from sidecar.core.counts.sale import Announcement, cleared
from sidecar.core.counts.sale_record import SalePart
from sidecar.core.counts.state import State
from sidecar.core.sale.quiet import Pendings, Quiet
from sidecar.core.sale.records import AD_HOC, changed, due, present, refusal
from sidecar.core.sale.transitions import follow
from sidecar.errors import CheckpointError

_decode = msgspec.json.Decoder(Announcement).decode


class Following:
    """What is known of the sale beyond the committed state."""

    def __init__(self) -> None:
        self._quiet = Quiet()
        self._said: Announcement | None = None
        self.deleted: set[str] = set()  # the records that the commit in flight deletes

    def hear(self, text: str) -> None:
        """Take the announcement that waits in Redis, as JSON, "" if none does. It applies with the next commit."""
        with suppress(MsgspecError):  # written by hand, perhaps
            self._said = _decode(text) if text else None

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

    def step(self, now: float) -> None:
        """Follow a clock that was set to `now`."""
        self._quiet.step(now)


def keep(state: State, before: State) -> None:
    """Carry what is left of the sale over a clear."""
    state.total.sale, state.total.announced = cleared(before.total.sale), before.total.announced
    state.sales = state.sales or before.sales


def keep_stored(state: State, totals: bytes) -> None:
    """Carry it over a clear that came while no sidecar counted; `totals` are the stored ones from before."""
    with suppress(CheckpointError):
        keep(state, load_state({field("totals", ""): totals} if totals else {}))
