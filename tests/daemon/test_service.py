"""The whole daemon in this process, on a store and sources in memory: what it serves, reloads, clears and announces."""

import asyncio
import gc
import json
from asyncio.sslproto import SSLProtocol
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import structlog
from aiohttp import ClientSession
from msgspec.structs import replace

from sidecar.config import Config
from sidecar.config.structs import HttpConfig, MetricsConfig, RedisConfig, Seconds, Secret, WsConfig
from sidecar.core.counts.custom_definition import CustomMetric
from sidecar.core.counts.sale import Announcement
from sidecar.daemon import service as module
from sidecar.daemon.build import Parts
from sidecar.daemon.service import Service
from sidecar.errors import SidecarError, UnavailableError
from sidecar.sources.memory import MemorySource
from sidecar.store.memory import MemoryStore
from tests.ledgers import new_ledger, order, take
from tests.waiting import eventually

CONFIG = Config(
    commit_interval=Seconds(0.01),
    lease=Seconds(0.2),
    http=HttpConfig(listen="127.0.0.1:0", admin_token=Secret("secret")),
    ws=WsConfig(listen="127.0.0.1:0"),
    metrics=MetricsConfig(new_series_hold=Seconds(0)),
    instance="here",
)
ADMIN = {"Authorization": "Bearer secret"}


class Store(MemoryStore):
    """What the daemon commits to and its servers read from; the next answer may be lost."""

    def __init__(self) -> None:
        super().__init__(lease=0.2)
        self.lose_answers = 0
        self.closed = 0

    async def clear(self, generation: str) -> bytes:
        totals = await super().clear(generation)
        self._lose()
        return totals

    async def clear_metric(self, name: str, id: str) -> bool:
        found = await super().clear_metric(name, id)
        self._lose()
        return found

    async def announce(self, said: Announcement) -> bool:
        there = await super().announce(said)
        self._lose()
        return there

    async def close(self) -> None:
        self.closed += 1

    def _lose(self) -> None:
        if self.lose_answers:
            self.lose_answers -= 1
            raise UnavailableError("the answer was lost")


class Ground:
    """A daemon and everything around it."""

    def __init__(self, config: Config) -> None:
        self.store = Store()
        self.channel = MemorySource("pubsub:flash_sale:events")
        parts = Parts(self.store, self.store, (self.channel,))
        self.service = Service(config, log=structlog.get_logger("test"), origin="a test", parts=parts)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[ClientSession]:
        """Run it; yield a client of its HTTP server."""
        stop, started = asyncio.Event(), asyncio.Event()
        task = asyncio.create_task(self.service.run(stop, started=started.set))
        try:
            async with asyncio.timeout(5):
                await started.wait()
            async with ClientSession(self.service.http_url) as client:
                yield client
        finally:
            stop.set()
            async with asyncio.timeout(5):
                await task

    async def counted(self, *payloads: bytes) -> None:
        """Publish events and wait until they are shown."""
        await eventually(lambda: self.service.ready() == (True, "active"))
        self.channel.put(*payloads)
        await eventually(lambda: self.total() == len(payloads))

    def total(self) -> int:
        """Return the orders that are shown."""
        published = self.service._latest.published
        return -1 if published is None else published.snapshot.orders.total


@pytest.fixture
def ground() -> Ground:
    return Ground(CONFIG)


async def get(client: ClientSession, path: str, status: int = 200) -> Any:
    async with client.get(path) as response:
        assert response.status == status
        return json.loads(await response.text())


async def test_it_counts_and_shows_from_the_first_event_to_the_stop(ground: Ground) -> None:
    async with ground.running() as client:
        await ground.counted(order(), order())
        shown = await get(client, "/monitoring/metrics")
        assert (shown["orders"]["total"], shown["instance"], shown["stale"]) == (2, "here", False)
        assert (await get(client, "/monitoring/health"))["status"] == "ok"
        async with client.get("/metrics") as response:
            assert 'flash_sale_orders_total{status="success"} 2' in await response.text()
        assert len((await get(client, "/monitoring/history?metric=throughput"))["points"]) > 0
        ground.channel.put(order())
    assert ground.total() == 3, "what arrived last was not committed at the stop"
    assert ground.store.closed == 2


async def test_a_report_is_as_of_its_commit_however_late_it_is_asked_for(ground: Ground) -> None:
    async with ground.running() as client:
        ground.channel.put(b"{")
        await ground.counted(order())
        state = ground.service._ledger.aggregate.committed
        shown = await get(client, "/monitoring/benchmark")
        assert shown["ts"] == shown["until"] == shown["committed_at"] == state.total.committed_at
        assert shown["completeness"]["invalid"] == 1
        assert shown["completeness"]["not_understood"] == {}, "only the running process knows it"


def settings() -> list[object]:
    """Return what belongs to the whole process."""
    loop = asyncio.get_running_loop()
    return [gc.get_threshold(), gc.get_freeze_count(), loop.get_exception_handler(), SSLProtocol.max_size]


async def test_the_settings_of_a_process_that_embeds_it_stay(ground: Ground) -> None:
    before = settings()
    async with ground.running():
        assert settings() == before


async def test_what_cannot_be_counted_is_shown_newest_first(ground: Ground) -> None:
    async with ground.running() as client:
        await eventually(lambda: ground.service.ready() == (True, "active"))
        ground.channel.put(b"{", b"[")
        await eventually(lambda: "rejected" in ground.store.public)
        shown = (await get(client, "/monitoring/rejected"))["rejected"]
        assert [(one["reason"], one["payload"]) for one in shown] == [("not_json", "["), ("not_json", "{")]


