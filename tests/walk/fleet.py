"""A fleet of two sidecars with prefixes and intervals of their own, which either of them shows as one."""

from collections import Counter
from collections.abc import Iterator
from math import inf

from sidecar.core.snapshot.snapshot import Snapshot
from sidecar.errors import UnavailableError
from tests.walk import compare
from tests.walk.counts import HEARD_SECONDS, SILENT_SECONDS, Counts, Reading, newest
from tests.walk.ground import Hands, Registry
from tests.walk.steps import Alone, Flush, Freeze, Other, Restart, Step, Wait
from tests.walk.walker import Walker, absence
from tests.walk.windows import WINDOWS

TICK = 0.5
INEXACT_SECONDS = 1e-5  # a float holds a time of today to a quarter of a microsecond
ADDED = (
    "statuses",
    "reasons",
    "products",
    "revenue",
    "received",
    "invalid",
    "ignored",
    "missed",
    "recovered",
    "custom",
)
LISTED_SECONDS = 60.0  # a member is shown for so long at least after it was last heard of,
REGISTERS_SECONDS = 5.0  # which it was so often,
REMEMBERED_SECONDS = 30.0  # and at most so much longer


class FleetWalker:
    """Two sidecars, which share time and the Redis."""

    def __init__(self) -> None:
        self.hands = Hands()
        registry = Registry()
        self.members = [
            Walker(self.hands, registry),
            Walker(self.hands, registry, name="b", interval=1.5),
        ]
        self._ticked = [self.hands.steady] * 2
        self._comparisons = 0

    @property
    def comparisons(self) -> int:
        """How often was compared."""
        return self._comparisons + sum(member.comparisons for member in self.members)

    async def begin(self) -> None:
        """Start both, and let them hear of each other."""
        for member in self.members:
            await member.begin()
        await self._pass(REGISTERS_SECONDS + 1, self.members)

    async def take(self, step: Step) -> None:
        """Take one step."""
        match step:
            case Wait(seconds):
                await self._pass(seconds, self.members)
            case Freeze(seconds):
                await self._pass(seconds, self.members[:1])
            case Other(Flush()) | Flush():
                await self._flush()
            case Other(Wait() as wait):
                await self.take(wait)
            case Other(inner):
                await self._of(1, inner)
            case _:
                await self._of(0, step)

    async def _of(self, which: int, step: Alone) -> None:
        member = self.members[which]
        if not isinstance(step, Restart):
            await member.take(step)
            return
        await member.end(step.how)
        await self._pass(absence(step.how, step.after), [self.members[1 - which]])
        await member.begin_again(step.how)
        await self._compare(self.members)

    async def _pass(self, seconds: float, alive: list[Walker]) -> None:
        """Let time pass, in which these members commit whenever their interval has passed."""
        tick = TICK if seconds < 20 else 10 * TICK
        while seconds > 0:
            self.hands.pass_(min(seconds, tick))
            seconds -= tick
            for member in alive:
                at = self.members.index(member)
                if self.hands.steady >= self._ticked[at] + member.interval:
                    self._ticked[at] = self.hands.steady
                    await member.commit()
        await self._compare(alive)
        for member in alive:
            await member.settle()
        await self._compare(alive)

    async def _flush(self) -> None:
        """Redis comes back empty: whoever is asked is a member, or nobody is shown."""
        for member in self.members:
            await member.lose_everything()
        first, second = self.members
        await first.settle()
        try:
            shown = await first.sidecar.fleet()
        except UnavailableError:
            pass
        else:
            raise AssertionError(f"the fleet of a member whose numbers are gone is {shown.instances}")
        await second.settle()
        await self._compare(self.members)
        await self._pass(REGISTERS_SECONDS + 1, self.members)  # else one that restarts now hears of nobody

    async def _compare(self, alive: list[Walker]) -> None:
        differences: list[str] = []
        for asked in alive:
            if asked.oracle.sent is None:
                for sidecar in filter(None, (asked.sidecar, asked.standby)):
                    self._comparisons += 1
                    differences += self._differences(await sidecar.fleet())
        assert not differences, "\n".join(f"fleet: {difference}" for difference in differences)

    def _differences(self, snapshot: Snapshot) -> Iterator[str]:
        """Compare what is shown of the fleet with the sum of those of which it is shown."""
        instances = sorted(snapshot.instances or ())
        members = [member for member in self.members if member.name in instances]
        if instances != [member.name for member in members] or not members:
            yield f"instances are {instances}"
        for member in self.members:
            silent = self.hands.steady - member.oracle.committed_at
            if member in members and silent > LISTED_SECONDS + REGISTERS_SECONDS + REMEMBERED_SECONDS:
                yield f"{member.name} is shown {silent} s after its last commit"
            if member not in members and silent < LISTED_SECONDS - REGISTERS_SECONDS:
                yield f"{member.name} is not shown {silent} s after its last commit"
        ages = [self.hands.steady - member.oracle.committed_at for member in members]
        fresh = [age <= max(3 * one.interval, 2.0) for age, one in zip(ages, members, strict=True)]
        young = [age for age, is_fresh in zip(ages, fresh, strict=True) if is_fresh]
        settled: float | None = max([*(member.interval for member in members), *young])
        header = {"scope": "fleet", "role": "active", "stale": not all(fresh)}
        if any(member.oracle.just_cleared for member in members):  # with its numbers its interval is gone
            settled = None
            del header["stale"]
        counts = together(members, self.hands.steady)
        if settled and _is_unsure(counts, self.hands.wall, max(young, default=0.0), settled):
            settled = None
        unsure = {kind for member in members for kind in member.oracle.places.unsure}
        if len(members) > 1 and _read_at_once(*(member.oracle.shown.stock for member in members)):
            unsure.add("product")
        parts = [member.oracle.stored for member in members if member.oracle.stored]
        yield from compare.of_snapshot(snapshot, compare.View(counts, parts, header, settled, unsure))


