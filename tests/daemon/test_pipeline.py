"""The pipeline with everything in memory: who counts, what failures leave, and how it stops."""

import asyncio
import contextlib
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Mapping
from datetime import UTC, datetime
from functools import partial

import pytest
import structlog
from prometheus_client import CollectorRegistry

from sidecar.config import Config
from sidecar.config.structs import Seconds
from sidecar.core.checkpoint.state import load_state
from sidecar.core.commit.commit import Commit, CommitAnswer
from sidecar.core.counts.state import State
from sidecar.core.events.batch import Batch
from sidecar.daemon.candidacy import machine
from sidecar.daemon.health import Gauges, health
from sidecar.daemon.ingest import BACKOFF_SECONDS, LEFTOVER_SECONDS, backoff
from sidecar.daemon.pipeline import Pipeline
from sidecar.errors import AccessError, CommandError, SidecarError, UnavailableError
from sidecar.exposition.published import Health
from sidecar.process.clock import Clock
from sidecar.process.telemetry import Telemetry
from sidecar.redis.servers import Servers
from sidecar.redis.url import parse
from sidecar.sources import Source
from sidecar.sources.memory import MemorySource, MemoryStream
from sidecar.store import Taken
from sidecar.store.memory import MemoryStore
from sidecar.store.redis import RedisStore
from tests.ledgers import T0, commit, heard, new_ledger, order, shown, take
from tests.waiting import eventually

INTERVAL, LEASE = 0.01, 60.0


class Hands:
    """Time that stands still until it passes, or is set."""

    def __init__(self) -> None:
        self.now = T0
        self._set_by = 0.0

    def __call__(self) -> float:
        return self.now

    def steady(self) -> float:
        return self.now - self._set_by

    def set_by(self, seconds: float) -> None:
        self.now += seconds
        self._set_by += seconds


class Store(MemoryStore):
    """A store that can be made to fail: before it writes, after it wrote, or by not answering."""

    failure: SidecarError | None = None
    failures = 1_000_000
    lose_answers = False
    silent = False

    async def take(self, owner: str, token: str, *, dead: str, create: bool) -> Taken:
        await self._maybe_fail()
        return await super().take(owner, token, dead=dead, create=create)

    async def commit(self, commit: Commit, fields: Mapping[str, bytes], committed: State, now: float) -> CommitAnswer:
        await self._maybe_fail()
        answer = await super().commit(commit, fields, committed, now)
        if self.lose_answers:
            self.lose_answers = False
            raise UnavailableError("the answer was lost")
        return answer

    async def _maybe_fail(self) -> None:
        if self.silent:
            await asyncio.Event().wait()
        if self.failure is not None and self.failures > 0:
            self.failures -= 1
            raise self.failure


class Channel(MemorySource):
    """A pub/sub channel whose connection can be lost."""

    failure: Exception | None = None
    connections = 0
    asked_again = 0

    async def connect(self) -> None:
        self.connections += 1
        if self.failure is not None:
            raise self.failure

    async def read(self, after: str = "") -> Batch | None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(INTERVAL):
                return await super().read(after)
        if self.failure is not None:
            raise self.failure
        return None

    def ask_again(self) -> None:
        self.asked_again += 1


class SealedChannel(Channel):
    """A source that may be connected to, and not be read."""

    async def connect(self) -> None:
        self.connections += 1


class MuteChannel(Channel):
    """A channel whose Redis does not say what is left over."""

    async def leftover(self, give: Callable[[Batch], object]) -> None:
        await asyncio.Future()


class EndlessChannel(Channel):
    """A channel that hands over, without end, what is left over."""

    async def leftover(self, give: Callable[[Batch], object]) -> None:
        while True:
            give(heard(order()))
            await asyncio.sleep(0)


class Daemon:
    """A pipeline over one channel, one stream and perhaps other sources, and everything around it."""

    def __init__(self, owner: str = "here:1:a", *others: Source) -> None:
        self.clock = Hands()
        last_ids: dict[str, str] = {}
        self.last_ids = last_ids
        self.store = Store(lease=LEASE, clock=self.clock.steady, last_ids=last_ids)
        self.channel = Channel("pubsub:c", clock=self.clock)
        self.stream = MemoryStream("stream:s", last_ids, clock=self.clock)
        self.stop = asyncio.Event()
        self.published = 0
        self.registry = CollectorRegistry()
        sources: tuple[Source, ...] = (*others, self.channel, self.stream)
        self.telemetry = Telemetry(self.registry, version="1", sources=tuple(source.name for source in sources))
        self.pipeline = Pipeline(
            new_ledger(owner),
            self.store,
            sources,
            config=Config(commit_interval=Seconds(INTERVAL), lease=Seconds(LEASE)),
            telemetry=self.telemetry,
            publish=self._publish,
            clock=Clock(self.clock, self.clock.steady),
        )
        self.ledger = self.pipeline.ledger
        self.task: asyncio.Task[None] | None = None

    def _publish(self) -> None:
        self.published += 1

    def start(self) -> None:
        """Run in the background."""
        self.task = asyncio.create_task(self.pipeline.run(self.stop))

    async def active(self) -> None:
        """Start on empty ground, and wait until it counts."""
        self.start()
        await self.waited()
        self.clock.now += 1
        await eventually(lambda: self.pipeline.ingest.connected)

    async def waited(self) -> None:
        """Wait until it has tried to take over once more."""
        before = self.published
        await eventually(lambda: self.published > before)

    async def end(self) -> float:
        """Stop it; return how long that took, in seconds."""
        assert self.task is not None
        began = time.monotonic()
        self.stop.set()
        async with asyncio.timeout(5):
            await self.task
        return time.monotonic() - began

    def health(self) -> Health:
        """Return what `/monitoring/health` answers."""
        gauges = Gauges(
            self.telemetry, RedisStore(Servers(parse("redis://")), "", lease=LEASE, keep_rejected=True), Config()
        )
        return health(self.pipeline, gauges, stale=False)

    def counted(self) -> int:
        """Return the orders in the store."""
        return load_state(self.store.fields).total.tallies["orders"]["success"]

    def sample(self, name: str, **labels: str) -> float | None:
        """Return a metric of its own."""
        return self.registry.get_sample_value(f"flash_sale_sidecar_{name}", labels)


