"""`sidecar top` on a terminal; piped, see test_report."""

import json
import re
from http.server import BaseHTTPRequestHandler
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace
from rich.console import Console

from sidecar.cli.client.alertmanager import Alert, Alerts
from sidecar.cli.client.answers import HealthAnswer
from sidecar.cli.top import View
from sidecar.cli.view.keys import read_keys
from sidecar.cli.view.tables import by_urgency
from sidecar.core.snapshot.snapshot import Orders, Snapshot
from tests.cli.client.test_readers import answering
from tests.cli.commands import invoke, on_terminal
from tests.cli.test_run import count_one, daemon
from tests.conftest import StartRedis
from tests.exposition.snapshots import TS, snapshot
from tests.ports import free_port
from tests.redis_server import RedisServer
from tests.waiting import wait_until

LEAVE_FULL_SCREEN = "\x1b[?1049l"


def document(**stock: tuple[int, float | None]) -> dict[str, Any]:
    """Return a snapshot with products of this stock, which sell out in so many seconds."""
    found: dict[str, Any] = msgspec.to_builtins(snapshot().public())
    sold = {"success": 5, "failed": 0, "pending": 5, "cancelled": 0, "units": 5}
    found["orders"]["by_product"] = {name: dict(sold) for name in stock}
    found["inventory"] = {
        name: {"stock": left, "depletion_per_second": 1.0, "sell_out_in_s": time}
        for name, (left, time) in stock.items()
    }
    return found


def taken(document: dict[str, Any]) -> Snapshot:
    """Return the snapshot as it is read from the answer of a daemon."""
    return msgspec.convert(document, Snapshot)


def many(number: int) -> dict[str, Any]:
    """Return a snapshot with so many products, in the order of their names."""
    return document(**{f"product-{index:03}": (100, float(index)) for index in range(number)})


def screen(view: View, width: int, height: int) -> list[str]:
    """Return the lines that a terminal shows."""
    console = Console(width=width, height=height, highlight=False, force_terminal=True, color_system=None)
    with console.capture() as captured:
        console.print(view.drawn(width, height))
    return captured.get().splitlines()


def test_products_are_in_the_order_in_which_they_sell_out_with_sold_out_ones_last() -> None:
    shown = document(gone=(0, None), slow=(9, 90.0), oversold=(-2, None), unknown=(7, None), next=(3, 4.0))
    assert by_urgency(taken(shown)) == ["next", "slow", "unknown", "oversold", "gone"]


@pytest.mark.parametrize(
    ("refused", "ignored", "share", "told"),
    [
        (
            9,
            0,
            0.9,
            "90.0 % of the last minute is not understood, most rejected as not_json (payload: it is empty)",
        ),
        (0, 5, 0.5, "50.0 % of the last minute is not understood, most ignored as type cart"),
        (0, 4, 0.4, None),
    ],
)
def test_a_source_that_is_mostly_not_understood_is_named(refused: int, ignored: int, share: float, told: str) -> None:
    shown = many(1)
    shown["completeness"]["not_understood"] = {
        "pubsub:x": {
            **{"share": share, "received": 10, "refused": refused, "ignored": ignored, "example": ""},
            **{"reason": "not_json", "type": "cart", "detail": "payload: it is empty"},
        }
    }
    lines = screen(View(taken(shown)), 120, 24)
    assert [line.strip() for line in lines if "not understood" in line] == ([f"pubsub:x: {told}"] if told else [])
    assert len(lines) <= 24


@pytest.mark.parametrize(("width", "height"), [(80, 24), (60, 24), (60, 15), (120, 50), (200, 34)])
def test_the_view_fits_the_screen_and_shows_the_product_that_it_warns_of(width: int, height: int) -> None:
    lines = screen(View(taken(many(100)), keyed=True), width, height)
    assert len(lines) <= height
    assert all(len(line) <= width for line in lines)
    assert any(line.startswith("next to sell out: product-000") for line in lines)
    assert any(line.startswith("product-000 ") for line in lines)
    assert lines[-1].startswith("1 to ") and "of 100 products" in lines[-1] and "q quits" in lines[-1]


