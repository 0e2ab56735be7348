"""The numbers on their way to an InfluxDB: whatever it does, nothing waits for it."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from sidecar.config import InfluxConfig, Seconds, Secret
from sidecar.core.snapshot.snapshot import ProductOrders
from sidecar.errors import ConfigError
from sidecar.exposition.influx import output
from sidecar.exposition.influx.output import Backlog, InfluxOutput, LineBatch
from sidecar.exposition.published import Latest
from sidecar.process.telemetry import Telemetry
from tests.cancelling import Interrupt, sweep
from tests.exposition.snapshots import TS, orders, snapshot
from tests.influx import FakeInflux, fake_influx
from tests.ports import free_port
from tests.security.pki import make_pki
from tests.waiting import eventually

INTERVAL = 0.03
SECRET = "Zz-s3cret-token"


class Sidecar:
    """An output, and the ticks that it takes its numbers from: each Snapshot is a second later than the one before."""

    def __init__(self, config: InfluxConfig) -> None:
        self.registry, self.latest, self.ticks = CollectorRegistry(), Latest(), 0
        telemetry = Telemetry(self.registry, version="0", sources=())
        self.output = InfluxOutput(config, environment="test", latest=self.latest, telemetry=telemetry)

    async def tick(self) -> None:
        """Publish for ever."""
        while True:
            self.ticks += 1
            self.latest.publish(snapshot(ts=TS + self.ticks))
            await asyncio.sleep(INTERVAL / 2)

    def points(self, outcome: str) -> float:
        """Return how many points ended like this."""
        return self.registry.get_sample_value("flash_sale_sidecar_influx_points_total", {"outcome": outcome}) or 0

    @property
    def problem(self) -> str:
        """What health says; empty if all is well."""
        component = self.output.component
        assert (component.status == "ok") == (not component.detail)
        return str(component.detail or "")


@asynccontextmanager
async def writing(url: str, *, ticking: bool = True, **settings: Any) -> AsyncIterator[Sidecar]:
    """Run a sidecar that writes to `url`, by default into a bucket."""
    if "database" not in settings:
        settings |= {"bucket": "sale", "org": "shop", "token": Secret(SECRET)}
    interval = Seconds(settings.pop("interval", INTERVAL))
    sidecar = Sidecar(InfluxConfig(url=url, interval=interval, **settings))
    tasks = [asyncio.create_task(sidecar.output.run())]
    if ticking:
        tasks.append(asyncio.create_task(sidecar.tick()))
    try:
        yield sidecar
    finally:
        for task in tasks:
            task.cancel()
        async with asyncio.timeout(5):
            ended = await asyncio.gather(*tasks, return_exceptions=True)
        assert [type(one) for one in ended] == [asyncio.CancelledError] * len(tasks)


def times(fake: FakeInflux) -> list[int]:
    """Return the second of each write, from the first tick on."""
    return [round(write.at / 10**9 - TS) for write in fake.writes]


@pytest.fixture(autouse=True)
def _hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(output, "BACKOFF_SECONDS", (0.02, 0.1))


async def test_influxdb_2_gets_the_newest_numbers_once_per_interval() -> None:
    async with fake_influx() as fake, writing(fake.url()) as sidecar:
        await eventually(lambda: len(fake.writes) >= 3)
        await eventually(lambda: sidecar.points("written") >= 3 * len(fake.writes[0].lines))
        write = fake.writes[0]
        assert (write.path, write.query) == ("/api/v2/write", {"bucket": "sale", "org": "shop", "precision": "ns"})
        assert write.headers["Authorization"] == f"Token {SECRET}"
        assert any(line.startswith("flash_sale_orders,environment=test,instance=host-1 ") for line in write.lines)
        assert times(fake) == sorted(set(times(fake))), "each Snapshot at most once, in order"
        assert sidecar.problem == ""


async def test_influxdb_1_gets_them_with_user_and_password() -> None:
    async with (
        fake_influx() as fake,
        writing(fake.url(), database="sale", username="ann", password=Secret("word")),
    ):
        await eventually(lambda: fake.writes)
        assert (fake.writes[0].path, fake.writes[0].query) == ("/write", {"db": "sale", "precision": "ns"})
        assert fake.writes[0].headers["Authorization"] == "Basic YW5uOndvcmQ="


async def test_numbers_that_have_not_changed_since_are_not_written_again() -> None:
    async with fake_influx() as fake, writing(fake.url(), ticking=False) as sidecar:
        sidecar.latest.publish(snapshot(ts=TS + 1))
        await eventually(lambda: times(fake) == [1])
        sidecar.latest.publish(snapshot(ts=TS + 2))
        await eventually(lambda: times(fake) == [1, 2])
        await asyncio.sleep(5 * INTERVAL)
        assert times(fake) == [1, 2]


async def test_a_standby_writes_nothing() -> None:
    async with fake_influx() as fake, writing(fake.url(), ticking=False) as sidecar:
        sidecar.latest.publish(snapshot(ts=TS + 1))
        await eventually(lambda: times(fake) == [1])
        sidecar.latest.withdraw()
        await asyncio.sleep(3 * INTERVAL)
    assert times(fake) == [1]


async def test_what_fails_for_now_is_sent_again_and_nothing_is_lost_or_out_of_order() -> None:
    async with fake_influx() as fake, writing(fake.url()) as sidecar:
        await eventually(lambda: fake.writes)
        fake.answers = [(503, "later"), (429, "slow down"), (500, '{"error":"timeout"}')]
        first = len(fake.writes)
        with capture_logs() as logs:
            await eventually(lambda: len(fake.writes) > first + 5)
            await eventually(lambda: sidecar.problem == "")
        again = times(fake)[first : first + 4]
        assert len(set(again)) == 1, "the same batch until it was taken"
        assert times(fake) == sorted(times(fake))
        assert [line["event"] for line in logs] == ["InfluxDB is away", "InfluxDB is back"]
        assert sidecar.points("refused") == sidecar.points("dropped") == 0


async def test_what_is_refused_is_dropped_with_the_words_of_the_server() -> None:
    async with fake_influx() as fake:
        fake.answers = [(400, '{"code":"invalid","message":"field type conflict"}')] * 3
        with capture_logs() as logs:
            async with writing(fake.url()) as sidecar:
                await eventually(lambda: sidecar.points("refused") > 0)
                refused, _, _ = sidecar.problem.partition("; ")  # later points may wait by now
                assert refused == f"{fake.url()}: HTTP 400: field type conflict"
                await eventually(lambda: sidecar.points("written") > 0)
                assert sidecar.problem == ""
                assert sidecar.points("refused") == 3 * len(fake.writes[0].lines)
                # Before the stop, which sends again what it interrupted.
                assert times(fake) == sorted(set(times(fake))), "none was sent twice"
        told = [line for line in logs if line["event"] == "InfluxDB refused points"]
        assert len(told) == 1, "one of a kind a minute"
        assert told[0]["detail"].endswith("field type conflict")


async def test_while_it_is_away_points_wait_up_to_a_bound_and_the_oldest_are_dropped(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(output, "BACKLOG_BYTES", 20_000)  # some 30 points: a second
    port = free_port()
    with capture_logs() as logs:
        async with writing(f"http://127.0.0.1:{port}") as sidecar:
            await eventually(lambda: sidecar.points("dropped") > 0)
            assert "Cannot connect" in sidecar.problem
            assert "points wait" in sidecar.problem
            away = sidecar.ticks
            async with fake_influx(port=port) as fake:
                await eventually(lambda: sidecar.problem == "" and max(times(fake), default=0) > away)
                assert times(fake) == sorted(set(times(fake)))
                assert 1 not in times(fake), "the oldest is gone"
                assert min(times(fake)) < away, "the newest of the outage are there"
                told = [line["event"] for line in logs]
    assert told == ["InfluxDB is away", "points dropped", "InfluxDB is back"]


async def test_one_that_takes_a_batch_and_says_nothing_delays_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(output, "ANSWER_SECONDS", 0.3)
    async with fake_influx() as fake:
        fake.silent = True
        async with writing(fake.url()) as sidecar:
            await eventually(lambda: fake.writes)
            before = sidecar.ticks
            await eventually(lambda: "no answer within 0.3 s" in sidecar.problem)
            assert sidecar.ticks > before, "ticks go on while it is waited for"
            assert sidecar.output.component.status == "degraded"
            fake.silent = False
            await eventually(lambda: sidecar.problem == "")
            assert len(set(times(fake))) < len(times(fake)), "what was not answered is sent again"


async def test_the_last_numbers_are_written_when_it_ends() -> None:
    async with fake_influx() as fake, writing(fake.url(), ticking=False, interval=60.0) as sidecar:
        sidecar.latest.publish(snapshot(ts=TS + 1))
        await eventually(lambda: sidecar.points("written") > 0)
        sidecar.latest.publish(snapshot(ts=TS + 9))
    assert times(fake) == [1, 9]


async def test_the_last_numbers_are_written_also_after_a_refusal() -> None:
    async with fake_influx() as fake, writing(fake.url(), ticking=False, interval=60.0) as sidecar:
        fake.answers = [(400, "no")]
        sidecar.latest.publish(snapshot(ts=TS + 1))
        await eventually(lambda: sidecar.problem)
        sidecar.latest.publish(snapshot(ts=TS + 9))
    assert times(fake) == [1, 9]


@pytest.mark.parametrize("known", [False, True], ids=["silent from now on", "away before"])
async def test_an_end_waits_only_shortly_for_one_that_does_not_answer(
    known: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And not at all for one that did not answer before."""
    monkeypatch.setattr(output, "LAST_SECONDS", 2.0 if known else 0.2)
    loop = asyncio.get_running_loop()
    async with fake_influx() as fake:
        with capture_logs() as logs:
            async with writing(fake.url()) as sidecar:
                await eventually(lambda: fake.writes)
                if known:
                    fake.answers = [(503, "")] * 1000
                    await eventually(lambda: sidecar.problem)
                fake.silent, before = True, len(fake.writes)
                await eventually(lambda: len(fake.writes) > before)
                began = loop.time()
            assert loop.time() - began < 1.5
        assert logs[-1]["event"] == "stopped with points not written to InfluxDB"
        assert logs[-1]["points"] > 0


