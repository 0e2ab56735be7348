"""A small world for random walks over the commit: processes, a real Redis, and all that happens to them.

Orders of the stream succeed and carry a latency, those of pub/sub fail and are numbered, so that the two can be
recounted apart. What can be lost without a trace is committed before the step that would lose it.
"""

import contextlib
import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from itertools import count
from random import Random
from typing import Any

import msgspec
import redis
from msgspec import Struct, field

from sidecar.core.checkpoint.state import load_state
from sidecar.core.commit.ledger import Ledger
from sidecar.core.counts.state import State
from sidecar.core.events.batch import Batch
from sidecar.errors import UnavailableError
from sidecar.redis.servers import Servers
from sidecar.redis.url import parse
from sidecar.sources.stream import StreamSource
from sidecar.store.redis import RedisStore
from tests.ledgers import RULES, commit, heard, new_ledger, take
from tests.redis_server import RedisServer

PREFIX, STREAM = "shop:", "s"
CHECKPOINT, LEASE = PREFIX + "checkpoint", PREFIX + "lease"
GRACE_SECONDS = 10.0  # by then every hole in the sequence is missed
SETTLING_TRIES = 30
NS_PER_MS = 10**6


class LossyStore(RedisStore):
    """A store whose next commit may lose its answer, or be delayed on the way."""

    fate = "ok"

    async def _run(self, name: str, key_names: Sequence[str | bytes], arguments: Sequence[Any], *, form: Any) -> Any:
        fate, self.fate = (self.fate, "ok") if name == "commit" else ("ok", self.fate)
        if fate == "late":
            self.late.append((name, key_names, arguments))
            raise UnavailableError("cut on the way")
        reply = await super()._run(name, key_names, arguments, form=form)
        if fate == "lost":
            self.late.append((name, key_names, arguments))
            raise UnavailableError("cut on the way back")
        return reply

    @property
    def late(self) -> list[tuple[str, Sequence[str | bytes], Sequence[Any]]]:
        """The commits that may arrive once more."""
        return self.__dict__.setdefault("_late", [])  # type: ignore[no-any-return]

    async def deliver(self, place: int) -> None:
        """Let a delayed commit arrive; nobody waits for the answer."""
        await super()._run(*self.late.pop(place), form=Any)


class Recount(Struct):
    """Orders of the stream: how many, the sum of their latencies, and the classic buckets; and those of pub/sub."""

    orders: int = 0
    sum_ns: int = 0
    buckets: Counter[int] = field(default_factory=Counter)
    heard: int = 0
    lost: int = 0

    def add(self, latency_ms: int) -> None:
        """Count one order of the stream."""
        self.orders += 1
        self.sum_ns += latency_ms * NS_PER_MS
        self.buckets[bisect_left(RULES.buckets_ns, latency_ms * NS_PER_MS)] += 1

    def add_state(self, state: State) -> None:
        """Count what a State holds."""
        tallies = state.total.tallies
        self.orders += tallies["orders"]["success"]
        self.heard += tallies["orders"]["failed"] + tallies["missed"]["pubsub:c"] - tallies["recovered"]["pubsub:c"]
        self.lost += tallies["missed"][f"stream:{STREAM}"]
        assert not tallies["duplicates"], "a message was taken for a repeat"
        if (timing := state.timings.get("latency:success")) is not None:
            self.sum_ns += timing.histogram.sum_ns
            self.buckets.update({i: n for i, n in enumerate(timing.classic.counts) if n})

    def copy(self) -> "Recount":
        """Return an independent equal recount."""
        return Recount(self.orders, self.sum_ns, Counter(self.buckets), self.heard, self.lost)


def _counted(state: State) -> Counter[str]:
    """Return what `counted_total` has counted, by status."""
    return Counter({key.split("\n")[2]: int(series.number) for key, series in state.custom.items()})


