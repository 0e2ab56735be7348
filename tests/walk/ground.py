"""What a walk walks on: time that is moved by hand, a Redis in memory that fails by hand, and a stream."""

from collections.abc import Callable, Mapping
from typing import Any

from sidecar.core.checkpoint.state import load_state
from sidecar.core.commit.commit import Commit, CommitAnswer, order
from sidecar.core.counts.state import State
from sidecar.core.events.batch import Batch, StreamRead
from sidecar.core.events.source import STREAM
from sidecar.errors import UnavailableError
from sidecar.sources.memory import MemorySource
from sidecar.store import Store
from sidecar.store.memory import MemoryStore
from sidecar.store.redis import FLEET_SECONDS

T0 = 1_790_000_000.0
LEASE = 5.0
NAME = "shop"


class Hands:
    """Time that stands still until it passes, or is set."""

    def __init__(self) -> None:
        self.wall = T0
        self.steady = T0 / 2

    def pass_(self, seconds: float) -> None:
        """Let time pass."""
        self.wall += seconds
        self.steady += seconds


class Registry:
    """What the members of a fleet share: their list, and the checkpoints by prefix."""

    def __init__(self) -> None:
        self.listed: dict[str, tuple[float, str]] = {}  # when, and the prefix, by prefix and instance
        self.stores: dict[str, Redis] = {}

    def prefix(self, hands: Hands, prefix: str) -> tuple["Redis", "Stream"]:
        """Return the part of Redis that one sidecar uses."""
        last_ids: dict[str, str] = {}
        redis = self.stores[prefix] = Redis(hands, last_ids, self, prefix)
        return redis, Stream(last_ids, lambda: redis.replid)


class Redis(MemoryStore):
    """One prefix. The next commit may not reach it, or its answer be lost; it may lose all."""

    def __init__(self, hands: Hands, last_ids: dict[str, str], registry: Registry, prefix: str) -> None:
        super().__init__(lease=LEASE, clock=lambda: hands.steady, last_ids=last_ids)
        self.fate = "ok"
        self._hands = hands
        self._registry = registry
        self._prefix = prefix

    def store(self) -> Store:
        """Return what a sidecar commits to."""
        return self

    def source(self) -> MemorySource:
        """Return what a sidecar hears."""
        return MemorySource(f"pubsub:{NAME}", clock=lambda: self._hands.wall)

    async def publish(self, source: MemorySource, payload: bytes) -> Batch:
        """Publish to those who listen; return what arrives at one."""
        return Batch(source=source.name, payloads=[payload], arrivals=[self._hands.wall])

    async def keys(self) -> Mapping[str, Any]:
        """Return the public keys."""
        return self.public

    async def close(self) -> None: ...

    async def commit(self, commit: Commit, fields: Mapping[str, bytes], committed: State, now: float) -> CommitAnswer:
        fate, self.fate = self.fate, "ok"
        if fate == "away":
            raise UnavailableError("away")
        answer = await super().commit(commit, fields, committed, now)
        if fate == "answer lost" and answer.outcome != "OK":
            self.fate = fate  # that of the next one is
        elif fate == "answer lost":
            raise UnavailableError("the answer was lost")
        return answer

    def lose_everything(self) -> None:
        """Come back empty."""
        self.fields, self.public, self.replid = {}, {}, f"{self.replid}+"
        self._holder = ""
        self._registry.listed.clear()

    def save(self) -> Any:
        """Return what a replica has."""
        return dict(self.fields), dict(self.public)

    def fail_over(self, saved: Any) -> None:
        """A replica takes its place."""
        self.fields, self.public, self.replid = dict(saved[0]), dict(saved[1]), f"{self.replid}+"

    async def clear(self, generation: str) -> bytes:
        totals = await super().clear(generation)
        self.fields["cleared_at"] = b"%.6f" % self._hands.wall
        return totals

    async def now(self, local: float) -> float:
        """Members share the clock of their Redis."""
        return local

    async def register(self, fleet: str, instance: str, now: float) -> None:
        """List a member."""
        self._registry.listed[f"{self._prefix} {instance}"] = now, self._prefix

    async def members(self, fleet: str, now: float) -> dict[str, str]:
        """Return the instance by prefix, the newest for each."""
        listed = sorted(self._registry.listed.items(), key=lambda item: item[1][0])
        return {prefix: name.partition(" ")[2] for name, (at, prefix) in listed if at >= now - FLEET_SECONDS}

    async def state(self, prefix: str) -> State | None:
        """Return what is stored under a prefix."""
        fields = self._registry.stores[prefix].fields
        return load_state(fields) if fields else None


class Stream:
    """A stream that is trimmed and deleted; ids go on, as those by time do."""

    kind = STREAM
    lag_seconds = 0.0

    def __init__(self, last_ids: dict[str, str], replid: Callable[[], str] = str) -> None:
        self.name = f"stream:{NAME}"
        self._replid = replid
        self._last_ids = last_ids
        self.entries: list[tuple[int, bytes, float]] = []
        self.newest = 0
        self._added = 0
        self._exists = False

    def add(self, payload: bytes, at: float) -> int:
        """Append an entry; return the number in its id."""
        self.newest += 1
        self._added += 1
        self._exists = True
        self.entries.append((self.newest, payload, at))
        self._last_ids[NAME] = f"{self.newest}-0"
        return self.newest

    def source(self) -> Any:
        """Return what a sidecar reads."""
        return self

    def trim(self, keep: int) -> None:
        """Keep the newest entries."""
        self.entries = self.entries[len(self.entries) - keep :] if keep < len(self.entries) else self.entries

    def save(self) -> tuple[list[Any], int, bool, str]:
        """Return what a replica has."""
        return list(self.entries), self._added, self._exists, self._last_ids.get(NAME, "")

    def fail_over(self, saved: Any) -> None:
        """A replica takes its place; later ids are still later ones."""
        entries, self._added, self._exists, last_id = saved
        self.entries = list(entries)
        self._last_ids.pop(NAME, None)
        if last_id:
            self._last_ids[NAME] = last_id

    def delete(self) -> None:
        """Delete the stream."""
        self.entries, self._added, self._exists = [], 0, False
        self._last_ids.pop(NAME, None)

    async def read(self, after: str) -> Batch:
        """Return what comes after an id."""
        entries = [entry for entry in self.entries if (entry[0], 0) > order(after)]
        facts = StreamRead(
            after=after,
            last=f"{entries[-1][0]}-0" if entries else after,
            replid=self._replid(),
            entries=len(entries),
            added=self._added,
            length=len(self.entries),
            complete=True,
            exists=self._exists,
            oldest=f"{self.entries[0][0]}-0" if self.entries else None,
            newest=self._last_ids[NAME] if self._exists else None,
        )
        return Batch(source=self.name, payloads=[e[1] for e in entries], arrivals=[e[2] for e in entries], stream=facts)

    async def connect(self) -> None: ...

    def ask_again(self) -> None: ...

    async def leftover(self, give: object) -> None: ...

    async def close(self) -> None: ...
