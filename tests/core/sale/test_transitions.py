"""The sale: what orders show, what somebody says, and which of them counts."""

import pytest

from sidecar.core.counts.sale import Announcement, Sale, Span, cleared, joined, merged
from sidecar.core.events.sale_event import is_id
from sidecar.core.sale.transitions import follow, objection

T0 = 1_790_000_000.0
HOUR = 3600.0
NONE = Sale()
RUNNING = Sale(state="running", started_at=T0, started_by="orders")
OVER = Sale(state="ended", started_at=T0, ended_at=T0 + 60, started_by="orders", ended_by="orders")
STARTED = Sale("drop", "running", T0, None, "command")
STOPPED = Sale("drop", "ended", T0, T0 + 60, "command", "http")


def orders(first: float, newest: float | None = None) -> Span:
    """Return orders from `first` to `newest`, seconds after T0."""
    return Span(T0 + first, T0 + (first if newest is None else newest))


def start(at: float = 0.0, id: str | None = None, by: str = "command") -> Announcement:
    return Announcement(action="start", id=id, at=T0 + at, by=by)  # type: ignore[arg-type]


def stop(at: float = 0.0, id: str | None = None, by: str = "command") -> Announcement:
    return Announcement(action="stop", id=id, at=T0 + at, by=by)  # type: ignore[arg-type]


def began(at: float) -> Sale:
    return Sale(state="running", started_at=T0 + at, started_by="orders")


ORDERS: dict[str, tuple[Sale, Span, Sale]] = {
    "the first order begins it": (NONE, orders(3, 9), began(3)),
    "it goes on": (RUNNING, orders(30), RUNNING),
    "an earlier order came later": (RUNNING, orders(-30, 5), began(-30)),
    "an order of hours before is of no sale": (RUNNING, orders(-2 * HOUR, 5), RUNNING),
    "an order within an hour goes on with it": (OVER, orders(60 + HOUR), RUNNING),
    "an order of before its end changes nothing": (OVER, orders(30, 60), OVER),
    "a later order begins another": (OVER, orders(61 + HOUR), began(61 + HOUR)),
    "beside a straggler it begins with the newer one": (OVER, orders(30, 61 + HOUR), began(61 + HOUR)),
    "what was said to run runs": (STARTED, orders(-30, 30), STARTED),
    "stragglers do not go on with what was said to be over": (STOPPED, orders(660), STOPPED),
    "ten minutes later another begins": (STOPPED, orders(661), began(661)),
}


@pytest.mark.parametrize(("sale", "span", "expected"), ORDERS.values(), ids=ORDERS)
def test_orders_show_a_sale(sale: Sale, span: Span, expected: Sale) -> None:
    assert follow(sale, span, [], None) == expected


ENDS: dict[str, tuple[Sale, Sale]] = {
    "one that orders began": (RUNNING, OVER),
    "not one that was said to begin": (STARTED, STARTED),
    "not one that is over": (STOPPED, STOPPED),
    "not one that never began": (NONE, NONE),
}


@pytest.mark.parametrize(("sale", "expected"), ENDS.values(), ids=ENDS)
def test_quiet_ends_a_sale(sale: Sale, expected: Sale) -> None:
    assert follow(sale, None, [], T0 + 60) == expected


