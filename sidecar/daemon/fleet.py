"""The fleet: sidecars under one name, each with a prefix of its own, shown as one.

A sidecar registers while it is active. The list of members is in Redis, which may lose it, so each member also
remembers the others: a recent member is never left out silently.
"""

import asyncio
from collections.abc import Callable

from msgspec import Struct

from sidecar.core.counts.state import State
from sidecar.core.snapshot.compute import is_stale
from sidecar.errors import AccessError, CheckpointError, SidecarError, UnavailableError
from sidecar.process.clock import Clock
from sidecar.store import Registry

REGISTER_SECONDS = 5.0
RETRY_SECONDS = 1.0  # if Redis did not answer, or this sidecar is not active yet
REMEMBER_SECONDS = 10.0  # two registrations: by then a lost list is complete again


class Members(Struct, frozen=True):
    """The committed state of each member as (instance, state), and the error of those that cannot be read."""

    states: list[tuple[str, State]]
    damaged: dict[str, str]


class Age(Struct, frozen=True):
    """The age of merged numbers: the oldest commit (Unix seconds), whether any member is stale, and `settled`, how long
    after its end a second is committed by every member that is not stale.
    """

    committed_at: float | None
    stale: bool
    settled: float


class Fleet:
    """Registers this sidecar, remembers the other members, and reads their numbers."""

    def __init__(self, registry: Registry, *, name: str, prefix: str, instance: str, clock: Clock) -> None:
        """`prefix` and `instance` are those of this sidecar."""
        self._registry = registry
        self._name = name
        self._prefix = prefix
        self._instance = instance
        self._clock = clock
        self._known: dict[str, str] = {}  # instance by prefix
        self._absent: dict[str, float] = {}  # when a known member was first not listed, by the steady clock

    async def run(self, counts: Callable[[], bool]) -> None:
        """Until cancelled: register while `counts()`, and list the others."""
        while True:
            pause = RETRY_SECONDS
            try:
                if await self.attend(counts=counts()):
                    pause = REGISTER_SECONDS
            except SidecarError:
                pass  # the pipeline reports that Redis is away
            await asyncio.sleep(pause)

    async def attend(self, *, counts: bool) -> bool:
        """Register if this sidecar counts, and list the others; return whether it is registered."""
        if counts:
            await self._registry.register(self._name, self._instance, await self._now())
        await self._listed()
        return counts

    async def members(self, own: State | None) -> Members:
        """Read every member; `own` is the committed state of this sidecar, if it is active.

        Raises UnavailableError if Redis, or the state of a known member, is unavailable.
        """
        members = Members([], {})
        known = await self._listed()
        if own is not None:
            known = {**known, self._prefix: self._instance}
        for prefix, instance in sorted(known.items()):
            try:
                state = own if own is not None and prefix == self._prefix else await self._registry.state(prefix)
            except (CheckpointError, AccessError) as exc:
                members.damaged[instance] = str(exc)
                continue
            if state is None:
                raise UnavailableError(
                    f"the numbers of {instance}, a member of the fleet, are not in Redis now; it writes them again "
                    "within seconds if it is alive"
                )
            members.states.append((instance, state))
        if not members.states and not members.damaged:
            raise UnavailableError(f"no sidecar of the fleet {self._name!r} counts now")
        return members

    async def _listed(self) -> dict[str, str]:
        """Return the members that are listed, or were until recently."""
        listed = await self._registry.members(self._name, await self._now())
        now = self._clock.steady()
        self._absent = {prefix: self._absent.get(prefix, now) for prefix in self._known.keys() - listed.keys()}
        gone = {prefix for prefix, since in self._absent.items() if now - since > REMEMBER_SECONDS}
        self._known = {**{prefix: name for prefix, name in self._known.items() if prefix not in gone}, **listed}
        return self._known

    async def _now(self) -> float:
        return await self._registry.now(self._clock.now())


def age(members: Members, now: float, commit_interval: float) -> Age:
    """Return the age of the merged numbers at `now`; `commit_interval` applies to members that stored none."""
    intervals = [state.total.commit_interval or commit_interval for _, state in members.states]
    committed = [state.total.committed_at for _, state in members.states]
    fresh = [
        at
        for at, interval in zip(committed, intervals, strict=True)
        if at is not None and not is_stale(at, now, interval)
    ]
    return Age(
        committed_at=None if None in committed else min((at for at in committed if at is not None), default=None),
        stale=len(fresh) < len(committed) or not committed,
        settled=max([*intervals, *(now - at for at in fresh)], default=commit_interval),
    )
