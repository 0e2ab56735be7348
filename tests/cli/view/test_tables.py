"""The tables and lines of `report` and `top`: what they show of a Snapshot, and what a narrow screen leaves out."""

from io import StringIO
from typing import Any

import msgspec
import pytest
from rich.console import Console, RenderableType

from sidecar.cli.view import tables
from sidecar.cli.view.reasons import FailureReasons
from sidecar.cli.view.terminal import UNKNOWN
from sidecar.core.counts.sale import Sale
from sidecar.core.snapshot.snapshot import (
    Inventory,
    ProducerCompleteness,
    Producers,
    ProductOrders,
    Queue,
    SellOut,
    Snapshot,
)
from tests.exposition import snapshots

TS = snapshots.TS


def shown(part: RenderableType, width: int = 160) -> list[str]:
    """Return the lines of a part, each without space around it."""
    console = Console(file=StringIO(), width=width, color_system=None)
    console.print(part)
    assert isinstance(console.file, StringIO)
    return [" ".join(line.split()) for line in console.file.getvalue().splitlines() if line.strip()]


def colours(part: Any) -> set[str]:
    """Return the styles of a text."""
    return {str(part.style), *(str(span.style) for span in part.spans)} - {""}


def test_orders_by_what_became_of_them() -> None:
    assert shown(tables.orders(snapshots.snapshot())) == [
        "accepted success failed cancelled in flight error rate fault rate",
        "─" * len(shown(tables.orders(snapshots.snapshot()))[1]),
        "9 7 2 0 0 22.0 % 0 %",
    ]


def test_a_narrow_screen_has_no_rates_of_failure() -> None:
    narrow = shown(tables.orders(snapshots.snapshot(), width=tables.WIDE - 1))
    assert narrow[-1] == "9 7 2 0 0"


def test_rates_are_by_window() -> None:
    lines = shown(tables.rates(snapshots.snapshot(), rule=False))
    assert lines[0] == "window 10s 1m 5m total"
    assert [line.rsplit(" ", 9)[0].split()[0] for line in lines[1:]] == ["orders", "error", "fault"]
    assert "22.0 %" in lines[2]


def test_times_have_fewer_figures_on_a_narrow_screen() -> None:
    rows = [("latency", "total"), ("processing", "1m")]
    wide, narrow = (
        shown(tables.times(snapshots.snapshot(), rows, width=width)) for width in (tables.WIDE, tables.WIDE - 1)
    )
    assert wide[0] == "time count avg p50 p90 p95 p99 max"
    assert narrow[0] == "time count p50 p99 max"
    assert [line.split()[0] for line in wide[-2:]] == ["latency", "processing"]
    assert wide[-1].startswith("processing 1m 9")


def test_the_busiest_product_is_first() -> None:
    by_product = {"a": ProductOrders(success=1), "b": ProductOrders(success=1, failed=1), "c": ProductOrders(success=1)}
    whole = snapshots.snapshot(orders=snapshots.orders(by_product=by_product), inventory={"d": Inventory(stock=1)})
    assert tables.by_sales(whole) == ["b", "a", "c", "d"]


def test_the_product_that_sells_out_first_is_first_and_oversold_ones_lead_those_sold_out() -> None:
    inventory = {
        "later": Inventory(stock=9, sell_out_in_s=60.0),
        "soon": Inventory(stock=9, sell_out_in_s=5.0),
        "gone": Inventory(stock=0),
        "over": Inventory(stock=-2),
        "idle": Inventory(stock=9),
    }
    assert tables.by_urgency(snapshots.snapshot(inventory=inventory)) == [
        "soon",
        "later",
        "sku-1",
        "idle",
        "over",
        "gone",
    ]


