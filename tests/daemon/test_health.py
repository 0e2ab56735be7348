"""What `/monitoring/health` says of each part, from what the pipeline, the counts and this process know."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from msgspec import UNSET
from prometheus_client import CollectorRegistry

from sidecar.config import Config
from sidecar.core.counts.liveness import Sign
from sidecar.core.events.currencies import ENOUGH
from sidecar.core.events.event import Rejection
from sidecar.core.sequence.clock_offsets import Offset
from sidecar.core.sequence.shared_names import Use
from sidecar.daemon import health as module
from sidecar.daemon.health import CLOCK_OFFSET_SECONDS, LOSS_SECONDS, NAMED, Gauges, health
from sidecar.daemon.ingest import SourceState
from sidecar.daemon.pipeline import ClockStep, Pipeline, Rollback
from sidecar.errors import UnavailableError
from sidecar.exposition.published import Component, Health
from sidecar.process.clock import Clock
from sidecar.process.telemetry import Telemetry
from sidecar.redis.info import ServerInfo
from sidecar.redis.servers import Servers
from sidecar.redis.url import parse
from sidecar.sources.memory import MemorySource
from sidecar.store.memory import MemoryStore
from sidecar.store.redis import RedisStore
from tests.ledgers import T0, new_ledger
from tests.waiting import eventually

SOURCE = "pubsub:c"


class Facts(RedisStore):
    """A store that only knows what Redis says about itself."""

    def __init__(self, **facts: str) -> None:
        super().__init__(Servers(parse("redis://")), "", lease=1.0, keep_rejected=True)
        self.answer: dict[str, str] = facts
        self.asked = 0
        self.away = False
        self.server = ServerInfo("Valkey", "9.1.0")

    async def facts(self) -> dict[str, str]:
        self.asked += 1
        if self.away:
            raise UnavailableError("nobody there")
        return self.answer


class Ground:
    """A pipeline that counts and is well, and the gauges beside it; nothing runs."""

    def __init__(self, **facts: str) -> None:
        self.now = T0
        self.registry = CollectorRegistry()
        self.telemetry = Telemetry(self.registry, version="1", sources=(SOURCE,))
        self.pipeline = Pipeline(
            new_ledger(),
            MemoryStore(lease=1.0),
            (MemorySource(SOURCE),),
            config=Config(),
            telemetry=self.telemetry,
            publish=lambda: None,
            clock=Clock(lambda: self.now, lambda: self.now),
        )
        self.ledger = self.pipeline.ledger
        self.ledger.active = True
        self.pipeline.ingest.states[SOURCE] = SourceState("connected")
        self.store = Facts(**facts)
        self.dropped = 0
        self.gauges = Gauges(self.telemetry, self.store, Config(), dropped=lambda: self.dropped)

    def health(self, **known: Any) -> Health:
        return health(self.pipeline, self.gauges, **{"stale": False, **known})

    def component(self, name: str, **known: Any) -> tuple[str, str]:
        """Return status and detail of a part."""
        found = self.health(**known).components[name]
        return found.status, "" if found.detail is UNSET else str(found.detail)

    def sign(self, name: str, *, silent: bool, seen: float = T0) -> None:
        """Let a producer be watched."""
        sign = Sign(T0 - 100)
        sign.gaps, sign.seen, sign.silent = (1.0,) * 3, seen, silent
        self.ledger.aggregate.committed.signs[name] = sign


@pytest.fixture
def ground() -> Ground:
    return Ground()


def test_all_is_well(ground: Ground) -> None:
    found = ground.health()
    assert (found.status, found.role) == ("ok", "active")
    assert {name: one.status for name, one in found.components.items()} == {
        "redis": "ok",
        "commit": "ok",
        SOURCE: "ok",
    }


def test_a_source_says_what_it_received_and_when_also_while_it_is_down(ground: Ground) -> None:
    for state in (SourceState("connected"), SourceState("down", "nobody there")):
        ground.pipeline.ingest.states[SOURCE] = state
        found = ground.health().components[SOURCE]
        assert (found.received, found.last_event_at) == (0, None)
    ground.ledger.aggregate.committed.total.tallies["received"][SOURCE] = 3
    ground.pipeline.ingest.last_event_at[SOURCE] = T0
    found = ground.health().components[SOURCE]
    assert (found.received, found.last_event_at) == (3, T0)


# What is down


def test_without_redis_it_is_down(ground: Ground) -> None:
    ground.pipeline.redis_error = "nobody there"
    assert ground.health().status == "down"
    assert ground.component("redis") == ("down", "nobody there")


def test_old_numbers_are_down_with_the_reason_where_there_is_one(ground: Ground) -> None:
    assert ground.health(stale=True).status == "down"
    assert ground.component("commit", stale=True)[1].startswith("nothing was committed lately")
    ground.pipeline.unanswered = True
    assert ground.component("commit", stale=True)[1].startswith("Redis has not answered the last commit")
    ground.pipeline.commit_error = "no memory"
    assert ground.component("commit", stale=True) == ("down", "no memory")


def test_a_commit_that_failed_is_degraded_while_the_numbers_are_new(ground: Ground) -> None:
    ground.pipeline.commit_error = "no memory"
    assert ground.health().status == "degraded"
    assert ground.component("commit") == ("degraded", "no memory")


@pytest.mark.parametrize(("other", "status"), [("connected", "degraded"), ("down", "down")])
def test_without_any_source_it_is_down_and_without_one_of_them_degraded(
    ground: Ground, other: Any, status: str
) -> None:
    states = ground.pipeline.ingest.states
    states[SOURCE], states["pubsub:d"] = SourceState("down", "nobody there"), SourceState(other)
    assert ground.health().status == status
    assert ground.component(SOURCE) == ("degraded", "nobody there")


def test_a_source_that_never_was_connected_is_connecting(ground: Ground) -> None:
    ground.pipeline.ingest.states[SOURCE] = SourceState()
    assert ground.component(SOURCE) == ("degraded", "connecting")


# Standing by


@pytest.mark.parametrize(
    ("error", "owner", "status", "role", "commit"),
    [
        ("", "there:2:b", "standby", "standby", "standby"),
        ("", "", "down", "active", "down"),
        ("nobody there", "there:2:b", "down", "standby", None),
        ("nobody there", "", "down", "active", None),
    ],
    ids=["another counts", "starting", "without Redis", "starting without Redis"],
)
def test_one_that_does_not_count(
    ground: Ground, error: str, owner: str, status: str, role: str, commit: str | None
) -> None:
    ground.ledger.active = False
    ground.pipeline.redis_error, ground.pipeline.owner_met = error, owner
    found = ground.health()
    assert (found.status, found.role) == (status, role)
    assert (found.components["commit"].status if "commit" in found.components else None) == commit


def test_a_standby_names_who_counts(ground: Ground) -> None:
    ground.ledger.active, ground.pipeline.owner_met = False, "there:2:b"
    assert "there:2:b" in ground.component("commit")[1]


# Sources, and what they send


def test_a_source_that_is_behind_is_degraded(ground: Ground) -> None:
    ground.pipeline.ingest.states[SOURCE] = SourceState("connected", lag_seconds=12.34, behind=True)
    status, detail = ground.component(SOURCE)
    assert (status, detail.startswith("12.3 s behind")) == ("degraded", True)


@pytest.mark.parametrize(("rejected", "status"), [(1, "ok"), (2, "degraded")])
def test_a_source_that_is_half_not_understood_is_degraded(ground: Ground, rejected: int, status: str) -> None:
    understanding = ground.ledger.aggregate.understanding
    understanding.saw(SOURCE, T0, 4)
    for _ in range(rejected):
        understanding.rejected(SOURCE, T0, Rejection("not_json", "no JSON", b"{", T0))
    assert ground.component(SOURCE)[0] == status


def test_unknown_fields_are_named_and_are_no_fault(ground: Ground) -> None:
    ground.ledger.aggregate.unknown_fields |= {"colour", "amout"}
    assert ground.component("events") == ("ok", "unknown fields: amout, colour; are they misspelled?")


@pytest.mark.parametrize(("whole", "broken", "told"), [(ENOUGH, 0, True), (ENOUGH - 1, 0, False), (ENOUGH, 1, False)])
def test_amounts_that_are_all_large_and_whole_may_be_cents(ground: Ground, whole: int, broken: int, told: bool) -> None:
    ground.ledger.aggregate.amounts[True], ground.ledger.aggregate.amounts[False] = whole, broken
    assert ("amounts" in ground.health().components) == told


# Producers


@pytest.mark.parametrize(
    ("offset", "told"), [(CLOCK_OFFSET_SECONDS + 0.1, "-2.1 s off"), (-3.0, "+3.0 s off"), (CLOCK_OFFSET_SECONDS, None)]
)
def test_a_producer_whose_clock_is_wrong_is_named(ground: Ground, offset: float, told: str | None) -> None:
    ground.ledger.aggregate.register.clocks["api"] = Offset(offset, T0, offset, offset, T0)
    components = ground.health().components
    assert ("clock:api" in components) == (told is not None)
    assert told is None or told in str(components["clock:api"].detail)


def test_a_name_that_several_producers_seem_to_use_is_named(ground: Ground) -> None:
    ground.ledger.aggregate.register.names["api"] = Use(T0, counts=(1, 1000, 0, 0))
    assert ground.component("producer:api")[0] == "degraded"


def test_producers_that_are_alive_are_counted(ground: Ground) -> None:
    assert "producers" not in ground.health().components
    ground.sign("a", silent=False)
    assert ground.component("producers") == ("ok", "1 send heartbeats")


def test_silent_producers_are_named_the_last_one_first_and_not_all_of_many(ground: Ground) -> None:
    ground.sign("alive", silent=False)
    for number in range(NAMED + 2):
        ground.sign(f"p{number}", silent=True, seen=T0 - 60 + number)
    status, detail = ground.component("producers")
    assert status == "degraded"
    assert detail.startswith(f"{NAMED + 2} of {NAMED + 3} silent: p4 since ")
    assert "(56 s)" in detail
    assert "p1 " not in detail


# What happened lately


@pytest.mark.parametrize(("ago", "told"), [(LOSS_SECONDS - 1, True), (LOSS_SECONDS, False)])
def test_lost_commits_and_missed_events_are_told_for_a_minute(ground: Ground, ago: float, told: bool) -> None:
    ground.pipeline.rollback = Rollback(T0 - ago, 3)
    ground.pipeline.missed_at = T0 - ago
    components = ground.health().components
    assert ("rollback" in components, "completeness" in components) == (told, told)
    assert not told or "lost 3 commits" in str(components["rollback"].detail)


@pytest.mark.parametrize(("ago", "status"), [(LOSS_SECONDS - 1, "degraded"), (LOSS_SECONDS, "ok")])
def test_a_step_of_the_clock_is_told_for_good_and_degraded_for_a_minute(
    ground: Ground, ago: float, status: str
) -> None:
    ground.pipeline.clock_step = ClockStep(-5.0, T0, T0 - ago)
    assert ground.component("clock")[0] == status
    assert "set back by 5.0 s" in ground.component("clock")[1]


# Stored states, outputs, and this process


def test_damaged_states_are_told(ground: Ground) -> None:
    ground.pipeline.damage = "kept aside"
    assert ground.component("checkpoint") == ("degraded", "kept aside")
    assert "b, c" in ground.component("fleet", left_out=["c", "b"])[1]


def test_an_output_that_fails_brings_nothing_down(ground: Ground) -> None:
    found = ground.health(outputs=[("influx", Component("down", "nobody there"))])
    assert found.status == "degraded"
    assert found.components["influx"].status == "down"


def test_a_trouble_of_this_process_is_degraded(ground: Ground) -> None:
    ground.telemetry.trouble("listeners", "no files left")
    assert ground.component("listeners") == ("degraded", "no files left")


# The gauges


@pytest.fixture
async def in_background() -> AsyncIterator[Callable[[Awaitable[None]], None]]:
    tasks: list[asyncio.Future[None]] = []
    yield lambda work: tasks.append(asyncio.ensure_future(work))
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_redis_is_asked_for_its_version_memory_and_policy(
    in_background: Callable[[Awaitable[None]], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "FACTS_SECONDS", 0.001)
    ground = Ground(used_memory="1234", maxmemory_policy="allkeys-lru")
    in_background(ground.gauges.ask())
    await eventually(lambda: ground.store.asked > 1)
    assert ground.gauges.server.display == "Valkey 9.1.0"
    assert ground.component("redis")[0] == "degraded"
    assert "allkeys-lru" in ground.component("redis")[1]
    ground.store.answer = {"maxmemory_policy": "noeviction"}
    await eventually(lambda: ground.component("redis") == ("ok", "127.0.0.1:6379, database 0, Valkey 9.1.0"))
    ground.store.away = True
    before = ground.store.asked
    await eventually(lambda: ground.store.asked > before + 1)


async def test_lag_memory_and_dropped_log_lines_are_measured(
    ground: Ground, in_background: Callable[[Awaitable[None]], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LAG_PROBE_SECONDS", 0.0005)
    ground.gauges._redis_memory = 1234
    ground.dropped = 2
    in_background(ground.gauges.run())
    await eventually(lambda: ground.gauges.system.rss_bytes)
    system = ground.gauges.system
    assert system.redis_used_memory_bytes == 1234
    assert system.cpu_percent is not None and system.cpu_percent > 0
    for name in ("loop_lag_seconds", "loop_lag_max_seconds"):
        assert (ground.registry.get_sample_value(f"flash_sale_sidecar_{name}") or 0) > 0
    assert ground.registry.get_sample_value("flash_sale_sidecar_log_lines_dropped_total") == 2
    assert "log" in ground.gauges.troubles
