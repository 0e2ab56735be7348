"""`sidecar sale`, with and without a daemon."""

import json
import time

import pytest

from sidecar.simulation import SimulatedSale
from tests.cli.commands import invoke
from tests.cli.sales import counted, keep
from tests.cli.test_run import TOKEN, daemon, total
from tests.redis_server import RedisServer
from tests.waiting import wait_until


@pytest.fixture
def sold(redis_server: RedisServer) -> RedisServer:
    """A Redis with a short sale, counted."""
    keep(redis_server, counted(SimulatedSale(seed=3, rate=20, duration=3, start=time.time() - 5), until=5))
    return redis_server


def test_where_no_sidecar_counts_the_next_one_takes_it(sold: RedisServer) -> None:
    found = invoke("sale", "stop", "--redis-url", sold.url)
    assert found.exit_code == 0, found.output
    assert "No sidecar counts" in found.stdout
    with daemon("--redis-url", sold.url) as (_, url):
        wait_until(lambda: total(url) > 0, 10, "the daemon")
        found = invoke("sale", "start", "drop", "--redis-url", sold.url)
        assert found.stdout.startswith("The sale drop runs, since 20"), found.output
        shown = json.loads(invoke("report", "--json", "--url", url).stdout)["sale"]
        assert (shown["id"], shown["state"], shown["started_by"]) == ("drop", "running", "command")


def test_a_daemon_is_told_in_its_redis_or_over_http(redis_server: RedisServer) -> None:
    with daemon("--redis-url", redis_server.url, SIDECAR_HTTP_ADMIN_TOKEN=TOKEN) as (_, url):
        wait_until(lambda: invoke("report", "--url", url).exit_code == 0, 10, "the daemon")
        nothing = invoke("sale", "stop", "--redis-url", redis_server.url)
        assert (nothing.exit_code, "there is no sale to stop" in nothing.stderr) == (1, True)
        assert invoke("sale", "start", "drop", "--redis-url", redis_server.url).exit_code == 0
        refused = invoke("sale", "stop", "--url", url)
        assert (refused.exit_code, "token" in refused.stderr) == (1, True)
        wrong = invoke("sale", "stop", "other", "--url", url, SIDECAR_HTTP_ADMIN_TOKEN=TOKEN)
        assert (wrong.exit_code, "the sale is drop: stop it as drop" in wrong.stderr) == (1, True)
        found = invoke("sale", "stop", "current", "--url", url, SIDECAR_HTTP_ADMIN_TOKEN=TOKEN)
        assert found.stdout.startswith("The sale drop is over: "), found.output


def test_an_id_that_does_not_fit_is_wrong_usage() -> None:
    found = invoke("sale", "start", "Drop 1", "--redis-url", "redis://127.0.0.1:1")
    assert (found.exit_code, "at most 63 characters" in found.stderr) == (2, True)