@pytest.mark.parametrize(
    ("stock", "says", "colour"),
    [
        (Inventory(stock=93, depletion_per_second=0.7, sell_out_in_s=132.8), "2 min 13 s", None),
        (Inventory(stock=93, sell_out_in_s=tables.SOON_SECONDS - 1), "59 s", "yellow"),
        (Inventory(stock=0), "sold out", "red"),
        (Inventory(stock=-1), "oversold", "bold red"),
        (None, UNKNOWN, None),
    ],
    ids=["later", "soon", "sold out", "oversold", "unknown"],
)
def test_a_product_says_when_it_sells_out(stock: Inventory | None, says: str, colour: str | None) -> None:
    text = tables._sell_out(stock)
    assert text.plain == says
    assert colours(text) == ({colour} if colour else set())


@pytest.mark.parametrize(
    ("found", "says"),
    [
        (SellOut("selling", 132.8, 104.2, 169.9), "2 min 10 s (1:44-2:49)"),
        (SellOut("restocked", 132.8, 30.0, 169.9), "over 30 s"),
        (SellOut("selling", 4000.0, 3000.0, 5000.0), "> 1 h"),
        (SellOut("starting"), "estimating"),
        (SellOut("stalled"), "stalled"),
        (SellOut("ended"), UNKNOWN),
    ],
)
def test_a_time_to_sell_out_has_two_digits_and_a_band(found: SellOut, says: str) -> None:
    stock = Inventory(93, sell_out_in_s=found.eta_s, sell_out=found)
    assert tables._sell_out(stock, band=True).plain == says
    assert tables._sell_out(stock).plain == says.partition(" (")[0]


def test_products_show_sales_and_stock() -> None:
    whole = snapshots.snapshot()
    lines = shown(tables.products(whole, ["sku-1", "unknown"]))
    assert lines[0] == "product sold failed stock sold / s sells out in"
    assert lines[2].startswith("sku-1 7 2 93 ")
    narrow = shown(tables.products(whole, ["sku-1"], width=tables.WIDE - 1))
    assert narrow[0] == "product sold stock sells out in"


@pytest.mark.parametrize(
    ("stock", "sold", "cells"), [(10, 0, 10), (5, 5, 5), (1, 999, 1), (0, 10, 0), (-3, 10, 0), (0, 0, 0)]
)
def test_a_bar_shows_what_is_left_and_never_nothing_where_something_is(stock: int, sold: int, cells: int) -> None:
    text = tables.bar(stock, sold)
    assert text.plain == "█" * cells + "░" * (tables.BAR_CELLS - cells)


def test_reasons_are_by_their_frequency_and_ten_at_most() -> None:
    reasons = {f"r{number:02}": number for number in range(1, 13)}
    lines = shown(tables.failures(snapshots.snapshot(orders=snapshots.orders(failed_by_reason=reasons))))
    assert [line.split()[0] for line in lines[2:]] == [f"r{number:02}" for number in range(12, 2, -1)]


def why(*seen: dict[str, int]) -> str:
    """Return the line about failures after these counts were seen, two seconds apart."""
    watched = FailureReasons()
    for number, reasons in enumerate(seen):
        whole = snapshots.snapshot(ts=TS + 2 * number, orders=snapshots.orders(failed_by_reason=reasons))
        watched.see(whole)
    return tables.reasons(whole, watched).plain


def test_without_failures_it_says_so() -> None:
    assert why({}) == "failures none"


def test_failures_are_those_of_the_last_seconds_where_there_are_any() -> None:
    assert why({"boom": 1}, {"boom": 1, "sold_out": 2}) == "failures 2 in 2 s: sold_out 100 %"
    assert why({"boom": 1}, {"boom": 1}) == "failures 1 in all: boom 100 %"


def test_shares_of_reasons_are_short_and_faults_come_first() -> None:
    assert why({"sold_out": 999, "boom": 1}) == "failures 1,000 in all: boom <1 % · sold_out 100 %"


@pytest.mark.parametrize(
    ("sale", "says"),
    [
        (Sale(), ""),
        (Sale("friday", "running", TS - 60, None, "http"), "sale friday running for"),
        (Sale(None, "running", TS - 60, None, "orders"), "sale running for"),
        (Sale(None, "ended", TS - 60, TS - 10, "orders", "orders"), "sale over for"),
    ],
)
def test_a_line_says_how_the_sale_is(sale: Sale, says: str) -> None:
    assert tables.state(snapshots.snapshot(sale=sale)).plain.startswith(says)
    assert bool(says) == ("sale" in tables.state(snapshots.snapshot(sale=sale)).plain)