@pytest.fixture
async def daemon() -> AsyncIterator[Daemon]:
    made = Daemon()
    yield made
    if made.task is not None:
        made.task.cancel()
        await asyncio.gather(made.task, return_exceptions=True)


# Who counts


async def test_on_empty_ground_it_waits_two_intervals_and_begins(daemon: Daemon) -> None:
    daemon.start()
    await daemon.waited()
    daemon.clock.now += 1.5 * INTERVAL
    await daemon.waited()
    await daemon.waited()
    assert not daemon.store.fields
    daemon.clock.now += INTERVAL
    await eventually(lambda: daemon.ledger.active)
    await eventually(lambda: load_state(daemon.store.fields).total.since == daemon.clock.now)


async def test_events_of_all_sources_are_counted_and_committed(daemon: Daemon) -> None:
    await daemon.active()
    daemon.channel.put(order(), order())
    daemon.stream.add(order())
    await eventually(lambda: daemon.counted() == 3)
    assert daemon.sample("commits_total", outcome="failed") == 0
    assert daemon.sample("redis_up") == 1
    assert daemon.sample("source_connected", source="stream:s") == 1


async def test_a_standby_reads_nothing_until_the_lease_ends(daemon: Daemon) -> None:
    other = new_ledger("there:2:b")
    await take(other, daemon.store)
    other.apply(heard(order()), T0)
    await commit(other, daemon.store)
    daemon.channel.put(order())
    daemon.start()
    await daemon.waited()
    await daemon.waited()
    assert (daemon.channel.connections, daemon.pipeline.owner_met) == (0, "there:2:b")
    assert not daemon.pipeline.ingest.connected
    daemon.clock.now += LEASE
    await eventually(lambda: daemon.counted() == 2)
    assert daemon.pipeline.owner_met == ""


async def test_a_dead_holder_of_this_machine_is_succeeded_at_once(daemon: Daemon) -> None:
    ended = subprocess.Popen(["true"])
    ended.wait()
    await take(new_ledger(f"{machine()}:{ended.pid}:b"), daemon.store)
    daemon.pipeline._interval = Seconds(100)  # no second look would come within this test
    daemon.start()
    await eventually(lambda: daemon.ledger.active)


async def test_a_state_that_was_taken_over_is_left_alone_until_it_is_free(daemon: Daemon) -> None:
    await daemon.active()
    await eventually(lambda: daemon.store.fields.get("n") != b"1")
    daemon.clock.now += LEASE
    other = new_ledger("there:2:b")
    assert await take(other, daemon.store)
    await eventually(lambda: not daemon.ledger.active)
    await eventually(lambda: daemon.pipeline.owner_met == "there:2:b")
    assert not daemon.pipeline.ingest.connected
    assert daemon.sample("source_connected", source="pubsub:c") == 0
    assert daemon.sample("commits_total", outcome="conflict") == 1
    assert await commit(other, daemon.store) == "ok"
    await daemon.store.release(other.owner)
    await eventually(lambda: daemon.ledger.active)


async def test_a_lost_checkpoint_is_left_to_its_owner_for_a_lease(daemon: Daemon) -> None:
    other = new_ledger("there:2:b")
    await take(other, daemon.store)
    daemon.start()
    await daemon.waited()
    daemon.store.fields.clear()
    await daemon.store.release(other.owner)
    await daemon.waited()
    daemon.clock.now += LEASE / 2
    await daemon.waited()
    await daemon.waited()
    assert not daemon.ledger.active
    daemon.clock.now += LEASE / 2
    await eventually(lambda: daemon.ledger.active)


@pytest.mark.parametrize("met", [False, True])
async def test_a_refused_user_ends_the_start_and_nothing_later(daemon: Daemon, met: bool) -> None:
    if met:
        await take(new_ledger("there:2:b"), daemon.store)
        daemon.start()
        await daemon.waited()
    daemon.store.failure = AccessError("no such user")
    if not met:
        daemon.start()
        assert daemon.task is not None
        with pytest.raises(AccessError):
            await daemon.task
        return
    await eventually(lambda: daemon.pipeline.redis_error == "no such user")
    daemon.store.failure = None
    await eventually(lambda: daemon.pipeline.redis_error == "")


async def test_a_redis_that_is_away_at_the_start_is_waited_for(daemon: Daemon) -> None:
    daemon.store.failure = UnavailableError("nobody there")
    daemon.start()
    await eventually(lambda: daemon.pipeline.redis_error == "nobody there")
    assert daemon.sample("redis_up") == 0
    daemon.store.failure = None
    await daemon.waited()
    daemon.clock.now += 1
    await eventually(lambda: daemon.ledger.active)


# Commits that fail