async def test_cancelled_at_any_await_it_leaves_no_task_and_no_connection() -> None:
    async def a_while(output: InfluxOutput) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(3 * INTERVAL):
                await output.run()

    async with fake_influx() as fake:

        async def scenario(interrupt: Interrupt) -> None:
            sidecar = Sidecar(InfluxConfig(url=fake.url(), bucket="b", interval=Seconds(INTERVAL)))
            sidecar.latest.publish(snapshot())
            await interrupt(a_while(sidecar.output))
            await eventually(lambda: not fake.connections, 5, "every connection to be closed")

        assert await sweep(scenario, range(1, 15)) >= 5
    assert fake.writes


async def test_many_products_are_many_batches_of_bounded_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(output, "BATCH_POINTS", 100)
    many = {f"sku-{n}": ProductOrders(success=n) for n in range(250)}
    async with fake_influx() as fake, writing(fake.url(), ticking=False) as sidecar:
        sidecar.latest.publish(snapshot(orders=orders(by_product=many), inventory={}))
        await eventually(lambda: len(fake.writes) == 3)
        assert [len(write.lines) for write in fake.writes[:2]] == [100, 100]
        products = [line for write in fake.writes for line in write.lines if "product_id=" in line]
        assert len(set(products)) == 250


async def test_a_redirect_is_not_followed_with_the_token() -> None:
    async with fake_influx() as elsewhere, fake_influx() as fake:
        fake.answers = [(307, "")] * 1000
        fake.headers = {"Location": elsewhere.url() + "/api/v2/write"}
        async with writing(fake.url()) as sidecar:
            await eventually(lambda: sidecar.points("refused") > 0)
            assert "HTTP 307" in sidecar.problem
        assert elsewhere.writes == []


