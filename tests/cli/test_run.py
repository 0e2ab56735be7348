"""`sidecar run` for real: processes, signals, and the commands that ask a running daemon."""

import asyncio
import importlib
import json
import signal
import socket
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from sidecar.cli.client import readers
from sidecar.cli.run import INTERRUPTED, serve
from sidecar.config import Config, RedisConfig
from sidecar.process import tuning
from tests.cli.commands import Running, execute, invoke, running
from tests.conftest import StartRedis
from tests.redis_server import RedisServer
from tests.waiting import wait_until

ANY_PORTS = ("--http", "127.0.0.1:0", "--ws", "127.0.0.1:0")
EVENT = '{"status":"success","product_id":"sku-1","latency_ms":12}'
TOKEN = "secret"


@contextmanager
def daemon(*arguments: str, **environment: str) -> Iterator[tuple[Running, str]]:
    """Run a daemon on free ports; yield it and its URL once it listens."""
    with running("run", *ANY_PORTS, *arguments, **environment) as process:
        yield process, process.wait_for_log("listening")["http"]


def total(url: str) -> int:
    """Return the orders a daemon has counted; 0 before it shows any."""
    result = invoke("report", "--json", "--url", url)
    return int(json.loads(result.stdout)["orders"]["total"]) if result.exit_code == 0 else 0


def count_one(server: RedisServer, url: str, expected: int = 1) -> None:
    """Publish an order through the stream and wait until it is counted."""
    assert invoke("publish", EVENT, "--transport", "stream", "--redis-url", server.url).exit_code == 0
    wait_until(lambda: total(url) == expected, 10, "the order counted")


