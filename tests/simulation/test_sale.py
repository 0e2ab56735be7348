"""A simulated sale obeys the arithmetic of a real one."""

from collections import Counter
from itertools import pairwise
from typing import Any

import msgspec
import pytest

from sidecar.core.events.decode import decode, unknown_fields
from sidecar.core.events.event import FIELDS
from sidecar.simulation import SimulatedSale

Timed = list[tuple[float, dict[str, Any]]]
SALES = [
    SimulatedSale(seed=1),
    SimulatedSale(seed=2, rate=5, duration=20, products=1),
    SimulatedSale(seed=3, rate=400, duration=10, products=50),
    SimulatedSale(seed=4, rate=0.5, duration=3, products=3),
    SimulatedSale(seed=5, rate=30, duration=5, products=20, idle=40),
]
HEALTHY_MS = 2500  # above this one order in a hundred is worth a page: OrderLatencyHigh


@pytest.fixture(scope="module", params=SALES, ids=lambda sale: f"seed {sale.seed}")
def timed(request: pytest.FixtureRequest) -> Timed:
    return list(request.param)


def statuses(timed: Timed) -> Counter[str]:
    return Counter(event["status"] for _, event in timed if "status" in event)


def of_type(timed: Timed, kind: str) -> list[dict[str, Any]]:
    return [event for _, event in timed if event.get("type") == kind]


def test_events_come_in_the_order_of_time(timed: Timed) -> None:
    assert all(earlier <= later for (earlier, _), (later, _) in pairwise(timed))


def test_every_event_is_accepted_with_no_unknown_field(timed: Timed) -> None:
    for offset, event in timed:
        event = event | {"ts": 1_790_000_000 + offset}
        payload = msgspec.json.encode(event)
        assert decode([payload], [1_790_000_000 + offset]).rejections == []
        assert unknown_fields(payload) == set()
        assert set(event) <= set(FIELDS[event.get("type", "order")])


def test_at_any_moment_no_more_orders_are_decided_than_were_accepted(timed: Timed) -> None:
    in_flight = 0
    for _, event in timed:
        in_flight += {"pending": 1, "success": -1, "failed": -1, "cancelled": -1}.get(event.get("status", ""), 0)
        assert in_flight >= 0


def test_in_the_end_every_order_is_decided_once(timed: Timed) -> None:
    counts = statuses(timed)
    assert counts["pending"] == counts["success"] + counts["failed"] + counts["cancelled"]
    decided = Counter(event["order_id"] for _, event in timed if event.get("status") not in (None, "pending"))
    assert set(decided.values()) <= {1}


def test_never_more_is_sold_than_there_is_and_stock_reports_agree(timed: Timed) -> None:
    sold: Counter[str] = Counter()
    supply: dict[str, int] = {}
    for _, event in timed:
        product = event.get("product_id", "")
        if event.get("status") == "success":
            sold[product] += event["quantity"]
            assert sold[product] <= supply[product]
        if event.get("type") == "inventory":
            # Only a restock raises what there is to sell; a report in between agrees with what was sold.
            assert event["stock"] >= 0
            assert event["stock"] + sold[product] >= supply.get(product, 0)
            supply[product] = event["stock"] + sold[product]


def test_the_supply_grows_once_with_the_restock() -> None:
    sold: Counter[str] = Counter()
    supplies: dict[str, set[int]] = {}
    for _, event in SALES[0]:
        if event.get("status") == "success":
            sold[event["product_id"]] += event["quantity"]
        if event.get("type") == "inventory":
            supplies.setdefault(event["product_id"], set()).add(event["stock"] + sold[event["product_id"]])
    assert sorted(len(known) for known in supplies.values()) == [1] * 7 + [2]


def test_a_product_is_refused_as_sold_out_only_when_there_is_too_little_left() -> None:
    stock: dict[str, int] = {}
    for _, event in SALES[0]:
        if event.get("type") == "inventory":
            stock[event["product_id"]] = event["stock"]
        elif event.get("status") == "success":
            stock[event["product_id"]] -= event["quantity"]
        elif event.get("reason") == "sold_out":
            assert stock[event["product_id"]] < event["quantity"]


def test_sequence_numbers_of_each_producer_count_up_from_one_and_heartbeats_repeat_the_last(timed: Timed) -> None:
    last: dict[str, int] = {}
    for _, event in timed:
        expected = last.get(event["producer"], 0) + (event.get("type") != "heartbeat")
        assert event["seq"] == expected
        last[event["producer"]] = expected