async def test_cookies_are_not_kept() -> None:
    async with fake_influx() as fake:
        fake.headers = {"Set-Cookie": "session=1"}
        async with writing(fake.url().replace("127.0.0.1", "localhost")):  # of an address none would be kept anyway
            await eventually(lambda: len(fake.writes) >= 2)
            assert "Cookie" not in fake.writes[1].headers


async def test_no_secret_is_told_whatever_goes_wrong() -> None:
    bodies = [(401, f'{{"message":"token {SECRET} is unknown"}}'), (503, SECRET), (500, f"x{SECRET}x")]
    async with fake_influx() as fake:
        fake.answers = bodies * 2
        told: list[str] = []
        with capture_logs() as logs:
            async with writing(fake.url()) as sidecar:

                def all_told() -> bool:
                    told.append(sidecar.problem)
                    return not fake.answers

                await eventually(all_told)
    assert any("is unknown" in str(line) for line in logs)
    assert SECRET not in f"{told} {logs}"


@pytest.mark.needs("openssl")
async def test_over_tls_the_authority_is_the_configured_one(tmp_path: Path) -> None:
    pki = make_pki(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*pki.pair("server"))
    async with fake_influx(tls=context) as fake:
        async with writing(fake.url("https"), ca_file=str(pki.ca)) as sidecar:
            await eventually(lambda: fake.writes)
            assert sidecar.problem == ""
        before = len(fake.writes)
        async with writing(fake.url("https")) as stranger:
            await eventually(lambda: "certificate verify failed" in stranger.problem)
        assert len(fake.writes) == before


