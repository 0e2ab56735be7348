"""The interface between the pipeline and everything that shows numbers: what the newest tick published, no queue."""

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from itertools import count
from secrets import token_hex
from typing import Any, Literal, Protocol, TypeVar, cast

from msgspec import UNSET, Struct, UnsetType

from sidecar.core.counts.pending import RejectedEvent
from sidecar.core.counts.sale import NO_DETAILS, Details, Sale, SaleCommand
from sidecar.core.counts.sale_record import SaleRecord
from sidecar.core.snapshot.snapshot import Role, Snapshot

PROCESS = token_hex(4)
_numbers = count(1)

HealthStatus = Literal["ok", "degraded", "standby", "down"]
T = TypeVar("T")


class Component(Struct, frozen=True, omit_defaults=True):
    """The state of one part; `detail` says in one line what is wrong or worth knowing, and what to do.

    A source has two fields more: the events `received` since counting began, and when the newest one arrived.
    """

    status: HealthStatus
    detail: str | UnsetType = UNSET
    received: int | UnsetType = UNSET
    last_event_at: float | UnsetType | None = UNSET


class Health(Struct, frozen=True):
    """The answer of `/monitoring/health`."""

    status: HealthStatus
    role: Role
    components: dict[str, Component]
    sale: Sale | UnsetType = UNSET


class Published:
    """What one tick shows: a Snapshot, the one to expose, and all renderings. It lives until the next tick."""

    def __init__(
        self,
        snapshot: Snapshot,
        exposed: Snapshot | None = None,
        as_committed: Callable[[], Snapshot] | None = None,
    ) -> None:
        """`exposed` is what the exposition shows: the same, except for counters that must not fall.

        `as_committed` computes the one for the report, by default the same.
        """
        self.snapshot = snapshot
        self.exposed = exposed or snapshot
        self._as_committed = as_committed or (lambda: snapshot)
        self.tag = f"{PROCESS}-{next(_numbers)}"  # no other has it: renderings with the same tag have the same bytes
        self._rendered: dict[Callable[[Snapshot], Any], Any] = {}

    def rendered(self, render: Callable[[Snapshot], T]) -> T:
        """Return `render(snapshot)`, rendered once."""
        if render not in self._rendered:
            self._rendered[render] = render(self.snapshot)
        return cast(T, self._rendered[render])

    def reported(self, render: Callable[[Snapshot], T]) -> T:
        """Return `render` of the Snapshot as of its last commit, rendered once."""
        if render not in self._rendered:
            self._rendered[render] = render(self._as_committed())
        return cast(T, self._rendered[render])


class Latest:
    """Hold what the newest tick published. Each tick replaces it; a slow reader sees only the newest."""

    def __init__(self) -> None:
        self.published: Published | None = None  # before the first (state not loaded), and while another sidecar counts
        self._ticked = asyncio.Event()
        self._merging: asyncio.Task[Published] | None = None

    def publish(
        self,
        snapshot: Snapshot,
        exposed: Snapshot | None = None,
        as_committed: Callable[[], Snapshot] | None = None,
    ) -> None:
        """Replace what is published, and wake everybody that waits."""
        self._replace(Published(snapshot, exposed, as_committed))
        self._ticked.set()
        self._ticked = asyncio.Event()

    def withdraw(self) -> None:
        """Show nothing any more: this sidecar is no longer active."""
        self._replace(None)

    def _replace(self, published: Published | None) -> None:
        self.published = published
        if self._merging is not None and self._merging.done():
            self._merging = None

    async def newest(self) -> Published:
        """Return what is published, or wait for it."""
        return self.published or await self.newer()

    async def newer(self) -> Published:
        """Wait for the next publication and return it."""
        while True:
            await self._ticked.wait()
            if self.published is not None:
                return self.published

    async def fleet(self, merge: Callable[[], Coroutine[Any, Any, Snapshot]]) -> Published:
        """Return the fleet's values: `merge` is called once per tick, single-flight.

        It continues if a caller that waits for it is cancelled.
        """
        if self._merging is None:
            self._merging = asyncio.create_task(_published(merge))
        return await asyncio.shield(self._merging)

    async def stop(self) -> None:
        """Cancel a merge in progress."""
        if self._merging is not None:
            self._merging.cancel()
            await asyncio.gather(self._merging, return_exceptions=True)


async def _published(merge: Callable[[], Coroutine[Any, Any, Snapshot]]) -> Published:
    return Published(await merge())


class Monitor(Protocol):
    """What the servers need from the daemon in addition to the newest Snapshot; `service` implements it.

    All methods may be called at any time between start and stop. `health` and `ready` do not wait; the others may ask
    Redis, and raise `UnavailableError` if it does not answer.
    """

    def health(self) -> Health:
        """Return the state of every component."""
        ...

    def ready(self) -> tuple[bool, Role]:
        """Return whether the state is loaded and the sources are subscribed, and the role; a standby is ready, too."""
        ...

    async def history(self, metric: str, start: int, end: int) -> dict[int, int | float]:
        """Return the values of a metric of the history by Unix second."""
        ...

    async def rejected(self, limit: int) -> list[RejectedEvent]:
        """Return the newest rejected payloads, newest first."""
        ...

    async def clear(self) -> dict[str, Any]:
        """Clear the metrics; return the report, the JSON value of `cleared`."""
        ...

    async def clear_metric(self, name: str) -> bool:
        """Clear one custom metric; False if nothing is stored of it."""
        ...

    async def announce(self, action: SaleCommand, id: str | None, details: Details = NO_DETAILS) -> Sale:
        """Say something of a sale; return the present sale once that is committed."""
        ...

    def records(self) -> Mapping[str, SaleRecord]:
        """Return what is kept of sales, by id."""
        ...

    async def fleet(self) -> Snapshot:
        """Merge the Snapshot of the fleet, or return that of this instance without one. `Latest.fleet` shares it."""
        ...
