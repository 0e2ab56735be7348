"""The members of a fleet, whatever happens to their list, and the age of its numbers."""

import asyncio

import pytest

from sidecar.core.counts.state import State
from sidecar.daemon import fleet
from sidecar.daemon.fleet import Age, Fleet, Members, age
from sidecar.errors import CheckpointError, UnavailableError
from sidecar.process.clock import Clock
from tests.waiting import eventually

NOW = 1_790_000_000.0


class MemoryRegistry:
    """What Redis holds for a fleet."""

    def __init__(self, *prefixes: str) -> None:
        self.listed = {prefix: f"host-{prefix[:-1]}" for prefix in prefixes}
        self.stored: dict[str, State | Exception] = {prefix: counted(1) for prefix in prefixes}
        self.away = False
        self.unanswered = 0

    async def now(self, local: float) -> float:
        self._answer()
        return local

    async def register(self, fleet: str, instance: str, now: float) -> None:
        self._answer()
        self.listed["a:"] = instance

    async def members(self, fleet: str, now: float) -> dict[str, str]:
        self._answer()
        return dict(self.listed)

    async def state(self, prefix: str) -> State | None:
        self._answer()
        found = self.stored.get(prefix)
        if isinstance(found, Exception):
            raise found
        return found

    def _answer(self) -> None:
        if self.away:
            self.unanswered += 1
            raise UnavailableError("Redis does not answer")


def counted(orders: int, *, committed_at: float | None = NOW, interval: float | None = 0.5) -> State:
    state = State()
    state.total.tallies["orders"]["success"] = orders
    state.total.committed_at, state.total.commit_interval = committed_at, interval
    return state


def of(registry: MemoryRegistry, clock: Clock | None = None) -> Fleet:
    return Fleet(registry, name="shops", prefix="a:", instance="host-a", clock=clock or Clock())


def names(members: Members) -> list[str]:
    return [name for name, _ in members.states]


async def test_the_sidecar_that_answers_is_a_member_with_its_numbers_in_memory() -> None:
    members = await of(MemoryRegistry()).members(counted(7))
    assert names(members) == ["host-a"]
    assert members.states[0][1].total.tallies["orders"]["success"] == 7


async def test_a_sidecar_that_does_not_count_is_not_a_member() -> None:
    assert names(await of(MemoryRegistry("b:")).members(None)) == ["host-b"]
    with pytest.raises(UnavailableError, match="no sidecar of the fleet 'shops' counts now"):
        await of(MemoryRegistry()).members(None)


async def test_a_member_is_not_left_out_when_the_list_is_lost() -> None:
    registry = MemoryRegistry("b:")
    asked = of(registry)
    await asked.members(counted(1))
    registry.listed.clear()
    assert names(await asked.members(counted(1))) == ["host-a", "host-b"]


async def test_a_fleet_without_the_numbers_of_a_member_is_unavailable() -> None:
    registry = MemoryRegistry("b:")
    asked = of(registry)
    await asked.members(counted(1))
    registry.listed.clear()
    registry.stored.clear()
    with pytest.raises(UnavailableError, match="the numbers of host-b, a member of the fleet, are not in Redis now"):
        await asked.members(counted(1))


async def test_a_member_that_was_not_listed_for_long_has_left(monkeypatch: pytest.MonkeyPatch) -> None:
    registry = MemoryRegistry("b:")
    asked = of(registry)
    await asked.members(counted(1))
    registry.listed.clear()
    await asked.members(counted(1))
    monkeypatch.setattr(fleet, "REMEMBER_SECONDS", -1.0)
    assert names(await asked.members(counted(1))) == ["host-a"]


async def test_the_time_without_redis_does_not_make_members_leave() -> None:
    registry, steady = MemoryRegistry("b:"), iter([0.0, 0.0, 1000.0, 1005.0])
    asked = of(registry, Clock(lambda: NOW, lambda: next(steady)))
    await asked.members(counted(1))
    registry.listed.clear()
    for _ in range(2):
        assert names(await asked.members(counted(1))) == ["host-a", "host-b"]


async def test_a_member_whose_state_is_damaged_is_named() -> None:
    registry = MemoryRegistry("b:")
    registry.stored["b:"] = CheckpointError("its checksum is wrong")
    assert (await of(registry).members(counted(1))).damaged == {"host-b": "its checksum is wrong"}


async def test_it_registers_while_it_counts_and_again_after_an_outage(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fleet, "REGISTER_SECONDS", 0.01)
    monkeypatch.setattr(fleet, "RETRY_SECONDS", 0.01)
    registry, counts = MemoryRegistry("b:"), asyncio.Event()
    running = asyncio.create_task(of(registry).run(counts.is_set))
    await asyncio.sleep(0)
    assert registry.listed == {"b:": "host-b"}
    counts.set()
    await eventually(lambda: "a:" in registry.listed)
    registry.away = True
    registry.listed.clear()
    await eventually(lambda: registry.unanswered > 1)
    registry.away = False
    await eventually(lambda: "a:" in registry.listed)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


@pytest.mark.parametrize(
    ("states", "found"),
    [
        ([counted(1)], Age(NOW, False, 0.5)),
        ([counted(1), counted(1, committed_at=NOW - 4.5, interval=5.0)], Age(NOW - 4.5, False, 5.0)),
        ([counted(1, interval=5.0), counted(1, committed_at=NOW - 6.5, interval=5.0)], Age(NOW - 6.5, False, 6.5)),
        ([counted(1), counted(1, committed_at=NOW - 30)], Age(NOW - 30, True, 0.5)),
        ([counted(1, interval=None)], Age(NOW, False, 1.5)),
        ([counted(1), counted(0, committed_at=None)], Age(None, True, 0.5)),
        ([], Age(None, True, 1.5)),
    ],
    ids=["one", "slow intervals", "a slow one that is due", "one is gone", "of version 0.1.0", "a new one", "nobody"],
)
def test_a_second_is_complete_when_the_slowest_member_has_committed_it(states: list[State], found: Age) -> None:
    members = Members([(str(number), state) for number, state in enumerate(states)], {})
    assert age(members, NOW, 1.5) == found