def test_an_older_daemon_knows_neither_sale_nor_producers() -> None:
    older = msgspec.to_builtins(snapshots.snapshot().public())
    del older["sale"], older["completeness"]["producers"]
    assert tables.state(msgspec.convert(older, Snapshot)).plain == ""


def test_silent_producers_are_named_the_last_heard_first() -> None:
    by_producer = {
        "a": ProducerCompleteness(last_seen=TS - 100, state="silent"),
        "b": ProducerCompleteness(last_seen=TS - 50, state="silent"),
        "c": ProducerCompleteness(last_seen=TS, state="alive"),
        "d": ProducerCompleteness(state="silent"),
    }
    whole = snapshots.snapshot(
        completeness=snapshots.completeness(producers=Producers(alive=1, silent=3), by_producer=by_producer)
    )
    said = tables.state(whole).plain
    assert said.startswith("producers 1 alive, 3 silent: b for ")
    assert said.index("a for ") < said.rindex("d")


def test_queues_are_by_name() -> None:
    whole = snapshots.snapshot(queues={"b": Queue(waiting=1, active=2), "a": Queue(waiting=3)})
    assert [line.split()[0] for line in shown(tables.queues(whole))[2:]] == ["a", "b"]
    assert tables.queue_lengths(whole).plain.startswith("queue a 3 waiting, ")
    paused = snapshots.snapshot(queues={"a": Queue(waiting=3, oldest_waiting_s=61.0, paused=True, state_from="redis")})
    line = " ".join(shown(tables.queues(paused))[2].split())
    assert (line.startswith("a (paused) 3 "), line.endswith(" 1 min 1 s")) == (True, True)
    drifted = snapshots.snapshot(queues={"a": Queue(waiting=3, drift_jobs=-7)})
    assert tables.queue_lengths(drifted).plain.endswith(", -7 drift")
    assert shown(tables.queues(drifted))[2].endswith(" -7")
    assert "a (paused) 3 waiting" in tables.queue_lengths(paused).plain
    assert tables.queue_lengths(snapshots.snapshot(queues={})).plain == "queue unknown"


@pytest.mark.parametrize(("ratio", "colour"), [(1.0, "green"), (0.99, "red"), (None, "yellow")])
def test_completeness_has_the_colour_of_what_it_means(ratio: float | None, colour: str) -> None:
    text = tables.completeness(snapshots.snapshot(completeness=snapshots.completeness(ratio=ratio)))
    assert colour in colours(text)


def test_completeness_names_only_what_there_is() -> None:
    assert tables.completeness(snapshots.snapshot()).plain == "completeness 100 %  30 received · 0 missed"
    odd = snapshots.completeness(missed=2, late=1, counted_twice=3, blind_s=5.0)
    line = tables.completeness(snapshots.snapshot(completeness=odd)).plain
    assert "2 missed · 1 late · 3 counted twice · 5" in line
    assert line.endswith("without a connection")


def test_revenue_is_by_currency() -> None:
    whole = snapshots.snapshot(orders=snapshots.orders(revenue={"USD": "1.00", "EUR": "70.00"}))
    assert tables.revenue(whole).plain == "revenue 70.00 EUR · 1.00 USD"


def test_the_lines_of_a_part_are_known_before_it_is_drawn() -> None:
    for rule in (False, True):
        table = tables.rates(snapshots.snapshot(), rule=rule)
        assert tables.lines(table, rule=rule) == len(shown(table))
    assert tables.lines(tables.revenue(snapshots.snapshot()), rule=True) == 1


def test_names_from_outside_are_plain() -> None:
    whole = snapshots.snapshot(orders=snapshots.orders(failed_by_reason={"\x1b[2J[bold]": 1}))
    assert "\x1b" not in "".join(shown(tables.failures(whole)))
    assert "[bold]" in "".join(shown(tables.failures(whole)))


def test_a_pipe_is_wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    assert tables.console().width == tables.PIPE_WIDTH
