"""`sidecar clear` without a daemon; with one, see test_run."""

import json
import time

import pytest

from sidecar.simulation import SimulatedSale
from tests.cli.commands import invoke
from tests.cli.sales import PREFIX, counted, keep
from tests.redis_server import RedisServer


@pytest.fixture
def sold(redis_server: RedisServer) -> RedisServer:
    """A Redis with a short sale, counted, and a key of somebody else."""
    keep(redis_server, counted(SimulatedSale(seed=3, rate=20, duration=3, start=time.time() - 5), until=5))
    redis_server.ask(f"SET {PREFIX}order_status:success 5", "SET flash_sale:other 1")
    return redis_server


def test_it_says_what_was_cleared_and_leaves_what_is_not_ours(sold: RedisServer) -> None:
    result = invoke("clear", "--yes", "--redis-url", sold.url)
    assert result.exit_code == 0
    assert result.stdout.startswith("Cleared: ")
    assert not result.stdout.startswith("Cleared: 0 success")
    assert sold.ask(f"EXISTS {PREFIX}order_status:success", "EXISTS flash_sale:other") == ":0\r\n:1\r\n"
    assert invoke("clear", "--yes", "--redis-url", sold.url).stdout.startswith("Cleared: 0 success, 0 failed")


def test_the_report_after_it_shows_that_nothing_happened_since(sold: RedisServer) -> None:
    invoke("clear", "--yes", "--redis-url", sold.url)
    shown = json.loads(invoke("report", "--json", "--redis-url", sold.url).stdout)
    assert (shown["orders"]["total"], shown["since"]) == (0, pytest.approx(time.time(), abs=60))


@pytest.mark.parametrize("answer", ["n\n", "\n", ""])
def test_it_asks_first_and_no_answer_is_a_no(answer: str, sold: RedisServer) -> None:
    result = invoke("clear", "--redis-url", sold.url, text=answer)
    assert result.exit_code == 1
    assert sold.ask(f"EXISTS {PREFIX}order_status:success") == ":1\r\n"


def test_a_yes_clears(sold: RedisServer) -> None:
    result = invoke("clear", "--redis-url", sold.url, text="y\n")
    assert result.exit_code == 0
    assert sold.ask(f"EXISTS {PREFIX}order_status:success") == ":0\r\n"


def test_a_wrong_prefix_is_said_and_nothing_is_written(sold: RedisServer) -> None:
    result = invoke("clear", "--yes", "--redis-url", sold.url, "--prefix", "wrong:")
    assert result.exit_code == 1
    assert "nothing is stored under 'wrong:'" in result.output
    assert sold.ask("EXISTS wrong:checkpoint") == ":0\r\n"
