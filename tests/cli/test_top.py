"""`sidecar top` on a terminal; piped, see test_report."""

from typing import Any

import msgspec
import pytest
from rich.console import Console

from sidecar.cli.keys import read_keys
from sidecar.cli.tables import by_urgency
from sidecar.cli.top import View
from tests.cli.commands import on_terminal
from tests.cli.test_run import count_one, daemon
from tests.exposition.snapshots import snapshot
from tests.redis_server import RedisServer

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
    assert by_urgency(shown) == ["next", "slow", "unknown", "oversold", "gone"]


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
    lines = screen(View(shown), 120, 24)
    assert [line.strip() for line in lines if "not understood" in line] == ([f"pubsub:x: {told}"] if told else [])
    assert len(lines) <= 24


@pytest.mark.parametrize(("width", "height"), [(80, 24), (60, 24), (60, 15), (120, 50), (200, 34)])
def test_the_view_fits_the_screen_and_shows_the_product_that_it_warns_of(width: int, height: int) -> None:
    lines = screen(View(many(100), keyed=True), width, height)
    assert len(lines) <= height
    assert all(len(line) <= width for line in lines)
    assert any(line.startswith("next to sell out: product-000") for line in lines)
    assert any(line.startswith("product-000 ") for line in lines)
    assert lines[-1].startswith("1 to ") and "of 100 products" in lines[-1] and "q ends" in lines[-1]


@pytest.mark.parametrize("width", [60, 80])
def test_labels_are_never_cut(width: int) -> None:
    lines = screen(View(many(9)), width, 24)
    for label in ("orders / s", "error rate", "fault rate", "latency 10s", "sells out in", "product-008"):
        assert any(label in line for line in lines), label
    assert sum(line.startswith(("latency", "processing")) for line in lines) == 1


def test_a_tall_screen_has_a_row_for_each_window() -> None:
    assert sum(line.startswith(("latency", "processing")) for line in screen(View(many(9)), 80, 50)) == 4


def test_an_oversell_is_shown_above_all_products() -> None:
    lines = screen(View(document(a=(-1, None), b=(5, 9.0))), 80, 24)
    assert "oversold: a" in lines


def test_scrolling_moves_through_the_products_and_stops_at_the_ends() -> None:
    view = View(many(100), keyed=True)
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
    headline = screen(View(one), 120, 24)[0]
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


def test_q_ends_it(redis_server: RedisServer) -> None:
    with daemon("--redis-url", redis_server.url) as (_, url):
        count_one(redis_server, url)
        with on_terminal("top", "--url", url) as terminal:
            terminal.wait_for("q ends")
            terminal.press("q")
            assert terminal.process.wait(5) == 0
            terminal.wait_for(LEAVE_FULL_SCREEN)