async def test_what_could_not_be_committed_is_kept(daemon: Daemon) -> None:
    await daemon.active()
    daemon.store.failure = UnavailableError("gone")
    daemon.channel.put(order())
    daemon.stream.add(order())
    await eventually(lambda: daemon.ledger.uncommitted() == 2)
    await eventually(lambda: (daemon.sample("commits_total", outcome="failed") or 0) > 2)
    assert (daemon.pipeline.commit_error, daemon.pipeline.redis_error) == ("gone", "gone")
    assert shown(daemon.ledger) == 0
    daemon.store.failure = None
    await eventually(lambda: daemon.counted() == 2)
    assert (daemon.pipeline.commit_error, daemon.pipeline.redis_error) == ("", "")


async def test_a_redis_that_refuses_is_not_away(daemon: Daemon) -> None:
    await daemon.active()
    daemon.store.failure = CommandError("OOM")
    daemon.channel.put(order())
    await eventually(lambda: daemon.pipeline.commit_error == "OOM")
    assert (daemon.pipeline.redis_error, daemon.sample("redis_up")) == ("", 1)
    assert daemon.sample("redis_refuses_writes", reason="other") == 1
    daemon.store.failure = AccessError("no such user")
    await eventually(lambda: daemon.sample("redis_refuses_writes", reason="access") == 1)
    assert daemon.sample("redis_refuses_writes", reason="other") == 0
    daemon.store.failure = UnavailableError("gone")
    await eventually(lambda: daemon.sample("redis_refuses_writes", reason="access") == 0)
    daemon.store.failure = None
    await eventually(lambda: daemon.counted() == 1)
    assert daemon.sample("redis_refuses_writes", reason="other") == 0


async def test_a_commit_whose_answer_was_lost_counts_once(daemon: Daemon) -> None:
    await daemon.active()
    daemon.channel.put(order())
    daemon.store.lose_answers = True
    await eventually(lambda: not daemon.store.lose_answers)
    daemon.channel.put(order())
    await eventually(lambda: daemon.counted() == 2)
    assert daemon.sample("commits_total", outcome="failed") == 1


async def test_snapshots_are_published_while_commits_fail(daemon: Daemon) -> None:
    await daemon.active()
    daemon.store.failure = UnavailableError("gone")
    before = daemon.published
    await eventually(lambda: daemon.published > before + 3)


async def test_a_lost_checkpoint_is_written_again(daemon: Daemon) -> None:
    await daemon.active()
    daemon.channel.put(order())
    await eventually(lambda: daemon.counted() == 1)
    daemon.store.fields.clear()
    await eventually(lambda: daemon.counted() == 1)
    assert daemon.sample("commits_total", outcome="emptied") == 1


async def test_producers_that_restart_in_a_loop_are_told_by_the_sidecar_that_counts(daemon: Daemon) -> None:
    await daemon.active()
    for epoch in range(5):
        daemon.channel.put(order(producer="api", epoch=epoch, seq=1))
    await eventually(lambda: daemon.sample("producers_doubted") == 1)
    daemon.clock.now += LEASE
    assert await take(new_ledger("there:2:b"), daemon.store)
    await eventually(lambda: not daemon.ledger.active)
    assert daemon.sample("producers_doubted") == 0


async def test_a_clear_is_followed(daemon: Daemon) -> None:
    await daemon.active()
    daemon.channel.put(order())
    await eventually(lambda: daemon.counted() == 1)
    await daemon.store.clear("g")
    await eventually(lambda: daemon.ledger.generation == "g")
    assert (shown(daemon.ledger), daemon.sample("commits_total", outcome="cleared")) == (0, 1)


async def test_after_a_rollback_the_stream_is_counted_again_from_there(daemon: Daemon) -> None:
    await daemon.active()
    older: dict[str, bytes] = {}
    for number in (1, 2):
        daemon.stream.add(order())
        await eventually(lambda number=number: daemon.counted() == number)  # type: ignore[misc]
        older = older or dict(daemon.store.fields)
    asked = daemon.channel.asked_again
    daemon.store.fields = older
    await eventually(lambda: (daemon.sample("commits_total", outcome="rolled_back") or 0) == 1)
    assert daemon.pipeline.rollback.at == daemon.clock.now
    assert daemon.pipeline.rollback.commits >= 1
    await eventually(lambda: daemon.counted() == 2)
    assert daemon.channel.asked_again > asked


async def test_entries_read_under_another_history_are_read_again(daemon: Daemon) -> None:
    await daemon.active()
    daemon.store.replid = daemon.stream._replid = "another"
    daemon.stream.add(order())
    await eventually(lambda: daemon.counted() == 1)
    daemon.store.replid = "a third"
    daemon.stream.add(order())
    await eventually(lambda: (daemon.sample("commits_total", outcome="reread") or 0) > 0)
    assert daemon.counted() == 1
    assert daemon.channel.asked_again > 0
    daemon.stream._replid = "a third"
    daemon.stream.add(order())
    await eventually(lambda: daemon.counted() == 3)


async def test_a_stream_made_anew_is_counted_as_a_reset(daemon: Daemon) -> None:
    await daemon.active()
    daemon.stream.add(order())
    await eventually(lambda: daemon.counted() == 1)
    daemon.last_ids.clear()
    daemon.stream._entries.clear()
    await eventually(lambda: daemon.sample("source_resets_total", source="stream:s") == 1)
    await eventually(lambda: daemon.pipeline.ledger.position("s") == "0-0")
    daemon.stream.add(order())
    await eventually(lambda: daemon.counted() == 2)


# A damaged state