def troubled() -> View:
    """Return a view of a sale in which everything is wrong."""
    shown = many(100)
    shown["sale"] = {"id": "friday", "state": "running", "started_at": shown["ts"] - 192, "ended_at": None}
    shown["orders"]["failed_by_reason"] = {f"reason_{n}_of_the_backend": n for n in range(1, 9)}
    shown["completeness"]["producers"] = {"alive": 3, "silent": 9}
    shown["completeness"]["by_producer"] = {
        f"api-{n}": {"received": 1, "state": "silent", "last_seen": shown["ts"] - n} for n in range(1, 10)
    }
    parts = {f"stream:{n}": {"status": "degraded", "detail": f"words of {n} " * 20} for n in range(9)}
    parts["redis"] = {"status": "down", "detail": "it is gone"}
    health = msgspec.convert({"status": "down", "components": parts}, HealthAnswer)
    alerts = Alerts(tuple(Alert(f"Alert{n}", "critical", 1, 0.0, "something " * 20) for n in range(9)))
    return View(taken(shown), health, alerts, keyed=True, problem="no daemon answers")


@pytest.mark.parametrize(("width", "height"), [(80, 24), (60, 24), (60, 18), (120, 50), (80, 34), (200, 34)])
def test_the_view_fits_the_screen_when_everything_is_wrong(width: int, height: int) -> None:
    lines = screen(troubled(), width, height)
    assert len(lines) <= height
    assert all(len(line) <= width for line in lines)
    assert " down" in lines[0]
    assert lines[1] == "no daemon answers"
    assert any(line.startswith("critical Alert0, ") for line in lines)
    assert any(line.startswith("product-002 ") for line in lines)
    assert any(line.startswith("… and ") for line in lines)
    assert lines[-1].startswith("1 to ")


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({}, "sale running for 3 min 12 s"),
        ({"id": "black-friday"}, "sale black-friday running for 3 min 12 s"),
        ({"state": "ended", "ended_back": 20}, "sale over for 20 s, lasted 2 min 52 s"),
        ({"state": "none", "started_back": None}, None),
    ],
)
def test_the_sale_is_told_by_its_name_and_how_long_it_lasts(changes: dict[str, Any], told: str | None) -> None:
    shown = many(1)
    back = {"started": changes.get("started_back", 192), "ended": changes.get("ended_back")}
    shown["sale"] = {"id": changes.get("id"), "state": changes.get("state", "running")} | {
        f"{name}_at": None if ago is None else shown["ts"] - ago for name, ago in back.items()
    }
    assert [line for line in screen(View(taken(shown)), 80, 24) if line.startswith("sale")] == ([told] if told else [])


def test_silent_producers_are_named_the_one_that_fell_silent_last_first() -> None:
    shown = many(1)
    shown["completeness"]["producers"] = {"alive": 2, "silent": 2}
    shown["completeness"]["by_producer"] = {
        "api-1": {"state": "silent", "last_seen": shown["ts"] - 95},
        "api-2": {"state": "alive", "last_seen": shown["ts"]},
        "api-3": {"state": "silent", "last_seen": shown["ts"] - 12},
        "batch": {"state": None, "last_seen": None},
    }
    told = "producers 2 alive, 2 silent: api-3 for 12 s, api-1 for 1 min 35 s"
    assert told in screen(View(taken(shown)), 80, 24)


@pytest.mark.parametrize("unknown", ["sale", "producers"])
def test_of_an_older_daemon_nothing_is_shown_that_it_does_not_know(unknown: str) -> None:
    shown = many(1)
    shown.pop("sale", None)
    shown["completeness"].pop("producers", None)
    shown["completeness"]["by_producer"] = {"api-1": {"received": 3, "missed": 0, "duplicates": 0}}
    lines = screen(View(taken(shown)), 80, 24)
    assert lines[0].startswith("host-1 active  3/s now")
    assert not any(unknown in line for line in lines)


def test_why_orders_fail_is_told_of_the_last_seconds_and_before_there_were_any_of_all() -> None:
    def failed(**reasons: int) -> Orders:
        return replace(snapshot().orders, failed_by_reason=reasons)

    view = View(snapshot(orders=failed(sold_out=60, timeout=20)))
    assert "failures 80 in all: timeout 25 % · sold_out 75 %" in screen(view, 80, 24)
    view.snapshot = snapshot(ts=TS + 9, orders=failed(sold_out=61, timeout=20, provider_error=299))
    assert "failures 300 in 9 s: provider_error 100 % · sold_out <1 %" in screen(view, 80, 24)