def test_an_authority_that_is_none_is_refused_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("no certificate")
    for name in ("ca.pem", "none.pem"):
        with pytest.raises(ConfigError, match=f"influx.ca_file: cannot use .*{name}"):
            Sidecar(InfluxConfig(url="https://127.0.0.1:1", bucket="b", ca_file=str(tmp_path / name)))


async def test_a_replaced_token_file_is_used_for_the_next_write(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("first\n")
    async with fake_influx() as fake, writing(fake.url(), token=Secret("first"), token_file=str(file)):
        await eventually(lambda: fake.writes)
        file.write_text("second\n")
        await eventually(lambda: fake.writes[-1].headers["Authorization"] == "Token second")
    assert fake.writes[0].headers["Authorization"] == "Token first"


def sized(points: int, size: int) -> LineBatch:
    """A batch of so many points and bytes."""
    return LineBatch(b"x" * size, points)


def test_of_what_waits_the_oldest_go_for_the_newest() -> None:
    backlog = Backlog(10)
    sizes = [sized(1, 4), sized(2, 4), sized(4, 4), sized(8, 9)]
    assert [backlog.add(batch) for batch in sizes] == [0, 0, 1, 6]
    assert (backlog.oldest, backlog.points) == (sizes[3], 8)


def test_a_batch_that_alone_is_too_large_is_not_kept() -> None:
    backlog = Backlog(10)
    assert (backlog.add(sized(3, 11)), backlog.add(sized(1, 10))) == (3, 0)


def test_a_batch_that_was_dropped_while_it_was_sent_is_not_removed_again() -> None:
    backlog, first, second = Backlog(10), sized(1, 6), sized(2, 6)
    assert (backlog.add(first), backlog.add(second)) == (0, 1)
    assert not backlog.remove(first)
    assert backlog.remove(second)
    assert (backlog.oldest, backlog.points) == (None, 0)
