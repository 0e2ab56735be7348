"""The seam between the pipeline and everything that shows numbers: one newest Snapshot, never a queue."""

import asyncio
from typing import Any, Literal, Protocol

from msgspec import UNSET, Struct, UnsetType

from sidecar.core.counts.pending import RejectedEvent
from sidecar.core.counts.sale import Sale
from sidecar.core.events.sale_event import Action
from sidecar.core.snapshot.snapshot import Role, Snapshot

HealthStatus = Literal["ok", "degraded", "standby", "down"]


class Component(Struct, frozen=True, omit_defaults=True):
    """The state of one part; `detail` says in one line what is wrong or worth knowing, and what to do."""

    status: HealthStatus
    detail: str | UnsetType = UNSET


class Health(Struct, frozen=True):
    """The answer of `/monitoring/health`."""

    status: HealthStatus
    role: Role
    components: dict[str, Component]


class Latest:
    """Hold the newest Snapshot. Each tick replaces it; who was slow sees only the newest."""

    def __init__(self) -> None:
        self._snapshot: Snapshot | None = None
        self._exposed: Snapshot | None = None
        self._published = asyncio.Event()

    @property
    def snapshot(self) -> Snapshot | None:
        """The newest Snapshot; `None` before the first (state not loaded)."""
        return self._snapshot

    @property
    def exposed(self) -> Snapshot | None:
        """What the exposition shows of it: the same, but for counters that must not go back."""
        return self._exposed

    def publish(self, snapshot: Snapshot, exposed: Snapshot | None = None) -> None:
        """Replace the Snapshot and wake whoever waits."""
        self._snapshot, self._exposed = snapshot, exposed or snapshot
        self._published.set()
        self._published = asyncio.Event()

    def withdraw(self) -> None:
        """Show nothing any more: this sidecar counts no longer."""
        self._snapshot = self._exposed = None

    async def newer(self) -> Snapshot:
        """Wait for the next publication and return it."""
        while True:
            await self._published.wait()
            if self._snapshot is not None:
                return self._snapshot


class Monitor(Protocol):
    """What the servers ask of the daemon beside the newest Snapshot. Implemented by `service`.

    All methods may be called at any time between start and stop. `health` and `ready` never wait; the others talk to
    Redis and raise `UnavailableError` when it does not answer.
    """

    def health(self) -> Health:
        """Return the state of every component."""
        ...

    def ready(self) -> tuple[bool, Role]:
        """Return whether the state is loaded and the sources are subscribed, or this is a standby."""
        ...

    async def history(self, metric: str, start: int, end: int) -> dict[int, int]:
        """Return the values of `throughput`, `queue_length` or `active_connections` by Unix second."""
        ...

    async def rejected(self, limit: int) -> list[RejectedEvent]:
        """Return the newest rejected payloads, newest first."""
        ...

    async def clear(self) -> dict[str, Any]:
        """Clear the metrics; return the report, the JSON value of `cleared`."""
        ...

    async def announce(self, action: Action, id: str | None) -> Sale:
        """Say that a sale starts or stops; return the sale once that is committed."""
        ...

    async def fleet(self) -> Snapshot:
        """Return the merged Snapshot of the fleet; this instance alone if it has none."""
        ...
