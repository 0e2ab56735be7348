"""One source: it is connected, read and applied, and connected again after a failure; what that costs is counted."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from sidecar.core.commit.ledger import Ledger
from sidecar.core.events.batch import Batch
from sidecar.core.events.source import PUBSUB, STREAM
from sidecar.daemon import ingest as module
from sidecar.daemon.ingest import BEHIND_SECONDS, Ingest, backoff
from sidecar.errors import AccessError, CommandError, SidecarError, UnavailableError
from sidecar.process.clock import Clock
from sidecar.process.telemetry import Telemetry
from tests.ledgers import T0, heard, new_ledger, order, owner, read, settle
from tests.waiting import eventually

NAMES = ("pubsub:c", "stream:s")
AWAY = UnavailableError("nobody there")


class Scripted:
    """A source that reads what it is told to: batches, failures, and then nothing more."""

    def __init__(self, name: str = "pubsub:c", *script: Batch | SidecarError | None) -> None:
        self.name = name
        self.kind = PUBSUB if name.startswith("pubsub") else STREAM
        self.lag_seconds = 0.0
        self.script = list(script)
        self.refusal: SidecarError | None = None
        self.left: list[Batch] = []
        self.connections = self.closed = self.asked_again = 0

    async def connect(self) -> None:
        self.connections += 1
        if self.refusal is not None:
            raise self.refusal

    async def read(self, after: str) -> Batch | None:
        if not self.script:
            await asyncio.Event().wait()
        found = self.script.pop(0)
        if isinstance(found, SidecarError):
            raise found
        return found

    def ask_again(self) -> None:
        self.asked_again += 1

    async def leftover(self, give: Callable[[Batch], object]) -> None:
        for batch in self.left:
            give(batch)
        if self.refusal is not None:
            raise self.refusal

    async def close(self) -> None:
        self.closed += 1


class Ground:
    """An Ingest over some sources, with time that is moved by hand."""

    def __init__(self, *sources: Scripted, ledger: Ledger | None = None) -> None:
        self.now = T0
        self.ledger = ledger or owner()
        self.registry = CollectorRegistry()
        self.steps = 0
        clock = Clock(lambda: self.now, lambda: self.now)
        telemetry = Telemetry(self.registry, version="1", sources=NAMES)
        self.ingest = Ingest(
            self.ledger, sources, interval=0.0, telemetry=telemetry, clock=clock, stepped=self._stepped
        )
        self.ingest.begin()

    def _stepped(self) -> None:
        self.steps += 1

    def sample(self, name: str, source: str) -> float | None:
        return self.registry.get_sample_value(f"flash_sale_sidecar_{name}", {"source": source})

    def blind_seconds(self) -> float:
        settle(self.ledger)
        return self.ledger.aggregate.committed.total.tallies["blind_ms"].total() / 1000

    def pending(self) -> int:
        return self.ledger.uncommitted()


@asynccontextmanager
async def reading(ground: Ground, source: Scripted) -> AsyncIterator[None]:
    task = asyncio.create_task(ground.ingest.run(source))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BACKOFF_SECONDS", (0.0, 0.0))


async def test_a_source_is_connected_once_it_is_and_what_it_reads_is_counted() -> None:
    source = Scripted("pubsub:c", heard(order(), order(), at=T0 - 1), None)
    ground = Ground(source)
    before = ground.ingest.connected
    async with reading(ground, source):
        await eventually(lambda: not source.script)
    assert (before, ground.ingest.connected) == (False, True)
    assert (ground.pending(), ground.steps, source.connections) == (2, 1, 1)
    assert ground.sample("source_connected", "pubsub:c") == 1
    assert ground.sample("source_last_event_timestamp_seconds", "pubsub:c") == T0 - 1


async def test_the_newest_event_is_never_in_the_future() -> None:
    source = Scripted("pubsub:c", heard(order(), at=T0 + 100), None)
    ground = Ground(source)
    async with reading(ground, source):
        await eventually(lambda: not source.script)
    assert ground.sample("source_last_event_timestamp_seconds", "pubsub:c") == T0


async def test_a_lost_source_is_closed_and_connected_again_and_both_is_logged() -> None:
    source = Scripted("pubsub:c", None, AWAY, heard(order()), None)
    ground = Ground(source)
    with capture_logs() as logs:
        async with reading(ground, source):
            await eventually(lambda: ground.pending() == 1)
    assert (source.connections, source.closed) == (2, 1)
    assert [line["event"] for line in logs] == ["source lost", "source is back"]
    assert "nobody there" in logs[0]["detail"]


async def test_an_outage_is_logged_once_and_another_reason_as_well() -> None:
    source = Scripted()
    source.refusal = AWAY
    ground = Ground(source)
    with capture_logs() as logs:
        async with reading(ground, source):
            await eventually(lambda: source.connections > 2)
            source.refusal = AccessError("wrong password")
            await eventually(lambda: len(logs) > 1)
    assert [line["event"] for line in logs] == ["source lost", "source still lost"]
    assert "wrong password" in logs[1]["detail"]


async def test_a_source_that_cannot_be_connected_is_down_and_says_why() -> None:
    source = Scripted()
    source.refusal = AWAY
    ground = Ground(source)
    async with reading(ground, source):
        await eventually(lambda: source.connections > 2)
        state = ground.ingest.states["pubsub:c"]
        assert (state.status, state.detail, state.blind) == ("down", "nobody there", True)
    assert ground.sample("source_connected", "pubsub:c") == 0


@pytest.mark.parametrize("refusal", [CommandError("no"), AccessError("no")])
async def test_where_reading_is_refused_connecting_alone_does_not_bring_it_back(refusal: SidecarError) -> None:
    source = Scripted("pubsub:c", refusal, refusal, heard(order()), None)
    ground = Ground(source)
    with capture_logs() as logs:
        async with reading(ground, source):
            await eventually(lambda: ground.pending() == 1)
            await eventually(lambda: ground.ingest.connected)
    assert [line["event"] for line in logs] == ["source lost", "source is back"]


async def test_a_source_that_waits_hurries_when_redis_is_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BACKOFF_SECONDS", (60.0, 60.0))
    source = Scripted()
    source.refusal = AWAY
    ground = Ground(source)
    async with reading(ground, source):
        await eventually(lambda: source.closed == 1)
        ground.ingest.hurry()
        await eventually(lambda: source.connections == 2)


async def test_a_stale_batch_is_read_again() -> None:
    source = Scripted("stream:s", read(order(), after="5-0"), None)
    ground = Ground(source)
    async with reading(ground, source):
        await eventually(lambda: not source.script)
    assert (source.asked_again, ground.pending()) == (1, 0)


@pytest.mark.parametrize(("outcome", "event"), [("reset", "stream was recreated"), ("cut", "stream lost its end")])
async def test_a_stream_that_is_not_what_it_was_is_counted_and_logged(
    outcome: str, event: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = Scripted("stream:s", read(order()))
    ground = Ground(source)
    monkeypatch.setattr(ground.ledger, "apply", lambda *_: outcome)
    with capture_logs() as logs:
        async with reading(ground, source):
            await eventually(lambda: len(logs) > 0)
    assert ground.sample("source_resets_total", "stream:s") == 1
    assert [line["event"] for line in logs] == [event]


# Lag


def lag(*steps: tuple[float, float]) -> tuple[list[bool], list[str]]:
    """Let a source lag by so much after so many seconds; return whether it was behind, and what was logged."""
    ground = Ground(Scripted("stream:s"))
    behind = []
    with capture_logs() as logs:
        for seconds, passed in steps:
            ground.now += passed
            ground.ingest._report_lag("stream:s", seconds)
            behind.append(ground.ingest.states["stream:s"].behind)
    assert ground.sample("source_lag_seconds", "stream:s") == steps[-1][0]
    return behind, [line["event"] for line in logs]


def test_a_source_is_behind_once_it_has_lagged_for_a_second_until_it_has_caught_up() -> None:
    behind, logged = lag((2.0, 0), (2.0, BEHIND_SECONDS), (0.5, 5), (0.0, 0))
    assert behind == [False, True, True, False]
    assert logged == ["source behind", "source caught up"]


def test_a_lag_that_comes_and_goes_is_no_backlog() -> None:
    behind, logged = lag((2.0, 0), (BEHIND_SECONDS, 0.9), (2.0, 0.2), (2.0, 0.9))
    assert (any(behind), logged) == (False, [])


def test_it_hears_everybody_while_every_source_is_connected_and_none_lags() -> None:
    source = Scripted("stream:s")
    ingest = Ground(source).ingest
    hears = [ingest.hears]
    ingest._connected(source)
    hears.append(ingest.hears)
    ingest._report_lag("stream:s", BEHIND_SECONDS + 1)
    hears.append(ingest.hears)
    assert hears == [False, True, False]


# Blind time


async def test_the_time_without_a_channel_is_counted_once_for_all_of_them() -> None:
    sources = Scripted("pubsub:c"), Scripted("pubsub:d")
    ground = Ground(*sources)
    for source in sources:
        ground.ingest._disconnected(source, AWAY)
    ground.now += 3
    for source in sources:
        ground.ingest._connected(source)
    ground.now += 4
    ground.ingest.count_blind()
    assert ground.blind_seconds() == 3


async def test_a_stream_is_never_blind() -> None:
    source = Scripted("stream:s")
    ground = Ground(source)
    ground.ingest._disconnected(source, AWAY)
    ground.now += 3
    ground.ingest.count_blind()
    assert ground.blind_seconds() == 0


async def test_a_standby_is_not_blind() -> None:
    source = Scripted()
    ground = Ground(source, ledger=new_ledger())
    ground.ingest._disconnected(source, AWAY)
    ground.now += 3
    ground.ingest.count_blind()
    assert ground.ledger.aggregate.pending_events() == 0


def test_a_channel_of_before_a_takeover_has_been_blind_since_the_last_commit() -> None:
    names = ("pubsub:c", "pubsub:new", "stream:s")
    ground = Ground(*map(Scripted, names))
    ground.ledger.away, ground.ledger._listened = T0 - 10, {b"pubsub:c", b"stream:s"}
    ground.ingest.begin()
    assert {name: state.blind for name, state in ground.ingest.states.items()} == {
        "pubsub:c": True,
        "pubsub:new": False,
        "stream:s": False,
    }
    ground.ingest.count_blind()
    assert ground.blind_seconds() == 10
    assert ground.ledger._listening == b"pubsub:c\npubsub:new"


def test_without_an_earlier_commit_nothing_was_missed() -> None:
    ground = Ground(Scripted())
    assert not ground.ingest.states["pubsub:c"].blind


# A stop


async def test_a_stop_counts_what_had_arrived_and_lets_go() -> None:
    source = Scripted()
    source.left = [heard(order()), heard(order())]
    ground = Ground(source)
    ground.ingest._connected(source)
    await ground.ingest.stop()
    assert (ground.pending(), source.closed) == (2, 1)
    assert not ground.ingest.connected
    assert ground.sample("source_connected", "pubsub:c") == 0


async def test_a_stop_of_a_standby_reads_nothing() -> None:
    source = Scripted()
    source.left = [heard(order())]
    ground = Ground(source, ledger=new_ledger())
    await ground.ingest.stop()
    assert (ground.pending(), source.closed) == (0, 1)


async def test_a_source_that_is_lost_at_the_stop_is_logged(monkeypatch: pytest.MonkeyPatch) -> None:
    source = Scripted()
    source.left, source.refusal = [heard(order())], AWAY
    ground = Ground(source)
    with capture_logs() as logs:
        await ground.ingest.stop()
    assert ground.pending() == 1
    assert [(line["event"], line["source"]) for line in logs] == [("source not read to its end", "pubsub:c")]
    assert "nobody there" in logs[0]["detail"]


async def test_every_source_is_asked_again() -> None:
    sources = Scripted("pubsub:c"), Scripted("stream:s")
    Ground(*sources).ingest.ask_again()
    assert [source.asked_again for source in sources] == [1, 1]


def test_pauses_grow_to_a_limit_and_never_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BACKOFF_SECONDS", (0.1, 2.0))
    monkeypatch.setattr(random, "uniform", lambda _, most: most)
    assert [backoff(failures) for failures in (0, 1, 2, 3, 5, 10_000)] == [0.1, 0.2, 0.4, 0.8, 2.0, 2.0]