async def test_a_damaged_state_is_kept_aside_and_counting_begins_anew_with_what_the_stream_holds(
    daemon: Daemon,
) -> None:
    before = new_ledger("here:1:before")
    await take(before, daemon.store)
    before.apply(heard(order(), order()), T0)
    await commit(before, daemon.store)
    await daemon.store.release(before.owner)
    daemon.stream.add(order())
    damaged = daemon.store.fields = {**daemon.store.fields, "c:totals:": b"?"}
    with structlog.testing.capture_logs() as logs:
        daemon.start()
        await eventually(lambda: daemon.sample("checkpoints_damaged_total") == 1)
        await eventually(lambda: daemon.counted() == 1)
    assert daemon.store.damaged["c:totals:"] == damaged["c:totals:"]
    assert daemon.sample("checkpoints_damaged_total") == 1
    assert "c:totals:" in daemon.pipeline.damage and "counting restarts" in daemon.pipeline.damage
    told = [line for line in logs if line["event"] == "checkpoint damaged"]
    assert [(line["log_level"], line["detail"]) for line in told] == [("error", daemon.pipeline.damage)]


async def test_a_state_that_is_damaged_under_a_running_daemon_is_written_again_from_memory(daemon: Daemon) -> None:
    await daemon.active()
    daemon.channel.put(order())
    await eventually(lambda: daemon.counted() == 1)
    daemon.store.fields["n"] = b"?"
    await eventually(lambda: daemon.sample("checkpoints_damaged_total") == 1)
    daemon.channel.put(order())
    await eventually(lambda: daemon.counted() == 2)
    assert "from memory" in daemon.pipeline.damage
    assert daemon.store.damaged["n"] == b"?"


async def test_a_state_that_is_damaged_and_not_ours_any_more_is_left_to_its_owner(daemon: Daemon) -> None:
    await daemon.active()
    daemon.store._owner = "there:2:b"
    damaged = daemon.store.fields = {**daemon.store.fields, "n": b"?"}
    await eventually(lambda: daemon.pipeline.owner_met == "there:2:b")
    assert (daemon.store.fields, daemon.pipeline.damage) == (damaged, "")


async def test_an_older_state_that_a_rollback_brought_back_damaged_is_no_truth_and_neither_is_memory(
    daemon: Daemon,
) -> None:
    await daemon.active()
    older: dict[str, bytes] = {}
    for number in (1, 2):
        daemon.stream.add(order())
        await eventually(lambda number=number: daemon.counted() == number)  # type: ignore[misc]
        older = older or dict(daemon.store.fields)
    daemon.channel.put(order())
    await eventually(lambda: daemon.counted() == 3)
    daemon.store.fields = {**older, "p:s": b"?"}
    await eventually(lambda: daemon.sample("checkpoints_damaged_total") == 1)
    await eventually(lambda: daemon.counted() == 2)
    assert "counting restarts" in daemon.pipeline.damage


# Sources that fail


async def test_a_source_that_is_lost_is_connected_again_and_its_blindness_counted(daemon: Daemon) -> None:
    await daemon.active()
    daemon.channel.failure = UnavailableError("cut")
    await eventually(lambda: daemon.pipeline.ingest.states["pubsub:c"].status == "down")
    assert daemon.pipeline.ingest.states["pubsub:c"].detail == "cut"
    assert daemon.sample("source_connected", source="pubsub:c") == 0
    daemon.clock.now += 7
    daemon.channel.failure = None
    await eventually(lambda: daemon.pipeline.ingest.states["pubsub:c"].status == "connected")
    await eventually(lambda: load_state(daemon.store.fields).total.tallies["blind_ms"] == {"": 7000})
    assert daemon.sample("source_connected", source="pubsub:c") == 1
    daemon.channel.put(order())
    await eventually(lambda: daemon.counted() == 1)


async def test_a_source_that_refuses_to_be_read_is_told_once_and_is_back_when_it_was_read() -> None:
    sealed = SealedChannel("pubsub:sealed")
    daemon = Daemon("here:1:a", sealed)
    await daemon.active()
    with structlog.testing.capture_logs() as logs:
        sealed.failure = CommandError("it holds a list")
        before = sealed.connections
        await eventually(lambda: sealed.connections > before + 2)
        assert _is_down(daemon, "pubsub:sealed")
        sealed.failure = None
        await eventually(lambda: not _is_down(daemon, "pubsub:sealed"))
        await daemon.end()
    told = [line["event"] for line in logs if line.get("source") == "pubsub:sealed"]
    assert told == ["source lost", "source is back"]


async def blind_ms(daemon: Daemon) -> int:
    """Return the committed state once everything is connected."""
    await eventually(lambda: daemon.pipeline.ingest.connected)
    await daemon.waited()
    await daemon.waited()
    return load_state(daemon.store.fields).total.tallies["blind_ms"].total()


def _is_down(daemon: Daemon, name: str) -> bool:
    return daemon.pipeline.ingest.states[name].status == "down"


async def test_blind_time_counts_once_however_many_channels_are_lost() -> None:
    other = Channel("pubsub:other")
    daemon = Daemon("here:1:a", other)
    try:
        await daemon.active()
        for channel, wait in ((daemon.channel, 2), (other, 3)):
            channel.failure = UnavailableError("cut")
            await eventually(partial(_is_down, daemon, channel.name))
            daemon.clock.now += wait
        daemon.channel.failure = None
        await eventually(lambda: daemon.pipeline.ingest.states["pubsub:c"].status == "connected")
        daemon.clock.now += 4
        other.failure = None
        assert await blind_ms(daemon) == 9000
    finally:
        await daemon.end()