WORDS: dict[str, tuple[Sale, list[Announcement], Sale]] = {
    "start": (NONE, [start(5, "drop")], Sale("drop", "running", T0 + 5, None, "command")),
    "start what orders began": (RUNNING, [start(5)], Sale(None, "running", T0 + 5, None, "command")),
    "start twice": (STARTED, [start(5)], STARTED),
    "start the same twice": (STARTED, [start(5, "drop")], STARTED),
    "start another": (STARTED, [start(5, "x", "http")], Sale("x", "running", T0 + 5, None, "http")),
    "start again": (STOPPED, [start(90)], Sale(None, "running", T0 + 90, None, "command")),
    "stop": (STARTED, [stop(60, by="http")], STOPPED),
    "stop by its name": (STARTED, [stop(60, "drop", "http")], STOPPED),
    "stop another": (STARTED, [stop(60, "x")], STARTED),
    "stop what orders began": (
        RUNNING,
        [stop(60, by="event")],
        Sale(None, "ended", T0, T0 + 60, "orders", "event"),
    ),
    "stop twice": (STOPPED, [stop(90)], STOPPED),
    "stop what ended by itself": (OVER, [stop(90)], Sale(None, "ended", T0, T0 + 60, "orders", "command")),
    "stop nothing": (NONE, [stop(5)], NONE),
    "stop before it began": (RUNNING, [stop(-5)], Sale(None, "ended", T0, T0, "orders", "command")),
    "start and stop at once": (NONE, [start(0, "drop"), stop(60, by="http")], STOPPED),
    "an old event does not start again": (STOPPED, [start(30, by="event")], STOPPED),
    "a command is not judged by its clock": (STOPPED, [start(30)], Sale(None, "running", T0 + 30, None, "command")),
}


@pytest.mark.parametrize(("sale", "said", "expected"), WORDS.values(), ids=WORDS)
def test_what_is_said_comes_first(sale: Sale, said: list[Announcement], expected: Sale) -> None:
    assert follow(sale, None, said, None) == expected


def test_orders_of_one_commit_come_before_what_was_said() -> None:
    assert follow(NONE, orders(0, 50), [stop(60)], None) == Sale(None, "ended", T0, T0 + 60, "orders", "command")


@pytest.mark.parametrize(
    ("sale", "said", "text"),
    [
        (NONE, stop(), "there is no sale to stop: none was started, and no order came"),
        (STARTED, stop(id="x"), "the sale is drop: stop it as drop"),
        (RUNNING, stop(id="x"), "the sale is not called anything: stop it as current"),
        (STOPPED, start(1, by="event"), "it is older than the last announcement"),
        (STARTED, stop(id="drop"), ""),
        (NONE, start(), ""),
    ],
)
def test_an_objection_says_what_to_do(sale: Sale, said: Announcement, text: str) -> None:
    assert objection(sale, said) == text


LATER = Sale(state="ended", started_at=T0 + 5, ended_at=T0 + 90, started_by="orders", ended_by="orders")


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        (NONE, NONE, NONE),
        (NONE, OVER, OVER),
        (RUNNING, LATER, RUNNING),
        (RUNNING, began(5), RUNNING),
        (OVER, LATER, LATER),
    ],
)
def test_in_a_fleet_a_sale_runs_if_it_runs_anywhere(one: Sale, other: Sale, expected: Sale) -> None:
    assert merged(one, other) == merged(other, one) == expected


@pytest.mark.parametrize(
    ("sale", "left"), [(RUNNING, NONE), (OVER, NONE), (STARTED, STARTED), (STOPPED, STOPPED), (NONE, NONE)]
)
def test_a_clear_leaves_what_was_said(sale: Sale, left: Sale) -> None:
    assert cleared(sale) == left


def test_no_time_is_in_the_future_of_a_clock_that_was_set_back() -> None:
    assert OVER.step(T0 + 30) == Sale(None, "ended", T0, T0 + 30, "orders", "orders")
    assert NONE.step(T0) == NONE


@pytest.mark.parametrize(
    ("text", "valid"),
    [
        *[("2026-11-27-drop.1_a", True), ("a" * 63, True)],
        *[(text, False) for text in ("a" * 64, "Drop", "", "-a", "current", "a\n")],
    ],
)
def test_an_id_fits_into_keys_paths_and_labels(text: str, valid: bool) -> None:
    assert is_id(text) == valid


def test_spans_are_joined() -> None:
    assert joined(None, None) is None
    assert joined(orders(3, 9), None, orders(1, 5)) == orders(1, 9)
