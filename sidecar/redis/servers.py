"""Which server to connect to: the configured one, the master that the Sentinels name, or the Cluster node of a key.

All users of one Redis share one Servers. It asks again at every connect, and remembers the nodes of a Cluster, so that
the configured ones may all be gone. `watch` notices when the answer changes and cuts links to the wrong server: on a
frozen or partitioned server their users would wait for a deadline, or forever.

The first to answer may be out of date, so epochs decide: a majority of the Sentinels is asked, and a slot map older
than the known one is ignored, unless the known one led nowhere.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager, suppress
from typing import Any, TypeVar
from weakref import WeakSet

from msgspec import Struct
from msgspec.structs import replace

from sidecar.errors import AccessError, SidecarError, UnavailableError
from sidecar.redis.link import Link, parse_info, reading_reply
from sidecar.redis.slots import Address, SlotMap, read_slots, slot_of
from sidecar.redis.url import RedisTarget, join_host_port

ASK_SECONDS = 1.0  # how long to wait for the answer of a Sentinel or node
NODES_ASKED = 4  # at once: enough to find one alive, without flooding a large Cluster
POLL_SECONDS = 1.0  # how old the slot map may be; a Cluster announces no changes
PAUSE_SECONDS = 0.5  # before a lost watch restarts
PING_SECONDS = 1.5

T = TypeVar("T")


class NamedMaster(Struct, frozen=True, order=True):
    """The master that one Sentinel names, and the epoch of that answer."""

    epoch: int
    address: Address


class _Attempt(Struct, eq=False):
    """A connection being made: where it leads, and the deadline that can end it."""

    address: Address
    slot: int
    deadline: asyncio.Timeout


class Servers:
    """The servers of one Redis: alone, behind Sentinels, or a Cluster."""

    def __init__(self, target: RedisTarget) -> None:
        self.target = target
        self._slots = SlotMap()
        self._links: dict[int, WeakSet[Link]] = {}  # by slot; 0 where there are none
        self._attempts: set[_Attempt] = set()
        self._moved: Callable[[], None] = lambda: None

    async def open(self, key: str = "") -> Link:
        """Connect to the server that holds `key`; with Sentinels or a Cluster never to a replica.

        Raises UnavailableError, or AccessError if user or password are wrong.
        """
        if self.target.kind in ("tcp", "unix"):
            return await Link.open(self.target)
        slot = slot_of(key) if self.target.kind == "cluster" else 0
        address = await self._locate(key, slot)
        try:
            async with asyncio.timeout(None) as deadline:
                attempt = _Attempt(address, slot, deadline)
                self._attempts.add(attempt)
                try:
                    link = await self._master_at(address)
                finally:
                    self._attempts.remove(attempt)
        except TimeoutError as exc:
            raise UnavailableError(f"{join_host_port(*address)} was replaced") from exc
        except UnavailableError:
            self._slots = replace(self._slots, epoch=-1)  # it led nowhere: any other map is better
            raise
        self._links.setdefault(slot, WeakSet()).add(link)
        return link

    async def watch(self, moved: Callable[[], None]) -> None:
        """Until cancelled: as soon as a server changed, cut the links to the old one and call `moved`."""
        self._moved = moved
        if self.target.kind == "sentinel":
            await asyncio.gather(*(self._repeat(self._listen, one) for one in self.target.addresses))
        elif self.target.kind == "cluster":
            await self._repeat(self._poll)

    # Where

    async def _locate(self, key: str, slot: int) -> Address:
        if self.target.kind == "sentinel":
            majority = len(self.target.addresses) // 2 + 1
            return max(await self._ask(self.target.addresses, self._master, majority)).address
        self._learn((await self._ask(self._some_nodes(), self._slot_map, 1))[0])
        owner = self._slots.owner(slot)
        if owner is None:
            raise UnavailableError(f"no node of the Cluster serves the slot of {key!r}")
        return owner

    async def _master_at(self, address: Address) -> Link:
        link = await Link.open(self.target, address)
        try:
            await link.replid()  # raises for a former master that is a replica now
        except AccessError:
            pass  # a user that may only publish cannot ask: trust the Sentinels or the slot map
        except BaseException:
            await link.close()
            raise
        return link

    def _learn(self, slots: SlotMap) -> None:
        """Adopt a slot map, and cut the links to former owners."""
        if slots.epoch < self._slots.epoch:
            return
        before, self._slots = self._slots, slots
        moved = [slot for slot in self._links if before.owner(slot) != slots.owner(slot)]
        for slot in moved:
            self._cut_others(slot, slots.owner(slot))
        if moved:
            self._moved()

    def _some_nodes(self) -> list[Address]:
        """Return nodes to ask: some of those learnt, and at least one that is configured."""
        learnt = sorted(self._slots.nodes)
        some = random.sample(learnt, min(NODES_ASKED, len(learnt)))
        configured = random.sample(self.target.addresses, min(1 if some else NODES_ASKED, len(self.target.addresses)))
        return list(dict.fromkeys(some + configured))

    async def _master(self, sentinel: Link) -> NamedMaster:
        asked = join_host_port(*sentinel.address)
        try:
            reply = await sentinel.call("SENTINEL", "MASTER", self.target.service)
        except SidecarError as exc:
            if "No such master" not in str(exc):
                raise
            raise UnavailableError(f"the Sentinel at {asked} knows no service {self.target.service!r}") from exc
        with reading_reply(f"the Sentinel at {asked}"):
            facts = dict(zip(reply[::2], reply[1::2], strict=True))
            return NamedMaster(int(facts.get(b"config-epoch", 0)), (facts[b"ip"].decode(), int(facts[b"port"])))

    async def _slot_map(self, node: Link) -> SlotMap:
        with reading_reply(f"the node at {join_host_port(*node.address)}"):
            info = parse_info(await node.call("CLUSTER", "INFO"))
            return read_slots(await node.call("CLUSTER", "SLOTS"), int(info["cluster_current_epoch"]), node.address)

    async def _ask(
        self, addresses: Iterable[Address], question: Callable[[Link], Awaitable[T]], enough: int
    ) -> list[T]:
        """Ask all of them at once; return the first `enough` answers, or fewer if no more come."""
        tasks = [asyncio.create_task(self._ask_one(address, question)) for address in addresses]
        answers: list[T] = []
        failure: SidecarError | None = None
        try:
            for task in asyncio.as_completed(tasks):
                try:
                    answers.append(await task)
                except (UnavailableError, AccessError) as exc:
                    failure = exc
                if len(answers) >= enough:
                    break
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        if answers:
            return answers
        if isinstance(failure, AccessError):
            raise failure
        raise UnavailableError(f"no server of {self.target.display} knows the master. The last error: {failure}")

    async def _ask_one(self, address: Address, question: Callable[[Link], Awaitable[T]]) -> T:
        guide = await self._guide(address)
        try:
            async with _deadline(address):
                return await question(guide)
        finally:
            await guide.close()

    async def _guide(self, address: Address) -> Link:
        """Connect to a Sentinel or a node."""
        async with _deadline(address):
            if self.target.kind == "sentinel":
                return await self._sentinel_at(address)
            return await Link.open(replace(self.target, db=0), address)  # databases share one map

    async def _sentinel_at(self, address: Address) -> Link:
        """Connect with the Sentinels' own credentials. Without any, try no login first, as most Sentinels want none,
        then that of Redis.
        """
        link = await Link.open(self.target.for_sentinels(), address)
        if self.target.sentinel_password or not self.target.password:
            return link
        try:
            await link.call("PING")
        except AccessError:
            await link.close()
            return await Link.open(self.target.for_sentinels(as_user=True), address)
        except BaseException:
            await link.close()
            raise
        return link

    # When it changes

    async def _repeat(self, work: Callable[..., Awaitable[None]], *arguments: object) -> None:
        while True:
            with suppress(SidecarError):
                await work(*arguments)
            await asyncio.sleep(PAUSE_SECONDS)

    async def _listen(self, sentinel: Address) -> None:
        """Listen to one Sentinel until it is lost. Every Sentinel is listened to: one may fail with the master."""
        link = await self._guide(sentinel)
        try:
            await link.call("SUBSCRIBE", "+switch-master")
            asked = False
            while (replies := await link.receive(limit=100, seconds=PING_SECONDS)) or not asked:
                with reading_reply(f"the Sentinel at {join_host_port(*sentinel)}"):
                    self._switch(replies)
                if asked := not replies:
                    await link.send("PING")
        finally:
            await link.close()

    def _switch(self, replies: list[Any]) -> None:
        for reply in replies:
            if isinstance(reply, list) and reply[0] == b"message":
                service, *_, host, port = reply[2].decode().split(" ")
                if service == self.target.service:
                    self._cut_others(0, (host, int(port)))
                    self._moved()

    async def _poll(self) -> None:
        """Poll the slot map of one node until it is lost."""
        node = await self._guide(random.choice(self._some_nodes()))
        try:
            while True:
                async with _deadline(node.address):
                    slots = await self._slot_map(node)
                self._learn(slots)
                await asyncio.sleep(POLL_SECONDS)
        finally:
            await node.close()

    def _cut_others(self, slot: int, address: Address | None) -> None:
        """Cut links and end attempts that lead elsewhere."""
        for link in list(self._links.get(slot, ())):
            if link.address != address:
                link.cut()
        for attempt in self._attempts:
            if attempt.slot == slot and attempt.address != address and not attempt.deadline.expired():
                attempt.deadline.reschedule(asyncio.get_running_loop().time())


@asynccontextmanager
async def _deadline(address: Address) -> AsyncIterator[None]:
    """Raise UnavailableError if the body takes longer than `ASK_SECONDS`."""
    try:
        async with asyncio.timeout(ASK_SECONDS):
            yield
    except TimeoutError as exc:
        raise UnavailableError(f"{join_host_port(*address)} does not answer") from exc
