"""`sidecar simulate` on a real Redis."""

import json
import re
import signal

import pytest

from sidecar.cli.simulate import BATCH, batches
from sidecar.simulation import SimulatedSale
from tests.cli.commands import execute, invoke, on_terminal, running
from tests.redis_server import RedisServer
from tests.waiting import wait_until


def published(server: RedisServer) -> list[dict[str, object]]:
    """Return the events in the stream."""
    found = [json.loads(line) for line in re.findall(r"\{.*\}", server.ask("XRANGE flash_sale:events - +"))]
    return [{k: v for k, v in event.items() if k not in ("ts", "epoch")} for event in found]


def kinds(events: list[dict[str, object]]) -> set[object]:
    """Return the types of events."""
    return {event.get("type", "order") for event in events}


def test_the_sale_of_a_seed_is_published_whole(redis_server: RedisServer) -> None:
    arguments = ("--rate", "20", "--products", "3", "--seed", "5", "--transport", "stream")
    result = execute("simulate", "--duration", "1", "--idle", "0", *arguments, "--redis-url", redis_server.url)
    assert (result.returncode, result.stderr) == (0, "")
    assert "seed 5" in result.stdout
    expected = [event for _, event in SimulatedSale(seed=5, duration=1, rate=20, products=3)]
    assert published(redis_server) == [{k: v for k, v in e.items() if k not in ("ts", "epoch")} for e in expected]
    accepted = sum(event.get("status") == "pending" for event in expected)
    assert f"{accepted} accepted" in result.stdout


def test_nobody_listening_is_warned_about_and_a_seed_is_chosen(redis_server: RedisServer) -> None:
    result = invoke(
        "simulate", "--duration", "1", "--rate", "5", "--transport", "pubsub", "--redis-url", redis_server.url
    )
    assert result.exit_code == 0
    assert "nobody listened" in result.stderr
    assert re.search(r"seed \d+", result.stdout)


def test_ctrl_c_ends_it_and_says_what_was_published(redis_server: RedisServer) -> None:
    arguments = ("--duration", "60", "--transport", "stream", "--redis-url", redis_server.url)
    with running("simulate", *arguments) as simulation:
        wait_until(lambda: redis_server.ask("XLEN flash_sale:events") != ":0\r\n", 10, "the first event")
        assert simulation.end(signal.SIGINT, 2) == 0
        assert simulation.err == []
        assert simulation.out[0].startswith("Interrupted: published ")


@pytest.mark.parametrize("arguments", [(), ("--idle", "60")])
def test_after_the_sale_the_backend_goes_on_without_orders(
    redis_server: RedisServer, arguments: tuple[str, ...]
) -> None:
    """By default as long as the sale; Ctrl-C ends it before, and nothing was interrupted then."""
    common = ("--duration", "2", "--rate", "20", "--seed", "5", "--transport", "stream")
    with running("simulate", *common, *arguments, "--redis-url", redis_server.url) as simulation:
        wait_until(lambda: any(line.startswith("The sale is over: ") for line in simulation.out), 10, "the end")
        orders = [event for event in published(redis_server) if "status" in event]
        before = len(published(redis_server))
        wait_until(lambda: kinds(published(redis_server)[before:]) >= {"heartbeat", "queue"}, 5, "what comes after it")
        if arguments:
            assert simulation.end(signal.SIGINT, 2) == 0
        else:
            assert simulation.process.wait(10) == 0
        wait_until(lambda: any(line.startswith("Published ") for line in simulation.out), 5, "the last lines")
        assert simulation.err == []
    assert [event for event in published(redis_server) if "status" in event] == orders


def test_an_outage_of_redis_is_outlived_and_told_and_nothing_is_lost(redis_server: RedisServer) -> None:
    """As with a backend that has an outbox: what was not taken is sent again."""
    arguments = ("--duration", "5", "--idle", "0", "--rate", "40", "--seed", "5", "--transport", "stream")
    with running("simulate", *arguments, "--redis-url", redis_server.url) as simulation:
        wait_until(lambda: redis_server.ask("XLEN flash_sale:events") != ":0\r\n", 10, "the first event")
        redis_server.freeze()
        try:
            wait_until(lambda: simulation.err, 10, "the warning")
        finally:
            redis_server.thaw()
        assert simulation.process.wait(30) == 0
        assert "publishing continues when it is back" in simulation.err[0]
    expected = {(event["producer"], event["seq"]) for _, event in SimulatedSale(seed=5, duration=5, rate=40)}
    assert {(event["producer"], event["seq"]) for event in published(redis_server)} == expected


def test_batches_hold_every_event_once_in_order_and_are_bounded() -> None:
    sale = SimulatedSale(seed=1, rate=3000, duration=2)
    found = list(batches(sale))
    assert [event for _, events in found for event in events] == [event for _, event in sale]
    assert max(len(events) for _, events in found) <= BATCH
    ends = [end for end, _ in found]
    assert ends == sorted(ends)


def test_on_a_terminal_a_bar_comes_and_goes(redis_server: RedisServer) -> None:
    with on_terminal("simulate", "--duration", "2", "--redis-url", redis_server.url) as terminal:
        terminal.wait_for(" orders, ")
        terminal.wait_for("Published ")
        assert terminal.process.wait(5) == 0