class Process:
    """One sidecar: a Ledger, a connection that commits, and one that reads."""

    def __init__(self, ledger: Ledger, server: RedisServer) -> None:
        servers = Servers(parse(server.url))
        self.ledger = ledger
        self.store = LossyStore(servers, PREFIX, lease=600.0, keep_rejected=True)
        self._source = StreamSource(STREAM, servers)
        self._connected = False
        self._held: Batch | None = None

    async def fetch(self) -> None:
        """Read what the stream holds after our position; it is not counted yet."""
        if self._held is not None:
            return  # one read at a time
        try:
            if not self._connected:
                await self._source.connect()
                self._connected = True
            self._source._drained = False  # a walk reads when it reads: an empty stream is no reason to wait
            self._held = await self._source.read(self.ledger.position(STREAM))
        except UnavailableError:
            self._connected = False

    async def read(self, now: float) -> bool:
        """Count what was read, now or some time ago; tell whether it could be read, and was taken."""
        await self.fetch()
        held, self._held = self._held, None
        return held is not None and self.apply(held, now)

    async def tick(self, now: float, fate: str = "ok") -> str:
        """Commit, or try to become the owner."""
        self.store.fate = fate
        try:
            if not self.ledger.active:
                return "taken" if await take(self.ledger, self.store, now=now) else "held"
            verdict: str = await commit(self.ledger, self.store, now)
        except UnavailableError:
            return await self.unanswered(now)
        if verdict == "reload":
            self.ledger.reload(await self.store.load())
        if verdict in ("reread", "reload", "rolled_back"):
            self._source.ask_again()
        return verdict

    async def unanswered(self, now: float) -> str:
        """Nobody knows whether the commit happened: the same flight is sent again."""
        return "unknown"

    def apply(self, batch: Batch, now: float) -> bool:
        """Count a batch; tell whether it was taken."""
        applied = self.ledger.apply(batch, now)
        if applied == "stale":
            self._source.ask_again()
        return applied == "ok"

    async def close(self) -> None:
        """End without a word."""
        await self.store.close()
        await self._source.close()