@pytest.mark.parametrize(
    ("changes", "blind"),
    [({}, 103_000), ({"listened": None}, 103_000), ({"listened": b"pubsub:other"}, 0), ({"cleared": b""}, 3000)],
    ids=["stopped", "stored by 0.1", "a new channel", "cleared meanwhile"],
)
async def test_a_restarted_sidecar_was_blind_since_the_last_commit_or_clear(
    daemon: Daemon, changes: dict[str, bytes | None], blind: int
) -> None:
    await daemon.active()
    assert await blind_ms(daemon) == 0, "at first there was nothing to miss"
    await daemon.end()
    daemon.clock.now += 100
    if "cleared" in changes:
        await daemon.store.clear("new")
    elif "listened" in changes:
        del daemon.store.fields["listened"]
        daemon.store.fields |= {name: value for name, value in changes.items() if value is not None}
    daemon.clock.now += 3
    daemon.stop = asyncio.Event()
    daemon.start()
    await eventually(lambda: daemon.ledger.active)
    assert await blind_ms(daemon) == blind


@pytest.mark.parametrize("text", [b"yesterday", b"nan", b"-1", b"1e999", b"", b"\xff"])
async def test_a_damaged_time_of_a_clear_is_damage(daemon: Daemon, text: bytes) -> None:
    await daemon.active()
    await daemon.end()
    await daemon.store.clear("new")
    daemon.store.fields["cleared_at"] = text
    daemon.stop = asyncio.Event()
    daemon.start()
    await eventually(lambda: "cleared_at" in daemon.pipeline.damage)


async def test_an_event_from_the_future_arrived_now(daemon: Daemon) -> None:
    await daemon.active()
    daemon.clock.now += 1000
    daemon.stream.add(order())
    daemon.clock.now -= 1000
    await eventually(lambda: daemon.sample("source_last_event_timestamp_seconds", source="stream:s") is not None)
    assert daemon.sample("source_last_event_timestamp_seconds", source="stream:s") == daemon.clock.now


async def test_a_source_that_lags_for_a_second_is_degraded_until_it_has_caught_up(daemon: Daemon) -> None:
    await daemon.active()
    state = daemon.pipeline.ingest.states["pubsub:c"]

    async def told(lag: float, after: float = 0.0) -> str:
        """Return what health says once that lag was met again, so many seconds later."""
        daemon.clock.now += after
        daemon.channel.lag_seconds, state.lag_seconds = lag, -1.0
        await eventually(lambda: state.lag_seconds == lag)
        return daemon.health().components["pubsub:c"].status

    assert [await told(0.9, 5), await told(1.1), await told(0.9, 2), await told(1.1), await told(1.1, 0.9)] == [
        "ok"
    ] * 5
    assert [await told(1.1, 0.1), await told(0.1, 5), await told(1.1)] == ["degraded"] * 3
    assert [await told(0.0), await told(1.1, 5)] == ["ok"] * 2


@pytest.mark.parametrize("why", ["another sidecar counts", "its connection is lost"])
async def test_a_source_that_is_not_read_has_no_lag(daemon: Daemon, why: str) -> None:
    await daemon.active()
    daemon.channel.lag_seconds = 30.0
    await eventually(lambda: daemon.sample("source_lag_seconds", source="pubsub:c") == 30)
    if why == "its connection is lost":
        daemon.channel.failure = UnavailableError("gone")
    else:
        daemon.clock.now += LEASE
        assert await take(new_ledger("there:2:b"), daemon.store)
    await eventually(lambda: daemon.sample("source_connected", source="pubsub:c") == 0)
    assert daemon.sample("source_lag_seconds", source="pubsub:c") == 0


async def test_amounts_that_may_all_be_cents_are_reported(daemon: Daemon) -> None:
    await daemon.active()
    amounts = daemon.pipeline.ledger.aggregate.amounts
    while amounts[True] < 20:
        daemon.channel.put(order(amount=1990))
        daemon.clock.now += 0.1
        await asyncio.sleep(0)
    assert "are they cents?" in str(daemon.health().components["amounts"].detail)
    assert daemon.health().components["amounts"].status == "ok"


async def test_a_source_that_is_mostly_not_understood_is_degraded(daemon: Daemon) -> None:
    await daemon.active()
    daemon.channel.put(order())
    daemon.channel.put(b'{"type":"com.shop.user.verified"}')
    told = "1 of 2 events of the last minute are not understood, most ignored as type com.shop.user.verified"
    await eventually(lambda: told in str(daemon.health().components["pubsub:c"].detail))
    assert daemon.health().components["pubsub:c"].status == "degraded"
    daemon.clock.now += 61
    assert daemon.health().components["pubsub:c"].status == "ok"


async def test_missed_events_are_told_for_a_minute_and_others_are_no_loss(daemon: Daemon) -> None:
    await daemon.active()
    for seq in (1, 3):
        daemon.channel.put(order(producer="p", epoch="e", seq=seq))
    await eventually(lambda: daemon.counted() == 2)
    assert "completeness" not in daemon.health().components
    daemon.clock.now += 5
    await eventually(lambda: "completeness" in daemon.health().components)
    told = daemon.health()
    assert told.status == told.components["completeness"].status == "degraded"
    assert "1 in all" in str(told.components["completeness"].detail)
    daemon.clock.now += 59
    assert daemon.health().status == "degraded"
    daemon.clock.now += 1
    assert daemon.health().status == "ok"


