"""Committed state <-> Redis. One atomic script writes; readers read."""

from collections.abc import Mapping
from typing import Protocol

from msgspec import Struct

from sidecar.core.commit.commit import Commit, CommitAnswer
from sidecar.core.counts.sale import Announcement
from sidecar.core.counts.state import State


class Taken(Struct, frozen=True):
    """The answer to `take`: the fields of the checkpoint we own now, or `None` and who holds it ("" for nobody)."""

    fields: Mapping[str, bytes] | None
    holder: str = ""


class Aside(Struct, frozen=True):
    """Where a damaged checkpoint is kept; `dropped` if an earlier one is kept there, and this one is gone."""

    key: str
    dropped: bool = False


class Store(Protocol):
    """Where the state is kept. One task commits; each method is one atomic step.

    All raise UnavailableError when no answer came (a commit may have happened: send the same one again) and
    CommandError when nothing was written; `take`, `commit` and `load` CheckpointError when what is there is no
    checkpoint. `take` then holds the lease.
    """

    async def take(self, holder: str, token: str, *, dead: str, create: bool) -> Taken:
        """Become the owner, unless a lease of somebody else runs; `dead` is a holder known to be gone."""
        ...

    async def commit(self, commit: Commit, fields: Mapping[str, bytes], committed: State, now: float) -> CommitAnswer:
        """Write `fields` and the public keys if everything the commit was made under still holds."""
        ...

    async def load(self) -> dict[str, bytes]:
        """Return the fields of the checkpoint, empty if there is none."""
        ...

    async def set_aside(self, holder: str) -> Aside | None:
        """Make room for a new checkpoint where a damaged one is; `None` if the lease is not ours any more."""
        ...

    async def release(self, holder: str) -> None:
        """End our lease, so that a standby need not wait for it."""
        ...

    async def clear(self, generation: str) -> bytes:
        """Clear under a new random generation; return the totals as they were. Safe to send again."""
        ...

    async def say(self, said: Announcement) -> bool:
        """Leave word that a sale starts or stops, for whoever counts; False if nobody ever did. Safe to send again."""
        ...