class World:
    """Everything that can happen, one method a step; `check` settles and recounts."""

    def __init__(self, server: RedisServer, seed: int, *, lossy: bool = False, process: type[Process] = Process):
        """With `lossy` entries may be trimmed before they were counted."""
        self.random = Random(seed)
        self.server = server
        self.lossy = lossy
        self.client = redis.Redis(port=server.port)
        self.truth = Recount()
        self.cleared = Recount()
        self.metric_cleared: Counter[str] = Counter()  # what `counted_total` had at its clears since the last whole one
        self.outcomes: Counter[str] = Counter()
        self._kind = process
        self._names = count()
        self._ahead = 0.0
        self._image: tuple[bytes, bytes, Recount] | None = None
        self._behind = False  # Redis holds less than was committed
        self.owner = self._new()
        self.zombies: list[Process] = []

    def _new(self) -> Process:
        return self._kind(new_ledger(f"here:1:p{next(self._names)}", (STREAM,)), self.server)

    @property
    def now(self) -> float:
        """The time by the clock of every process."""
        return time.time() + self._ahead

    # Steps

    async def add(self) -> None:
        """Orders are added to the stream."""
        for _ in range(self.random.randint(1, 5)):
            latency_ms = self.random.choice((1, 3, 40, 700, 5000, 20_000))
            self.client.xadd(STREAM, {"e": msgspec.json.encode({"status": "success", "latency_ms": latency_ms})})
            self.truth.add(latency_ms)

    async def publish(self) -> None:
        """Every process hears a message."""
        self.truth.heard += 1
        event = {"status": "failed", "producer": "p", "epoch": "e", "seq": self.truth.heard}
        for process in (self.owner, *self.zombies):
            process.apply(heard(msgspec.json.encode(event), at=self.now), self.now)

    async def read(self) -> None:
        """The owner reads."""
        await self.owner.read(self.now)

    async def hold(self) -> None:
        """The owner reads, and is slow to count."""
        await self.owner.fetch()

    async def commit(self) -> None:
        """The owner commits; the answer may be lost, or the request delayed."""
        fate = self.random.choices(("ok", "lost", "late"), (75, 15, 10))[0]
        self.outcomes[await self.owner.tick(self.now, fate)] += 1

    async def deliver_late(self) -> None:
        """A commit of long ago arrives once more, or at last."""
        late = self.random.choice((self.owner, *self.zombies)).store
        if late.late:
            await self._once(late.deliver(self.random.randrange(len(late.late))))

    async def clear(self) -> None:
        """Somebody clears; the request may be sent twice."""
        self.cleared.add_state(await self._stored())
        self.metric_cleared.clear()
        id = f"g{self.random.getrandbits(40)}"
        await self._often(lambda: self.owner.store.clear(id))

    async def clear_metric(self) -> None:
        """Somebody clears the custom metric alone; the request may be sent twice."""
        self.metric_cleared.update(_counted(await self._stored()))
        id = f"m{self.random.getrandbits(40)}"
        await self._often(lambda: self.owner.store.clear_metric("counted_total", id))

    async def _stored(self) -> State:
        """Return the state as it is stored, of which no replica may have an older image from now on."""
        if self._behind:  # what memory knows beyond the replica's image would be in no report
            await self.settle()
        self._image = None
        return load_state(self._fields())

    async def _often(self, request: Callable[[], Awaitable[object]]) -> None:
        """Send a request until it is answered, and perhaps once more."""
        while not await self._once(request()):
            pass  # after a restart the connection is dead
        for _ in range(self.random.randint(1, 2)):
            await self._once(request())

    async def replace(self) -> None:
        """The lease ends and another process takes over; the old one may go on for a while."""
        self.client.delete(LEASE)
        old, self.owner = self.owner, self._new()
        if self.random.random() < 0.5:
            self.zombies.append(old)
        else:
            await old.close()
        self.outcomes[await self.owner.tick(self.now)] += 1

    async def wake_zombie(self) -> None:
        """A process that lost its lease reads and commits, or takes over again."""
        if not self.zombies:
            return
        zombie = self.zombies.pop(self.random.randrange(len(self.zombies)))
        if not zombie.ledger.active and self.random.random() < 0.3:
            self.client.delete(LEASE)
        await zombie.read(self.now)
        self.outcomes["zombie " + await zombie.tick(self.now)] += 1
        if zombie.ledger.active:
            self.zombies.append(self.owner)
            self.owner = zombie
        else:
            self.zombies.append(zombie)

    async def trim(self) -> None:
        """Old entries leave the stream: those that are counted, or any."""
        if self.lossy:
            self.client.xtrim(STREAM, maxlen=self.random.randint(0, 30), approximate=False)
        elif (position := self._position()) is not None:
            self.client.xtrim(STREAM, minid=position, approximate=False)

    async def delete_entries(self) -> None:
        """Entries that are counted are deleted one by one."""
        if (position := self._position()) is not None:
            entries: list[Any] = self.client.xrange(STREAM, max=position) or []
            for entry_id, _ in self.random.sample(entries, min(3, len(entries))):
                self.client.xdel(STREAM, entry_id)

    async def lose_checkpoint(self) -> None:
        """Somebody deletes the checkpoint."""
        await self.settle()
        self.client.delete(CHECKPOINT)
        await self.settle()

    async def lose_everything(self) -> None:
        """Somebody empties Redis."""
        await self.settle()
        self._image = None
        self.client.flushall()
        await self.settle()

    async def make_stream_anew(self) -> None:
        """Somebody deletes the stream; it may grow anew before anybody looks.

        If it outgrows the old one unseen, only ids tell its entries from those counted: none of them comes in the
        millisecond of the last one.
        """
        await self.settle()
        self._image = None
        self.client.delete(STREAM)
        deleted_ms = self._redis_ms()
        while self._redis_ms() == deleted_ms:
            pass
        if self.lossy:  # what is trimmed of a stream that outgrew the old one unseen is not noticed
            await self.settle()
        for _ in range(self.random.randint(0, 3)):
            await self.add()

    async def take_image(self) -> None:
        """A replica has got so far."""
        if self.client.exists(CHECKPOINT, STREAM) == 2:
            stream, checkpoint = self.client.dump(STREAM), self.client.dump(CHECKPOINT)
            assert stream is not None and checkpoint is not None
            self._image = stream, checkpoint, self.truth.copy()

    async def fail_over(self) -> None:
        """The replica becomes the master: what came after its image is gone."""
        if self._image is None:
            return
        stream, checkpoint, truth = self._image
        truth.heard = self.truth.heard
        self._image, self.truth, self._behind = None, truth, True
        self.client.restore(STREAM, 0, stream, replace=True)
        self.client.restore(CHECKPOINT, 0, checkpoint, replace=True)
        self.client.replicaof("127.0.0.1", 1)
        self.client.replicaof("NO", "ONE")

    async def restart(self) -> None:
        """Redis is killed and comes back."""
        self.client.close()
        self.server.kill()
        self.server.start()

    # Settling and recounting

    async def settle(self) -> None:
        """Let an owner read all there is and commit it."""
        for _ in range(SETTLING_TRIES):
            await self.read()  # perhaps what it held
            before = self.owner.ledger.position(STREAM)
            could = await self.owner.read(self.now)
            verdict = await self.owner.tick(self.now)
            self.outcomes[verdict] += 1
            if verdict == "held":
                self.client.delete(LEASE)
            nothing_new = could and before == self.owner.ledger.position(STREAM)
            if verdict == "ok" and nothing_new and not self.owner.ledger.uncommitted():
                self._behind = False
                return
        raise AssertionError(f"it does not settle: {self.outcomes}")

    async def check(self) -> None:
        """Compare what is counted with what was published."""
        await self.settle()
        beat = {"type": "heartbeat", "producer": "p", "epoch": "e", "seq": self.truth.heard}
        self.owner.apply(heard(msgspec.json.encode(beat), at=self.now), self.now)
        self._ahead += GRACE_SECONDS
        await self.settle()
        fields = self._fields()
        state = load_state(fields)
        found = self.cleared.copy()
        found.add_state(state)
        if self.lossy:
            same = (found.orders + found.lost, found.heard) == (self.truth.orders, self.truth.heard)
        else:
            same = found == self.truth
        assert same, f"counted {found}, published {self.truth}"
        assert _counted(state) + self.metric_cleared == state.total.tallies["orders"], "a custom metric differs"
        mine = {name: value for name, value in fields.items() if name[:2] in ("c:", "w:", "l:")}
        assert self.owner.ledger.aggregate.fields() == mine, "memory and Redis differ"
        assert int(self.client.get(PREFIX + "order_status:success") or 0) == state.total.tallies["orders"]["success"]

    async def close(self) -> None:
        """End every process."""
        for process in (self.owner, *self.zombies):
            await process.close()
        self.client.close()

    def _redis_ms(self) -> int:
        seconds, microseconds = self.client.time()
        return int(seconds * 1000 + microseconds // 1000)

    def _fields(self) -> dict[str, bytes]:
        found: dict[Any, Any] = self.client.hgetall(CHECKPOINT)
        return {name.decode(): value for name, value in found.items()}

    def _position(self) -> bytes | None:
        """Return the id up to which the stream is counted."""
        stored = self.client.hget(CHECKPOINT, "p:" + STREAM)
        position: list[Any] = msgspec.json.decode(stored) if stored else ["0-0"]
        return None if position[0] == "0-0" else position[0].encode()

    async def _once(self, request: Awaitable[object]) -> bool:
        """Send something once; return whether it was answered."""
        with contextlib.suppress(UnavailableError):
            await request
            return True
        return False