async def test_a_source_that_waits_connects_at_once_when_redis_is_known_to_be_elsewhere(
    daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sidecar.daemon.ingest.backoff", lambda failures: 100.0)
    await daemon.active()
    daemon.channel.failure = UnavailableError("cut")
    await eventually(lambda: daemon.pipeline.ingest.states["pubsub:c"].status == "down")
    daemon.channel.failure = None
    daemon.pipeline.ingest.hurry()
    await eventually(lambda: daemon.pipeline.ingest.states["pubsub:c"].status == "connected")


async def test_a_source_that_never_connects_stops_no_other(daemon: Daemon) -> None:
    daemon.channel.failure = AccessError("no right")
    daemon.start()
    await daemon.waited()
    daemon.clock.now += 1
    daemon.stream.add(order())
    await eventually(lambda: daemon.counted() == 1)
    assert not daemon.pipeline.ingest.connected
    assert daemon.pipeline.ingest.states["pubsub:c"].detail == "no right"


async def test_a_defect_in_a_source_ends_the_run(daemon: Daemon) -> None:
    await daemon.active()
    daemon.channel.failure = ZeroDivisionError("a defect")
    assert daemon.task is not None
    with pytest.raises(ZeroDivisionError):
        await daemon.task


@pytest.mark.parametrize(("failures", "longest"), [(1, 0.1), (3, 0.4), (6, 2.0), (5000, 2.0)])
def test_pauses_grow_with_failures_up_to_a_bound(failures: int, longest: float) -> None:
    pauses = [backoff(failures) for _ in range(200)]
    assert BACKOFF_SECONDS[0] <= min(pauses) <= max(pauses) <= longest
    assert max(pauses) > longest / 2


# Stopping


async def test_a_stop_commits_what_was_read_and_releases_the_state(daemon: Daemon) -> None:
    await daemon.active()
    daemon.channel.put(order(), order())
    daemon.stream.add(order())
    await eventually(lambda: daemon.ledger.uncommitted() + daemon.counted() == 3)
    await daemon.end()
    assert daemon.counted() == 3
    assert await take(new_ledger("there:2:b"), daemon.store)


async def test_a_stop_commits_what_arrived_and_was_not_read(daemon: Daemon) -> None:
    await daemon.active()
    daemon.channel.put(*[order()] * 2000)
    await daemon.end()
    assert daemon.counted() == 2000


async def test_a_source_that_hands_over_without_end_holds_up_no_stop() -> None:
    daemon = Daemon("here:1:a", EndlessChannel("pubsub:endless"))
    await daemon.active()
    with structlog.testing.capture_logs() as logs:
        assert await daemon.end() < 3 * LEFTOVER_SECONDS
    assert daemon.counted() > 0
    assert "source not read to its end" in [line["event"] for line in logs]


async def test_who_lost_the_state_reads_nothing_more() -> None:
    daemon = Daemon("here:1:a", MuteChannel("pubsub:mute"))
    await daemon.active()
    with structlog.testing.capture_logs() as logs:
        daemon.ledger.forget()
        await eventually(lambda: daemon.ledger.active, LEFTOVER_SECONDS / 2)
    await daemon.end()
    assert "source not read to its end" not in [line["event"] for line in logs]


async def test_a_source_that_does_not_answer_holds_up_no_stop_and_no_other_source() -> None:
    daemon = Daemon("here:1:a", MuteChannel("pubsub:mute"))
    await daemon.active()
    daemon.channel.put(*[order()] * 2000)
    with structlog.testing.capture_logs() as logs:
        assert LEFTOVER_SECONDS <= await daemon.end() < 3 * LEFTOVER_SECONDS
    assert daemon.counted() == 2000
    assert [line["source"] for line in logs if line["event"] == "source not read to its end"] == ["pubsub:mute"]


async def test_a_stop_while_standing_by_is_quick(daemon: Daemon) -> None:
    await take(new_ledger("there:2:b"), daemon.store)
    daemon.pipeline._interval = Seconds(100)
    daemon.start()
    await daemon.waited()
    assert await daemon.end() < 0.5


async def test_a_stop_while_redis_does_not_answer_is_quick(daemon: Daemon) -> None:
    daemon.store.silent = True
    daemon.start()
    await asyncio.sleep(0)
    assert await daemon.end() < 0.5


async def test_a_stop_without_redis_tells_how_many_events_are_lost(daemon: Daemon) -> None:
    await daemon.active()
    daemon.store.failure = UnavailableError("gone")
    daemon.channel.put(order(), order())
    daemon.stream.add(order())
    await eventually(lambda: daemon.ledger.uncommitted() == 3)
    began = time.monotonic()
    with pytest.raises(SidecarError, match=r"3 events .*\(gone\)"):
        await daemon.end()
    assert time.monotonic() - began < 2


async def test_a_stop_in_the_middle_of_a_commit_takes_two_seconds_at_most(daemon: Daemon) -> None:
    await daemon.active()
    daemon.channel.put(order())
    daemon.store.silent = True
    await eventually(lambda: daemon.ledger.uncommitted() == 1)
    began = time.monotonic()
    with pytest.raises(SidecarError, match="1 events .*no answer in time"):
        await daemon.end()
    assert time.monotonic() - began < 2


async def test_a_stop_tries_again_after_a_failure(daemon: Daemon) -> None:
    await daemon.active()
    daemon.channel.put(order())
    daemon.store.failure = UnavailableError("the connection was dead")
    await eventually(lambda: daemon.ledger.uncommitted() == 1)
    daemon.store.failures = 2
    await daemon.end()
    assert daemon.counted() == 1
    assert await take(new_ledger("there:2:b"), daemon.store)


async def test_a_stop_commits_repeats_that_came_while_a_commit_was_not_answered(daemon: Daemon) -> None:
    await daemon.active()
    numbered = order(producer="A", epoch="e", seq=1)
    daemon.channel.put(numbered)
    await eventually(lambda: daemon.counted() == 1)
    daemon.store.failure = UnavailableError("away for a moment")
    await eventually(lambda: daemon.ledger.unanswered)
    daemon.pipeline._interval = Seconds(100)  # the next commit is that of the stop
    daemon.channel.put(numbered)
    daemon.store.failure = None
    await daemon.end()
    assert load_state(daemon.store.fields).total.tallies["duplicates"][""] == 1


async def test_a_stop_without_redis_and_without_events_is_no_error(daemon: Daemon) -> None:
    await daemon.active()
    daemon.store.failure = UnavailableError("gone")
    assert await daemon.end() < 0.5


@pytest.mark.parametrize("turns", range(0, 60, 3))
async def test_stopped_at_any_moment_nothing_read_is_lost(daemon: Daemon, turns: int) -> None:
    await daemon.active()
    total = 0
    for _ in range(turns):
        daemon.channel.put(order())
        total += 1
        await asyncio.sleep(0)
    await daemon.end()
    assert daemon.counted() == total
    assert len(asyncio.all_tasks()) == 1


async def test_cancelled_it_leaves_no_task_behind(daemon: Daemon) -> None:
    await daemon.active()
    assert daemon.task is not None
    daemon.task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await daemon.task
    assert len(asyncio.all_tasks()) == 1


# The clock of this machine is set

SET = (-600.0, -20.0, 20.0, 86400.0)


@pytest.mark.parametrize("by", SET)
async def test_a_clock_step_is_shown_for_a_minute_and_counted(daemon: Daemon, by: float) -> None:
    await daemon.active()
    assert "clock" not in daemon.health().components
    daemon.clock.set_by(by)
    await eventually(lambda: daemon.sample("clock_steps_total") == 1)
    told = daemon.health().components["clock"]
    way = "back" if by < 0 else "forward"
    moment = datetime.fromtimestamp(daemon.clock.now, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    assert told.status == "degraded"
    assert str(told.detail).startswith(f"the clock of this machine was set {way} by {abs(by):.1f} s at {moment}; ")
    daemon.clock.now += 59.9
    assert daemon.health().status == "degraded"
    daemon.clock.now += 0.1
    assert daemon.health().status == "ok"
    assert daemon.health().components["clock"].detail == told.detail
    assert daemon.sample("clock_steps_total") == 1


@pytest.mark.parametrize("by", SET)
async def test_a_clock_step_changes_no_interval(daemon: Daemon, by: float) -> None:
    """Blind time, the grace of a hole, and how long a loss is shown."""
    await daemon.active()
    daemon.channel.failure = UnavailableError("cut")
    await eventually(lambda: daemon.pipeline.ingest.states["pubsub:c"].status == "down")
    for seq in (1, 3):
        daemon.stream.add(order(producer="p", epoch="e", seq=seq))
    await eventually(lambda: daemon.counted() == 2)
    daemon.clock.now += 3
    daemon.clock.set_by(by)
    await eventually(lambda: daemon.sample("clock_steps_total") == 1)
    daemon.clock.now += 1.9
    await daemon.waited()
    await daemon.waited()
    assert "completeness" not in daemon.health().components
    daemon.clock.now += 0.1
    await eventually(lambda: "completeness" in daemon.health().components)
    daemon.channel.failure = None
    await eventually(lambda: daemon.pipeline.ingest.states["pubsub:c"].status == "connected")
    await eventually(lambda: load_state(daemon.store.fields).total.tallies["blind_ms"] == {"": 5000})
    assert abs(daemon.clock.steady() - daemon.pipeline.committed_at) < 1


async def test_the_wait_for_a_lease_does_not_use_the_wall_clock(daemon: Daemon) -> None:
    other = new_ledger("there:2:b")
    await take(other, daemon.store)
    daemon.start()
    await daemon.waited()
    daemon.store.fields.clear()
    await daemon.store.release(other.owner)
    await daemon.waited()
    daemon.clock.set_by(10 * LEASE)
    await daemon.waited()
    await daemon.waited()
    assert not daemon.ledger.active
    daemon.clock.set_by(-20 * LEASE)
    daemon.clock.now += LEASE
    await eventually(lambda: daemon.ledger.active)


@pytest.mark.parametrize("by", [-600.0, -20.0])
async def test_the_last_reading_counts_also_if_the_clock_is_set_while_a_commit_hangs(daemon: Daemon, by: float) -> None:
    def stock(units: int) -> bytes:
        return b'{"type":"inventory","product_id":"a","stock":%d}' % units

    def stored() -> int | None:
        products = load_state(daemon.store.fields).products
        return products["a"].stock if "a" in products else None

    await daemon.active()
    daemon.channel.put(stock(1))
    await eventually(lambda: stored() == 1)
    daemon.store.silent = True
    daemon.channel.put(stock(2))
    await eventually(lambda: daemon.pipeline.unanswered)
    await asyncio.sleep(2 * INTERVAL)
    daemon.clock.set_by(by)
    daemon.channel.put(stock(3))
    await asyncio.sleep(3 * INTERVAL)
    assert daemon.task is not None
    daemon.store.silent = False
    daemon.task.cancel()
    await asyncio.gather(daemon.task, return_exceptions=True)
    daemon.stop.clear()
    daemon.start()
    await eventually(lambda: daemon.ledger.active)
    daemon.clock.now += LEASE
    daemon.channel.put(stock(4))
    await eventually(lambda: stored() == 4)


async def test_a_state_of_a_machine_whose_clock_is_ahead_is_taken_over(daemon: Daemon) -> None:
    other = new_ledger("there:2:b")
    await take(other, daemon.store, now=T0 + 600)
    other.apply(heard(b'{"type":"queue","waiting":7}', at=T0 + 600), T0 + 600)
    await commit(other, daemon.store, T0 + 600)
    await daemon.store.release(other.owner)
    daemon.start()
    await eventually(lambda: daemon.ledger.active)
    daemon.channel.put(b'{"type":"queue","waiting":3}')
    await eventually(lambda: load_state(daemon.store.fields).queues["orders"].value == 3)
    assert load_state(daemon.store.fields).total.tallies["blind_ms"].total() == 0
    assert str(daemon.pipeline.clock_step).startswith("the state was last committed 600.0 s after")


# Who publishes


class Shop:
    """Two producers with heartbeats, whose time passes in whole seconds."""

    def __init__(self, daemon: Daemon) -> None:
        self.daemon = daemon

    async def passes(self, seconds: int, *names: str, orders: bool = True) -> None:
        """Let these producers, and nobody else, publish once a second."""
        for _ in range(seconds):
            self.daemon.clock.now += 1
            for name in names:
                self.daemon.channel.put(b'{"type":"heartbeat","producer":"%b","epoch":1,"seq":0}' % name.encode())
            if orders:
                self.daemon.channel.put(order())
            await self.daemon.waited()
            await self.daemon.waited()

    def told(self) -> str:
        component = self.daemon.health().components.get("producers")
        return f"{component.status}: {component.detail}" if component else ""


@pytest.fixture
async def shop(daemon: Daemon) -> Shop:
    found = Shop(daemon)
    await daemon.active()
    await found.passes(20, "a", "b")
    return found


async def test_health_and_the_log_say_who_is_silent_and_who_is_back(shop: Shop) -> None:
    assert shop.told() == "ok: 2 send heartbeats"
    seen = datetime.fromtimestamp(shop.daemon.clock.now, UTC).strftime("%H:%M:%S UTC")
    with structlog.testing.capture_logs() as logs:
        await shop.passes(7, "b")
        assert shop.told() == f"degraded: 1 of 2 silent: a since {seen} (7 s); look whether these processes live"
        assert shop.daemon.health().status == "degraded"
        await shop.passes(2, "a", "b")
    assert shop.told() == "ok: 2 send heartbeats"
    assert [(log["event"], log["producers"]) for log in logs if "producers" in log] == [
        ("producers silent", "a"),
        ("producers are back", "a"),
    ]


async def test_many_silent_producers_are_named_by_the_last_three(shop: Shop) -> None:
    await shop.passes(5, "b", *(f"p{n:02}" for n in range(12)))
    with structlog.testing.capture_logs() as logs:
        await shop.passes(7, "b")
    assert shop.told().startswith("degraded: 12 of 13 silent: p11 since ")
    assert "), p09 since " in shop.told()
    assert ") and 9 more; look" in shop.told()
    assert [log["producers"] for log in logs if log["event"] == "producers silent"][-1].endswith(" and 2 more")


@pytest.mark.parametrize("what", ["source", "commit", "redis", "pause"])
async def test_in_an_outage_nobody_is_silent_and_after_it_everybody_has_time(shop: Shop, what: str) -> None:
    daemon = shop.daemon
    if what == "source":
        daemon.channel.failure = UnavailableError("gone")
    elif what == "pause":
        daemon.clock.now += 60
    else:
        daemon.store.failure = CommandError("full") if what == "commit" else UnavailableError("gone")
    await shop.passes(10)
    daemon.channel.failure = daemon.store.failure = None
    await eventually(lambda: daemon.pipeline.ingest.connected and not daemon.pipeline.commit_error)
    if what != "pause":
        await shop.passes(10, "b")
        assert shop.told() == "ok: 2 send heartbeats"
    await shop.passes(10, "b")
    assert shop.told().startswith("degraded: 1 of 2 silent: a since ")


async def test_outside_of_a_sale_nobody_is_missed(daemon: Daemon) -> None:
    shop = Shop(daemon)
    await daemon.active()
    await shop.passes(20, "a", "b", orders=False)
    await shop.passes(10, "a", orders=False)
    assert shop.told() == "ok: 1 send heartbeats"
    await shop.passes(10, orders=False)
    assert shop.told() == ""


async def test_after_a_takeover_it_is_known_who_was_silent(shop: Shop) -> None:
    await shop.passes(7, "b")
    await shop.daemon.end()
    ledger = new_ledger("here:2:b")
    assert await take(ledger, shop.daemon.store, now=shop.daemon.clock.now)
    signs = ledger.aggregate.register.watch.signs
    assert {name: sign.state for name, sign in signs.items()} == {"a": "silent", "b": "alive"}


async def test_health_names_who_sends_the_same_over_two_sources(daemon: Daemon) -> None:
    await daemon.active()
    for seq in range(1, 11):
        event = order(product_id="a", producer="api-1", epoch=1, seq=seq)
        daemon.channel.put(event)
        daemon.stream.add(event)
    await eventually(lambda: "counted_twice" in daemon.health().components)
    await eventually(lambda: daemon.counted() == 20)
    assert daemon.health().components["counted_twice"].detail == (
        "api-1 sends the same numbers over pubsub:c and stream:s; 10 events are counted twice; turn one off"
    )
    assert daemon.health().status == "degraded"
    daemon.clock.now += 60
    assert daemon.health().status == "ok"