async def test_a_service_that_has_the_process_to_itself_handles_the_exceptions_of_its_loop(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tuning, "tune", lambda: None)
    handlers: list[object] = []

    class Service:
        def loop_exceptions(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None: ...

        async def run(self, stop: asyncio.Event, *, started: Callable[[], None]) -> None:
            handlers.append(asyncio.get_running_loop().get_exception_handler())
            started()

    service: Any = Service()
    await serve(service, asyncio.Event(), started=lambda: handlers.append("started"))
    assert handlers == [service.loop_exceptions, "started"]


def test_it_counts_and_the_commands_show_the_same_from_the_daemon_and_from_redis(redis_server: RedisServer) -> None:
    with daemon("--redis-url", redis_server.url, "--instance", "here") as (process, url):
        count_one(redis_server, url)
        assert "sku-1" in invoke("report", "--url", url).stdout
        assert "here" in invoke("top", "--once", "--url", url).stdout
        assert "sku-1" in invoke("report", "--redis-url", redis_server.url).stdout
        assert invoke("report", "--markdown", "--url", url).stdout.startswith("# Flash sale report: here")
        checked = invoke("check", "--redis-url", redis_server.url)
        assert checked.exit_code == 0
        assert "warning" not in checked.stdout
        assert "a sidecar counts under the prefix" in checked.stdout
        heard = invoke("publish", EVENT, "--transport", "pubsub", "--redis-url", redis_server.url).stdout
        assert "heard by 1 subscriber" in heard
        assert process.end() == 0


def test_a_check_beside_a_daemon_loses_nothing_and_counts_nothing(redis_server: RedisServer) -> None:
    with daemon("--redis-url", redis_server.url) as (_, url):
        for _ in range(3):
            assert invoke("check", "--redis-url", redis_server.url).exit_code == 0
        count_one(redis_server, url)
        completeness = json.loads(invoke("report", "--json", "--url", url).stdout)["completeness"]
        assert (completeness["received"], completeness["missed"], completeness["invalid"]) == (1, 0, 0)


def test_refused_events_are_shown_by_rejected(redis_server: RedisServer) -> None:
    with daemon("--redis-url", redis_server.url):
        invoke("publish", "nonsense", "--force", "--transport", "stream", "--redis-url", redis_server.url)
        wait_until(lambda: "nonsense" in invoke("rejected", "--redis-url", redis_server.url).stdout, 10)


def test_clear_answers_after_the_daemon_shows_it(redis_server: RedisServer) -> None:
    with daemon("--redis-url", redis_server.url, SIDECAR_HTTP_ADMIN_TOKEN=TOKEN) as (_, url):
        count_one(redis_server, url)
        assert invoke("clear", "--yes", "--redis-url", redis_server.url).stdout.startswith("Cleared: 1 success")
        wait_until(lambda: total(url) == 0, 2, "the cleared report")
        count_one(redis_server, url)
        refused = invoke("clear", "--yes", "--url", url)
        assert refused.exit_code == 1
        assert "SIDECAR_HTTP_ADMIN_TOKEN" in refused.stderr
        cleared = invoke("clear", "--yes", "--url", url, SIDECAR_HTTP_ADMIN_TOKEN=TOKEN)
        assert cleared.stdout.startswith("Cleared: 1 success")


def test_a_custom_metric_is_cleared_alone_from_redis_and_over_http(redis_server: RedisServer, tmp_path: Path) -> None:
    file = tmp_path / "sidecar.yml"
    file.write_text("custom_metrics: [{name: shop_total, type: counter}]\n")

    def shown(url: str) -> list[float]:
        with urllib.request.urlopen(f"{url}/monitoring/metrics") as response:
            found = json.load(response)
        return [found["orders"]["total"], found["custom"]["shop_total"]["series"][0]["value"]]

    where = ("--redis-url", redis_server.url, "--config", str(file))
    with daemon(*where, SIDECAR_HTTP_ADMIN_TOKEN=TOKEN) as (_, url):
        count_one(redis_server, url)
        assert shown(url) == [1, 1]
        assert invoke("clear", "--yes", "--metric", "shop_total", *where).stdout == "Cleared: shop_total.\n"
        wait_until(lambda: shown(url) == [1, 0], 2, "the cleared metric")
        invoke("publish", EVENT, "--redis-url", redis_server.url)
        wait_until(lambda: shown(url) == [2, 1], 5, "the next order")
        over_http = ("clear", "--yes", "--url", url, "--metric")
        cleared = invoke(*over_http, "shop_total", SIDECAR_HTTP_ADMIN_TOKEN=TOKEN)
        assert (cleared.stdout, shown(url)) == ("Cleared: shop_total.\n", [2, 0])
        unknown = invoke(*over_http, "shop_orders_total", SIDECAR_HTTP_ADMIN_TOKEN=TOKEN)
        assert unknown.exit_code == 1
        assert "nothing is stored of a custom metric 'shop_orders_total'" in unknown.stderr


def test_without_an_admin_token_clear_over_http_names_the_other_way(redis_server: RedisServer) -> None:
    with daemon("--redis-url", redis_server.url) as (_, url):
        result = invoke("clear", "--yes", "--url", url)
        assert result.exit_code == 1
        assert "sidecar clear" in result.stderr


def test_clear_without_flags_clears_only_what_the_daemon_there_counts(
    redis_server: RedisServer, start_redis: StartRedis, monkeypatch: pytest.MonkeyPatch
) -> None:
    other, clear = start_redis(), importlib.import_module("sidecar.cli.clear")
    with daemon("--redis-url", redis_server.url) as (_, url), daemon("--redis-url", other.url) as (_, there):
        count_one(redis_server, url)
        count_one(other, there)
        monkeypatch.setattr(clear, "DEFAULT_URL", there)
        monkeypatch.setattr(clear.Where, "config", lambda _: Config(redis=RedisConfig(url=redis_server.url)))
        refused = invoke("clear", "--yes")
        assert refused.exit_code == 1
        assert f"the daemon at {there} has counted since" in refused.stderr
        assert total(url) == 1
        monkeypatch.setattr(clear, "DEFAULT_URL", url)
        assert invoke("clear", "--yes").stdout == "Cleared: 1 success, 0 failed, 0 accepted, 0 cancelled.\n"


def test_rejected_asks_the_daemon_as_report_does(redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
    with daemon("--redis-url", redis_server.url) as (_, url):
        invoke("publish", "nonsense", "--force", "--redis-url", redis_server.url)
        monkeypatch.setattr(readers, "DEFAULT_URL", url)
        wait_until(lambda: "nonsense" in invoke("rejected").stdout, 10)


@pytest.mark.parametrize("named", [True, False])
def test_the_first_line_names_the_configuration_in_force(
    named: bool, redis_server: RedisServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "config" / "sidecar.yml"
    file.parent.mkdir()
    file.write_text("fleet: shops\n")
    flags = ("--config", str(file)) if named else ()
    with daemon("--redis-url", redis_server.url, *flags) as (process, _):
        configuration = process.wait_for_log("listening")["configuration"]
    unread = "no file; config/sidecar.yml is read with --config config/sidecar.yml"
    assert configuration == (str(file) if named else unread)


def test_an_export_after_a_clear_says_when_it_was(redis_server: RedisServer) -> None:
    with daemon("--redis-url", redis_server.url) as (_, url):
        count_one(redis_server, url)
        before = int(time.time()) - 3
        invoke("clear", "--yes", "--redis-url", redis_server.url)
        for where in (("--url", url), ("--redis-url", redis_server.url)):
            result = invoke("export", "--from", str(before - 5), "--to", str(before), *where)
            assert "counting began, or was cleared, at 20" in result.stderr


def test_a_read_token_is_asked_for_and_taken_from_the_environment(redis_server: RedisServer) -> None:
    with daemon("--redis-url", redis_server.url, SIDECAR_HTTP_READ_TOKEN=TOKEN) as (_, url):
        wait_until(lambda: invoke("report", "--url", url, SIDECAR_HTTP_READ_TOKEN=TOKEN).exit_code == 0, 10)
        refused = invoke("report", "--url", url)
        assert refused.exit_code == 1
        assert "SIDECAR_HTTP_READ_TOKEN" in refused.stderr
        assert TOKEN not in refused.output


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_it_within_two_seconds_with_everything_committed(number: int, redis_server: RedisServer) -> None:
    with daemon("--redis-url", redis_server.url) as (process, url):
        count_one(redis_server, url)
        invoke("publish", EVENT, "--transport", "stream", "--redis-url", redis_server.url)
        began = time.monotonic()
        assert process.end(number) == 0
        assert time.monotonic() - began < 2
        assert "Traceback" not in "".join(process.err)


def test_a_stop_before_redis_was_ever_there_is_quick() -> None:
    with daemon("--redis-url", "redis://127.0.0.1:1/0") as (process, _):
        began = time.monotonic()
        process.end()
        assert time.monotonic() - began < 2
        assert "Traceback" not in "".join(process.err)


def test_a_second_ctrl_c_ends_it_at_once_where_the_first_waits_for_redis(redis_server: RedisServer) -> None:
    with daemon("--redis-url", redis_server.url) as (process, url):
        count_one(redis_server, url)
        redis_server.freeze()
        process.process.send_signal(signal.SIGINT)
        process.wait_for_log("source not read to its end")
        assert process.end(signal.SIGINT, seconds=2) == INTERRUPTED
        assert "Traceback" not in "".join(process.err)


def test_a_port_in_use_is_status_1_and_names_the_setting(redis_server: RedisServer) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        result = execute("run", "--http", address, "--ws", "127.0.0.1:0", "--redis-url", redis_server.url)
    assert result.returncode == 1
    assert "http.listen" in result.stderr
    assert "Traceback" not in result.stderr


def test_hangup_reads_the_file_again_and_a_bad_file_changes_nothing(redis_server: RedisServer, tmp_path: Path) -> None:
    file = tmp_path / "sidecar.yml"
    file.write_text("products: [a]\n")
    with daemon("--redis-url", redis_server.url, "--config", str(file)) as (process, url):
        file.write_text("products: [a, b]\ncommit_interval: 250ms\nlog: {level: debug}\n")
        process.process.send_signal(signal.SIGHUP)
        reloaded = process.wait_for_log("configuration reloaded")
        assert sorted(reloaded["applied"]) == ["log.level", "products"]
        assert reloaded["needs_restart"] == ["commit_interval"]
        file.write_text("prodcts: []\n")
        process.process.send_signal(signal.SIGHUP)
        kept = process.wait_for_log("configuration not reloaded, the running one stays")
        assert "prodcts" in kept["error"]
        wait_until(lambda: '"b"' in invoke("report", "--json", "--url", url).stdout, 10, "the new product")
        assert process.end() == 0


def test_an_embedded_redis_lives_and_ends_with_the_daemon() -> None:
    with daemon("--embedded-redis") as (process, url):
        redis_url = process.wait_for_log("listening")["redis"]
        assert invoke("publish", EVENT, "--transport", "stream", "--redis-url", redis_url).exit_code == 0
        wait_until(lambda: total(url) == 1, 10, "the order counted")
        assert process.end() == 0
        assert invoke("publish", EVENT, "--redis-url", redis_url).exit_code == 1


def test_an_embedded_redis_and_another_exclude_each_other() -> None:
    assert invoke("run", "--embedded-redis", "--redis-url", "redis://127.0.0.1:1").exit_code == 2
