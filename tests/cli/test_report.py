"""`sidecar report`, `top` and `rejected` from what is stored in Redis; the daemon's answers are in test_run."""

import json
import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from typing import Any

import msgspec
import pytest

from sidecar.core.commit.aggregator import Aggregator
from sidecar.core.counts.rules import Rules
from sidecar.core.events.batch import Batch
from sidecar.simulation import SimulatedSale
from tests.cli.client.test_readers import answering as answers
from tests.cli.commands import invoke
from tests.cli.sales import PREFIX, SOURCE, counted, keep
from tests.redis_server import RedisServer

SECONDS = 12


@pytest.fixture
def sold(redis_server: RedisServer) -> RedisServer:
    """A Redis with the first seconds of a sale that still runs."""
    sale = SimulatedSale(seed=3, rate=40, duration=20, start=time.time() - SECONDS)
    keep(redis_server, counted(sale, until=SECONDS))
    return redis_server


def test_the_json_report_is_the_benchmark_document(sold: RedisServer) -> None:
    result = invoke("report", "--json", "--redis-url", sold.url)
    document = json.loads(result.stdout)
    assert result.exit_code == 0
    assert {"until", "duration_s", "average_per_second", "orders", "latency_ms"} <= document.keys()
    success, failed = (document["orders"]["by_status"][name] for name in ("success", "failed"))
    assert document["orders"]["total"] == success + failed > 100
    assert document["completeness"]["ratio"] == 1.0


def test_the_table_holds_the_same_numbers_and_no_colour_when_piped(sold: RedisServer) -> None:
    document = json.loads(invoke("report", "--json", "--redis-url", sold.url).stdout)
    text = invoke("report", "--redis-url", sold.url).stdout
    assert "\x1b" not in text
    assert f"{document['orders']['by_status']['success']:,}" in text
    assert "aurora-sneaker" in text
    assert "sold_out" in text
    assert "completeness 100 %" in text
    assert " EUR" in text


def test_the_markdown_report_is_markdown(sold: RedisServer) -> None:
    assert invoke("report", "--markdown", "--redis-url", sold.url).stdout.startswith("# Flash sale report")


def test_names_with_brackets_are_shown_as_they_are(redis_server: RedisServer) -> None:
    now = time.time()
    aggregator = Aggregator(Rules(), random.Random(0))
    events = [
        {"status": "failed", "reason": "[/x]boom", "product_id": "[red]p"},
        {"type": "queue", "queue": "[/q]", "waiting": 1},
    ]
    aggregator.apply(
        Batch(source=SOURCE, payloads=list(map(msgspec.json.encode, events)), arrivals=[now] * len(events)), now
    )
    aggregator.land(aggregator.freeze(now), now)
    keep(redis_server, aggregator)
    result = invoke("report", "--redis-url", redis_server.url)
    assert result.exit_code == 0, result.output
    assert all(name in result.stdout for name in ("[/x]boom", "[red]p", "[/q]"))


def test_json_and_markdown_exclude_each_other() -> None:
    assert invoke("report", "--json", "--markdown").exit_code == 2


def test_top_piped_shows_one_view_and_ends(sold: RedisServer) -> None:
    result = invoke("top", "--redis-url", sold.url)
    assert result.exit_code == 0
    assert "\x1b" not in result.stdout
    for part in ("orders / s", "latency 10s", "queue orders", "aurora-sneaker", "completeness 100 %", "sell out"):
        assert part in result.stdout


def test_a_prefix_without_a_sidecar_is_an_error_that_names_it(sold: RedisServer) -> None:
    result = invoke("report", "--redis-url", sold.url, "--prefix", "other:")
    assert result.exit_code == 1
    assert "other:" in result.stderr


def test_a_name_from_outside_cannot_steer_the_terminal(redis_server: RedisServer) -> None:
    class Evil(SimulatedSale, frozen=True, kw_only=True):
        def __iter__(self):  # type: ignore[no-untyped-def]
            yield 0.0, {"status": "success", "product_id": "\x1b[2J[red]x", "ts": self.start}

    keep(redis_server, counted(Evil(seed=1, start=time.time() - 2), until=1))
    for command in ("report", "top"):
        text = invoke(command, "--redis-url", redis_server.url).stdout
        assert "\x1b" not in text
        assert "?[2J[red]x" in text


def test_nothing_refused_is_said(sold: RedisServer) -> None:
    assert invoke("rejected", "--redis-url", sold.url).stdout == "No event was rejected lately.\n"


def test_without_any_sidecar_rejected_fails_instead_of_showing_nothing(redis_server: RedisServer) -> None:
    result = invoke("rejected", "--redis-url", redis_server.url)
    assert (result.exit_code, "nothing is stored under" in result.stderr) == (1, True)


def test_refused_events_are_shown_newest_first(redis_server: RedisServer) -> None:
    for number in (1, 2, 3):
        entry = json.dumps(
            {
                "time": 1_790_000_000 + number,
                "source": "stream:s",
                "reason": "not_json",
                "detail": "d",
                "payload": f"p{number}",
            }
        )
        redis_server.ask(f"LPUSH {PREFIX}rejected '{entry}'")
    shown = invoke("rejected", "--limit", "2", "--redis-url", redis_server.url).stdout
    assert shown.index("p3") < shown.index("p2")
    assert "p1" not in shown
    assert "2026-09-21 14:13:23 UTC  stream:s  not_json  d\n" in shown
    documents = invoke("rejected", "--json", "--redis-url", redis_server.url).stdout.splitlines()
    assert [json.loads(line)["payload"] for line in documents] == ["p3", "p2", "p1"]


def test_a_refused_payload_cannot_steer_the_terminal(redis_server: RedisServer) -> None:
    entry = json.dumps({"time": 1.0, "source": "s", "reason": "not_json", "detail": "d", "payload": "\x9b2J\u202e\x7f"})
    redis_server.ask(f"LPUSH {PREFIX}rejected '{entry}'")
    for options in ((), ("--json",)):
        shown = invoke("rejected", *options, "--redis-url", redis_server.url).stdout
        assert shown.replace("\n", "").isprintable(), shown


@pytest.mark.parametrize("flags", [(), ("--markdown",)])
@pytest.mark.parametrize("place", [("revenue", "EUR"), ("refusals",), ("per_second", "peak")])
def test_a_false_daemon_cannot_steer_the_terminal(
    place: tuple[str, ...], flags: tuple[str, ...], sold: RedisServer
) -> None:
    answer = json.loads(invoke("report", "--json", "--redis-url", sold.url).stdout)
    part = answer["orders"]
    for name in place[:-1]:
        part = part[name]
    part[place[-1]] = "\x1b[2J"
    with answering(answer) as url:
        assert "\x1b" not in invoke("report", *flags, "--url", url).output


@pytest.mark.parametrize("flags", [(), ("--markdown",), ("--json",)])
def test_a_report_of_an_older_daemon_is_printed(flags: tuple[str, ...], sold: RedisServer) -> None:
    answer = json.loads(invoke("report", "--json", "--redis-url", sold.url).stdout)
    del answer["sale"], answer["completeness"]["producers"], answer["completeness"]["repeats"]
    with answering(answer) as url:
        shown = invoke("report", *flags, "--url", url)
    assert (shown.exit_code, "aurora-sneaker" in shown.output) == (0, True)


@contextmanager
def answering(document: Any) -> Iterator[str]:
    """Answer every GET with this JSON; yield the URL."""

    def answer(request: BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.end_headers()
        request.wfile.write(json.dumps(document).encode())

    with answers(answer) as url:
        yield url