def test_no_failures_are_told() -> None:
    shown = many(1)
    shown["orders"]["failed_by_reason"] = {}
    assert "failures none" in screen(View(taken(shown)), 80, 24)


@pytest.mark.parametrize("width", [60, 80])
def test_labels_are_never_cut(width: int) -> None:
    lines = screen(View(taken(many(9))), width, 24)
    for label in ("orders / s", "error rate", "fault rate", "latency 10s", "sells out in", "product-008"):
        assert any(label in line for line in lines), label
    assert sum(line.startswith(("latency", "processing")) for line in lines) == 1


def test_a_tall_screen_has_a_row_for_each_window() -> None:
    assert sum(line.startswith(("latency", "processing")) for line in screen(View(taken(many(9))), 80, 50)) == 4


def test_an_oversell_is_shown_above_all_products() -> None:
    lines = screen(View(taken(document(a=(-1, None), b=(5, 9.0)))), 80, 24)
    assert "oversold: a" in lines


def test_scrolling_moves_through_the_products_and_stops_at_the_ends() -> None:
    view = View(taken(many(100)), keyed=True)
    screen(view, 80, 24)
    for key, first in [("up", 0), ("down", 1), ("page down", 13), ("home", 0), ("x", 0)]:
        view.scroll(key, 24)
        screen(view, 80, 24)
        assert view.first == first, key
    view.scroll("end", 24)
    assert any(line.startswith("product-099") for line in screen(view, 80, 24))
    view.scroll("down", 24)
    assert any(line.startswith("product-099") for line in screen(view, 80, 24))


def test_one_thing_is_singular() -> None:
    one = many(1)
    one["orders"]["total"] = one["connections"]["active"] = 1
    headline = screen(View(taken(one)), 120, 24)[0]
    assert "1 order, " in headline
    assert headline.endswith("1 connection")


def test_keys_are_read_by_name_however_many_come_at_once() -> None:
    assert read_keys(b"q\x1b[A\x1b[B\x1bOB\x1b[5~\x1b[6~\x1b[H\x1b[F") == [
        *("q", "up", "down", "down", "page up", "page down", "home", "end")
    ]
    assert read_keys(b"\x1b[C") == [""]


def test_it_follows_the_sale_and_says_when_the_daemon_is_gone(redis_server: RedisServer) -> None:
    with daemon("--redis-url", redis_server.url) as (process, url):
        count_one(redis_server, url)
        with on_terminal("top", "--url", url) as terminal:
            terminal.wait_for("1 order")
            count_one(redis_server, url, expected=2)
            terminal.wait_for("2 orders")
            assert process.end() == 0
            terminal.wait_for("no daemon answers")
            assert terminal.end() == 0
            terminal.wait_for(LEAVE_FULL_SCREEN)
            assert "Traceback" not in terminal.seen


def test_it_shows_what_is_not_well_and_what_fires(start_redis: StartRedis) -> None:
    server = start_redis("--maxmemory-policy", "allkeys-lru")
    firing = {"labels": {"alertname": "Mine", "severity": "critical"}, "annotations": {"summary": "look"}}

    def answer(request: BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.end_headers()
        request.wfile.write(json.dumps([firing | {"startsAt": "2026-11-30T01:37:31.122Z"}]).encode())

    with daemon("--redis-url", server.url) as (_, url), answering(answer) as alertmanager:
        count_one(server, url)
        wait_until(lambda: "redis degraded: " in invoke("top", "--url", url).stdout, 10, "the health of Redis")
        shown = invoke("top", "--url", url, "--alertmanager", alertmanager).stdout
        assert re.search(r"^critical Mine, .*: look$", shown, re.MULTILINE)
        assert "redis degraded: " in shown.replace("\n", " ")
        nobody = f"http://127.0.0.1:{free_port()}"
        shown = invoke("top", "--url", url, "--alertmanager", nobody).stdout
        assert f"alerts unknown: no Alertmanager answers at {nobody}" in shown
        assert "1 order" in shown


def test_q_ends_it(redis_server: RedisServer) -> None:
    with daemon("--redis-url", redis_server.url) as (_, url):
        count_one(redis_server, url)
        with on_terminal("top", "--url", url) as terminal:
            terminal.wait_for("q quits")
            terminal.press("q")
            assert terminal.process.wait(5) == 0
            terminal.wait_for(LEAVE_FULL_SCREEN)
