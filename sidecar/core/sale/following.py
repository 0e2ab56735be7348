"""Following the sale from commit to commit: what its orders show, and what somebody says of it.

It is said in events, which come with the others, or in Redis: there the newest word waits until the owner of the state
takes it. `heeded` of the totals is the last one that was taken, so that none applies twice.
"""

from contextlib import suppress
from operator import attrgetter

import msgspec
from msgspec import MsgspecError
from msgspec.structs import replace

from sidecar.core.checkpoint.codec import field
from sidecar.core.checkpoint.state import load_state
from sidecar.core.counts.sale import Announcement, cleared
from sidecar.core.counts.state import State
from sidecar.core.sale.quiet import Pendings, Quiet
from sidecar.core.sale.transitions import follow
from sidecar.errors import CheckpointError

_decode = msgspec.json.Decoder(Announcement).decode


class Following:
    """What is known of the sale beyond the committed state."""

    def __init__(self) -> None:
        self._quiet = Quiet()
        self._said: Announcement | None = None

    def hear(self, text: str) -> None:
        """Take what waits in Redis, as JSON; nothing is an empty text. It applies with the next commit."""
        with suppress(MsgspecError):  # somebody wrote it by hand
            self._said = _decode(text) if text else None

    def follow(self, merged: State, committed: State, pending: Pendings, now: float, *, silent: bool) -> None:
        """Write into `merged`, which is about to be committed, whether a sale runs. `silent`: a producer is."""
        orders = self._quiet.listen(merged, committed, pending, now)
        said = sorted((one for part in pending for one in part.said), key=attrgetter("at"))
        if self._said is not None and self._said.word != committed.total.heeded:
            said.append(replace(self._said, at=min(self._said.at, now)))
            merged.total.heeded = self._said.word
        over_at = self._quiet.over_at(merged, committed, pending, now, silent=silent)
        merged.total.sale = follow(merged.total.sale, orders, said, over_at)

    def step(self, now: float) -> None:
        """Follow a clock that was set to `now`."""
        self._quiet.step(now)


def keep(state: State, before: State) -> None:
    """Keep in a state what a clear leaves of the sale before it."""
    state.total.sale, state.total.heeded = cleared(before.total.sale), before.total.heeded


def keep_stored(state: State, totals: bytes) -> None:
    """Keep it of totals that were cleared while nobody counted, as they were stored."""
    with suppress(CheckpointError):
        keep(state, load_state({field("totals", ""): totals} if totals else {}))