async def test_a_standby_is_ready_and_shows_nothing(ground: Ground) -> None:
    await take(new_ledger("there:2:b"), ground.store)
    ground.store._lease_end += 60
    async with ground.running() as client:
        await eventually(lambda: ground.service.ready() == (True, "standby"))
        assert (await get(client, "/monitoring/health"))["status"] == "standby"
        await get(client, "/monitoring/metrics", 503)


async def test_a_port_in_use_stops_the_start_and_closes_everything(ground: Ground) -> None:
    async with ground.running():
        address = ground.service.http_url.removeprefix("http://")
        other = Ground(replace(CONFIG, http=HttpConfig(listen=address)))
        with pytest.raises(SidecarError, match="http.listen"):
            await other.service.run(asyncio.Event())
    assert other.store.closed == 2


# Clearing


@pytest.mark.parametrize("lost", [0, 1])
async def test_a_clear_answers_with_what_was_cleared_once_it_is_committed(ground: Ground, lost: int) -> None:
    ground.store.lose_answers = lost
    async with ground.running():
        await ground.counted(order())
        cleared = await ground.service.clear()
        assert cleared["orders"]["success"] == 1
        assert ground.total() == 0


@pytest.mark.parametrize("lost", [0, 1])
async def test_a_metric_is_cleared_and_the_rest_goes_on(lost: int) -> None:
    ground = Ground(replace(CONFIG, custom_metrics=(CustomMetric(name="n_total", type="counter"),)))
    async with ground.running():
        await ground.counted(order())
        ground.store.lose_answers = lost
        assert await ground.service.clear_metric("n_total")
        assert not await ground.service.clear_metric("n_total")
        assert (ground.total(), ground.service._ledger.aggregate.committed.custom) == (1, {})


async def test_a_clear_does_not_wait_for_ever_for_a_commit(ground: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CLEAR_SECONDS", 0.01)
    ground.service._ledger.active = True  # and nothing commits
    with structlog.testing.capture_logs() as logs:
        assert (await ground.service.clear())["orders"]["total"] == 0
    assert [line["event"] for line in logs] == ["cleared, but not committed yet"]


# Sales


@pytest.mark.parametrize("lost", [0, 1])
async def test_a_sale_is_announced_once_and_answered_when_it_is_committed(ground: Ground, lost: int) -> None:
    async with ground.running():
        await ground.counted(order())
        ground.store.lose_answers = lost
        sale = await ground.service.announce("start", "friday")
        assert (sale.id, sale.state, sale.started_by) == ("friday", "running", "http")
        assert (await ground.service.announce("stop", None)).state == "ended"


async def test_a_sale_cannot_be_announced_where_nothing_is_committed(ground: Ground) -> None:
    with pytest.raises(UnavailableError, match="nothing is committed here yet"):
        await ground.service.announce("start", "friday")


async def test_an_announcement_that_is_not_committed_in_time_is_an_error(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "CLEAR_SECONDS", 0.01)
    ground.store.fields["n"] = b"1"
    with pytest.raises(UnavailableError, match="applies with the next commit"):
        await ground.service.announce("start", "friday")


# A fleet


async def test_without_a_fleet_this_instance_is_all_of_it(ground: Ground) -> None:
    with pytest.raises(UnavailableError, match="nothing is counted"):
        await ground.service.fleet()
    async with ground.running():
        await ground.counted(order())
        fleet = await ground.service.fleet()
        assert (fleet.scope, fleet.instances, fleet.orders.total) == ("fleet", ["here"], 1)


def test_a_damaged_member_is_named_once(ground: Ground) -> None:
    with structlog.testing.capture_logs() as logs:
        ground.service._report_damaged({"b": "cut"})
        ground.service._report_damaged({"b": "cut", "c": "cut"})
    assert [(line["event"], line["instance"]) for line in logs] == [
        ("fleet member left out", "b"),
        ("fleet member left out", "c"),
    ]
    ground.service._pipeline.ledger.active = True
    assert "b, c" in str(ground.service.health().components["fleet"].detail)


# Loading the configuration again


async def test_a_reload_applies_what_it_can_and_names_the_rest(ground: Ground) -> None:
    changed = replace(
        CONFIG,
        currency="EUR",
        http=replace(CONFIG.http, read_token=Secret("reader")),
        commit_interval=Seconds(1),
    )
    applied, restart = ground.service.reload(changed)
    assert sorted(applied) == ["currency", "http.read_token"]
    assert restart == ["commit_interval"]
    assert ground.service._rules.currency == "EUR"
    assert not ground.service._guard.open
    assert ground.service._config.commit_interval == CONFIG.commit_interval


async def test_a_reload_without_a_change_applies_nothing(ground: Ground) -> None:
    assert ground.service.reload(CONFIG) == ([], [])


async def test_a_secret_in_a_file_is_read_again_at_the_next_connect() -> None:
    from_file = replace(CONFIG, redis=RedisConfig(password=Secret("old"), password_file="/run/secret"))
    service = Ground(from_file).service
    assert service.reload(replace(from_file, redis=replace(from_file.redis, password=Secret("new")))) == (
        ["redis.password"],
        [],
    )


async def test_a_changed_password_without_a_file_needs_a_restart(ground: Ground) -> None:
    changed = replace(CONFIG, redis=RedisConfig(password=Secret("new")))
    assert ground.service.reload(changed) == ([], ["redis.password"])