def test_every_producer_ends_with_a_heartbeat_and_the_queue_empty(timed: Timed) -> None:
    last = {event["producer"]: event for _, event in timed}
    newest_heartbeats = {event["producer"]: event["seq"] for event in of_type(timed, "heartbeat")}
    assert newest_heartbeats.keys() == last.keys()
    final = of_type(timed, "queue")[-1]
    counts = statuses(timed)
    assert (final["waiting"], final["active"]) == (0, 0)
    assert (final["completed"], final["failed"]) == (counts["success"], counts["failed"])


def test_the_same_seed_gives_the_same_sale_apart_from_time_and_epoch() -> None:
    def shape(sale: SimulatedSale) -> list[dict[str, Any]]:
        return [{k: v for k, v in event.items() if k not in ("ts", "epoch")} for _, event in sale]

    first = SimulatedSale(seed=7, duration=10, start=1_790_000_000)
    assert shape(first) == shape(first)
    assert shape(first) == shape(SimulatedSale(seed=7, duration=10, start=1_800_000_000.5))
    assert shape(first) != shape(SimulatedSale(seed=8, duration=10))


def test_time_and_epoch_come_from_the_start() -> None:
    for offset, event in SimulatedSale(seed=7, duration=2, start=1_790_000_000.25):
        assert event["ts"] == pytest.approx(1_790_000_000.25 + offset, abs=1e-5)
        assert event["epoch"] == 1_790_000_000_250


def test_orders_come_at_the_rate_that_was_asked_for_with_a_rush_at_the_start() -> None:
    accepted = [
        offset for offset, event in SimulatedSale(seed=1, rate=100, duration=60) if event.get("status") == "pending"
    ]
    assert len(accepted) == pytest.approx(6000, rel=0.1)
    assert sum(offset < 6 for offset in accepted) > 1.5 * sum(offset >= 30 for offset in accepted) / 5


def test_at_any_reading_the_queue_holds_the_orders_that_were_accepted_and_not_decided(timed: Timed) -> None:
    in_flight = 0
    for _, event in timed:
        in_flight += {"pending": 1, "success": -1, "failed": -1, "cancelled": -1}.get(event.get("status", ""), 0)
        if event.get("type") == "queue":
            assert event["waiting"] + event["active"] == in_flight


@pytest.mark.parametrize("seed", [11, 12])
@pytest.mark.parametrize(("rate", "duration", "products"), [(4, 180, 8), (50, 60, 8), (120, 60, 200), (20, 60, 200)])
def test_no_order_of_a_healthy_sale_waits_so_long_that_somebody_is_paged(
    seed: int, rate: float, duration: float, products: int
) -> None:
    sale = SimulatedSale(seed=seed, rate=rate, duration=duration, products=products)
    assert max(event["latency_ms"] for _, event in sale if "latency_ms" in event) < HEALTHY_MS


def test_after_the_sale_every_process_is_heard_from_each_second_and_nobody_buys() -> None:
    sale = SALES[-1]
    idle = [(offset, event) for offset, event in sale if offset >= sale.duration + 3]
    assert not any("status" in event for _, event in idle)
    for producer in ("sim-api-1", "sim-api-2", "sim-worker-1", "sim-worker-2"):
        beats = [offset for offset, event in idle if (event["producer"], event.get("type")) == (producer, "heartbeat")]
        assert len(beats) >= sale.idle - 4
        assert max(later - earlier for earlier, later in pairwise(beats)) < 1.5
    assert {event["type"] for _, event in idle} == {"heartbeat", "connections", "queue", "inventory"}
    assert len({event["product_id"] for event in of_type(idle, "inventory")}) == sale.products
    assert all(event["active"] > 0 for event in of_type(idle, "connections"))
    assert max(offset for offset, _ in idle) == pytest.approx(sale.duration + sale.idle, abs=1)


def test_latency_worsens_while_the_queue_is_long() -> None:
    waited = [e["latency_ms"] - e["processing_ms"] for _, e in SALES[0] if "latency_ms" in e]
    assert min(waited) >= -0.01
    assert max(waited) > 500
    assert max(event["waiting"] for event in of_type(list(SALES[0]), "queue")) > 50


def test_hot_products_sell_out_cold_ones_do_not_and_orders_fail_for_several_reasons() -> None:
    timed = list(SALES[0])
    stock = {event["product_id"]: event["stock"] for event in of_type(timed, "inventory")}
    assert 0 < sum(left == 0 for left in stock.values()) < len(stock)
    reasons = {event["reason"] for _, event in timed if "reason" in event}
    assert {"sold_out", "payment_declined", "timeout"} <= reasons
    assert all(event["currency"] == "EUR" for _, event in timed if "amount" in event)