def _is_unsure(counts: Counts, wall: float, age: float, settled: float) -> bool:
    """Return whether windows are compared no further because the oldest member counts up to `age` seconds ago.

    Nobody can say in which second its commit was if that is a whole one. And windows end with it: the others need their
    first seconds no longer for their own windows, and have dropped them.
    """
    if abs(wall - age - round(wall - age)) < INEXACT_SECONDS:
        return True
    return any(
        wall - settled - seconds - 2 * width <= order.second <= wall - seconds
        for seconds, width in WINDOWS.values()
        for order in counts.finished
        if age == settled
    )


def _read_at_once(stock: dict[str, Reading], other: dict[str, Reading]) -> bool:
    """Return whether two members have readings of one time: nobody says which of them is shown."""
    return any(
        abs(stock[product].at[0] - other[product].at[0]) < INEXACT_SECONDS for product in stock.keys() & other.keys()
    )


def together(members: list[Walker], now: float) -> Counts:
    """Return what a fleet must show: counts add up, and of gauges the newest reading counts; producers of one name in
    two members are two, and so are queues of one name."""
    found = [(member, member.oracle.shown) for member in members]
    starts = [counts.since_shown for _, counts in found]
    total = Counts(min(counts.since for _, counts in found))
    total.since_shown = None if None in starts else min(start for start in starts if start is not None)
    queues = Counter(queue for _, counts in found for queue in {queue for queue, _ in counts.queues})
    for member, counts in found:
        for name in ADDED:
            for key, value in getattr(counts, name).items():
                getattr(total, name)[key] += value
        for name in ("lost", "lost_before", "missed_before", "duplicates", "late", "repeats", "in_flight"):
            setattr(total, name, getattr(total, name) + getattr(counts, name))
        total.mixed |= counts.mixed
        total.numbered |= counts.numbered
        total.finished += counts.finished
        for times, values in counts.times.items():
            total.times.setdefault(times, []).extend(values)
        for producer, attendance in counts.producers.items():
            total.producers.setdefault(producer, Counter()).update(attendance)
        for product, reading in counts.stock.items():
            newest(total.stock, product, reading)
        for (queue, number), reading in counts.queues.items():
            total.queues[f"{member.name}:{queue}" if queues[queue] > 1 else queue, number] = reading
        for producer, reading in counts.connections.items():
            silent = now - member.oracle.heard_of.get(producer, -inf)
            if silent <= SILENT_SECONDS:
                total.connections[f"{member.name} {producer}"] = reading
            if silent > SILENT_SECONDS - HEARD_SECONDS or producer in counts.perhaps_silent:
                total.perhaps_silent.add(f"{member.name} {producer}")
    return total
