"""Committed state <-> Redis. Atomic scripts write; readers read."""

from collections.abc import Mapping
from typing import Protocol

from msgspec import Struct

from sidecar.core.commit.commit import Commit, CommitAnswer
from sidecar.core.counts.pending import RejectedEvent
from sidecar.core.counts.sale import Announcement
from sidecar.core.counts.state import State
from sidecar.redis.info import ServerInfo


class Taken(Struct, frozen=True):
    """The answer to `take`: the fields of the checkpoint now owned, or `None` and its owner ("" if there is none)."""

    fields: Mapping[str, bytes] | None
    owner: str = ""


class Aside(Struct, frozen=True):
    """The key of a damaged checkpoint; `dropped`: an earlier one stays there, and this one was deleted."""

    key: str
    dropped: bool = False


class Store(Protocol):
    """Where the state is kept. One task commits; each method is one atomic step.

    All raise UnavailableError if no answer came (a commit may have been written: send the same one again) and
    CommandError if nothing was written. `take`, `commit` and `load` raise CheckpointError if the checkpoint is damaged;
    after `take` the caller still has the lease.
    """

    async def take(self, owner: str, token: str, *, dead: str, create: bool) -> Taken:
        """Become the owner unless another one has the lease; `dead` is an owner known to be dead."""
        ...

    async def commit(self, commit: Commit, fields: Mapping[str, bytes], committed: State, now: float) -> CommitAnswer:
        """Write `fields` and the public keys, if everything that the commit was based on still holds."""
        ...

    async def load(self) -> dict[str, bytes]:
        """Return the fields of the checkpoint, empty if there is none."""
        ...

    async def set_aside(self, owner: str) -> Aside | None:
        """Move a damaged checkpoint out of the way; `None` if the lease was lost."""
        ...

    async def release(self, owner: str) -> None:
        """End the lease, so that a standby need not wait for it."""
        ...

    async def close(self) -> None:
        """Close the connection."""
        ...


class Registry(Protocol):
    """Where members of a fleet register and store their numbers. Every method raises UnavailableError without an
    answer.
    """

    async def now(self, local: float) -> float:
        """Return the time of the clock that all members share, Unix seconds; `local` if there is none."""
        ...

    async def register(self, fleet: str, instance: str, now: float) -> None:
        """Register `instance` as the owner of this prefix at `now` (Unix seconds)."""
        ...

    async def members(self, fleet: str, now: float) -> dict[str, str]:
        """Return the instance of each prefix that was registered within the last minute."""
        ...

    async def state(self, prefix: str) -> State | None:
        """Return the state committed there, `None` if there is none. Raises CheckpointError, AccessError."""
        ...


class Readers(Registry, Protocol):
    """What others than the pipeline ask of the store, over a connection of their own."""

    server: ServerInfo  # as of the last connect

    async def rejected(self, limit: int) -> list[RejectedEvent]:
        """Return the newest rejected payloads, newest first."""
        ...

    async def facts(self) -> dict[str, str]:
        """Return what the server says about its memory, by the names of INFO."""
        ...

    async def clear(self, generation: str) -> bytes:
        """Clear under a new random generation; return the totals from before. Safe to send again."""
        ...

    async def clear_metric(self, name: str, id: str) -> bool:
        """Clear a custom metric under a new random id; False if nothing is stored of it. Safe to send again."""
        ...

    async def announce(self, announcement: Announcement) -> bool:
        """Leave an announcement for the owner; False if there is no checkpoint. Safe to send again."""
        ...

    async def close(self) -> None:
        """Close the connection."""
        ...
