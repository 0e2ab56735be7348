"""How a sale that nobody said is over ends: what comes each second, and when it is over."""

from collections.abc import Iterable
from random import Random
from typing import Any

import pytest

from sidecar.core.commit.aggregator import Aggregator
from sidecar.core.counts.sale import Sale
from tests.core.counted import NOW, aggregator, batch, commit, order
from tests.guarantees import in_campaign

BEAT = {"type": "heartbeat"}
QUEUE = {"type": "queue", "waiting": 3}
IDLE = {"type": "queue", "waiting": 0, "active": 0}


def stock(units: int, product: str = "a") -> dict[str, Any]:
    return {"type": "inventory", "product_id": product, "stock": units}


def seconds(aggregate: Aggregator, *events: Any, times: int = 1) -> Sale:
    """Let so many seconds pass, in each of which these events come; return the sale."""
    for _ in range(times):
        now = (aggregate.committed.total.committed_at or NOW) + 1
        if events:
            aggregate.apply(batch(*events, at=now), now)
        commit(aggregate, now)
    return aggregate.committed.total.sale


def running(*events: Any) -> Aggregator:
    """Return an Aggregator that counted ten seconds of a sale, and these events."""
    aggregate = aggregator()
    assert seconds(aggregate, order(product_id="a"), BEAT, times=10).state == "running"
    if events:
        seconds(aggregate, *events)
    return aggregate


def test_a_sale_begins_with_its_first_order_and_ends_with_its_last() -> None:
    aggregate = aggregator()
    assert seconds(aggregate, BEAT, stock(9), IDLE, times=60) == Sale()
    assert seconds(aggregate, order(), BEAT) == Sale(state="running", started_at=NOW + 61, started_by="orders")
    seconds(aggregate, order(), BEAT, times=9)
    assert seconds(aggregate, BEAT, times=29).state == "running"
    over = Sale(None, "ended", NOW + 61, NOW + 70, "orders", "orders")
    assert seconds(aggregate, BEAT) == over
    assert seconds(aggregate, BEAT, times=60) == over


def test_it_goes_on_with_the_next_order() -> None:
    aggregate = running()
    assert seconds(aggregate, BEAT, times=30).state == "ended"
    assert seconds(aggregate, order()) == Sale(state="running", started_at=NOW + 1, started_by="orders")


@pytest.mark.parametrize("events", [[], [order("cancelled")]], ids=["nothing", "cancellations"])
def test_cancellations_begin_no_sale(events: list[Any]) -> None:
    assert seconds(aggregator(), *events, BEAT) == Sale()


STAYS: dict[str, list[Any]] = {
    "nothing is heard": [],
    "jobs wait": [BEAT, QUEUE],
    "jobs are worked on": [BEAT, {"type": "queue", "active": 1}],
}


@pytest.mark.parametrize("events", STAYS.values(), ids=STAYS)
def test_it_stays_while(events: list[Any]) -> None:
    assert seconds(running(), *events, times=599).state == "running"


def test_it_stays_while_accepted_orders_are_undecided_but_not_for_ever() -> None:
    aggregate = running(order("pending", order_id="1"))
    assert seconds(aggregate, BEAT, times=599).state == "running"
    assert seconds(aggregate, BEAT, times=5).state == "ended"


def test_a_backend_that_was_away_is_not_quiet_for_that_time() -> None:
    aggregate = running()
    seconds(aggregate, times=120)
    assert seconds(aggregate, BEAT, times=20).state == "running"
    assert seconds(aggregate, BEAT, times=10).state == "ended"


def test_an_hour_without_an_order_is_an_end_whatever_is_heard() -> None:
    aggregate = running()
    assert seconds(aggregate, times=3600).state == "running"
    assert seconds(aggregate) == Sale(None, "ended", NOW + 1, NOW + 10, "orders", "orders")


def test_a_sale_that_was_caught_up_with_ends_as_of_its_last_order() -> None:
    aggregate = aggregator()
    aggregate.apply(batch(order(ts=NOW - 7200), order(ts=NOW - 7000), at=NOW), NOW)
    commit(aggregate)
    assert aggregate.committed.total.sale.state == "ended"


def test_refusals_do_not_prolong_a_sale_that_sold_everything() -> None:
    aggregate = running(stock(0))
    refused = order("failed", product_id="a", reason="sold_out")
    in_flight = order("pending", product_id="a")
    assert seconds(aggregate, in_flight, refused, times=3).state == "running"
    over = seconds(aggregate, in_flight, refused, times=3)
    assert (over.state, over.ended_at) == ("ended", NOW + 10)
    assert seconds(aggregate, in_flight, refused, times=600) == over


def test_a_restock_goes_on_with_it() -> None:
    aggregate = running(stock(0))
    assert seconds(aggregate, BEAT, times=9).state == "ended"
    assert seconds(aggregate, stock(5), order("failed", product_id="a")).state == "running"


UNSOLD: dict[str, list[Any]] = {
    "a product is left": [stock(0), stock(1, "b")],
    "the stock of a product is unknown": [stock(0), order(product_id="b")],
}


@pytest.mark.parametrize("events", UNSOLD.values(), ids=UNSOLD)
def test_it_is_not_sold_out_if(events: list[Any]) -> None:
    aggregate = running(*events)
    assert seconds(aggregate, order("failed", product_id="a"), times=60).state == "running"


def test_a_product_that_was_sold_out_and_is_not_reported_again_still_is() -> None:
    aggregate = running(stock(0), stock(0, "b"))
    assert seconds(aggregate, stock(0, "b"), times=9).state == "ended"


def test_a_slow_sale_gets_more_time() -> None:
    aggregate = running()
    for _ in range(5):
        assert seconds(aggregate, BEAT, times=19).state == "running"
        seconds(aggregate, order())
    assert seconds(aggregate, BEAT, times=55).state == "running"
    assert seconds(aggregate, BEAT, times=10).state == "ended"


def poisson(random: Random, *phases: tuple[float, float]) -> Iterable[list[float]]:
    """Yield the times of orders second by second, after phases of (orders a second, seconds)."""
    at, end, times = 0.0, 0.0, []
    for rate, length in phases:
        at, end = end, end + length
        while (at := at + random.expovariate(rate)) < end:
            times.append(at)
    for second in range(int(end)):
        yield [at for at in times if second <= at < second + 1]


@pytest.mark.parametrize("sales", [2, *in_campaign(20)])
def test_a_sale_with_a_slow_tail_does_not_flap(sales: int) -> None:
    """It sells 4 a second, then one every 5 s on average. By chance a pause may be long enough, once in 20 sales."""
    ends = 0
    for seed in range(sales):
        aggregate, states = aggregator(), []
        for times in poisson(Random(seed), (4, 60), (0.2, 240)):
            states.append(seconds(aggregate, BEAT, *(order(ts=NOW + at) for at in times)).state)
        ends += "ended" in states
        assert seconds(aggregate, BEAT, times=181).state == "ended"
    assert ends <= 1


def test_quiet_begins_again_after_a_restart() -> None:
    before = running()
    seconds(before, BEAT, times=20)
    after = aggregator()
    after.load(before.fields(), same_generation=False)
    assert seconds(after, BEAT, times=29).state == "running"
    assert seconds(after, BEAT, times=3).ended_at == NOW + 10


def test_a_state_without_orders_that_runs_ends_now() -> None:
    aggregate = aggregator()
    aggregate.committed.total.sale = Sale(state="running", started_at=NOW - 5, started_by="orders")
    assert seconds(aggregate, BEAT, times=29).state == "running"
    assert seconds(aggregate, BEAT, times=5).state == "ended"


def test_a_clock_that_was_set_back_does_not_stop_the_quiet() -> None:
    aggregate = running()
    now = NOW + 10 - 600
    aggregate.step(-600, now)
    for after in range(1, 40):
        aggregate.apply(batch(BEAT, at=now + after), now + after)
        commit(aggregate, now + after)
    sale = aggregate.committed.total.sale
    assert (sale.state, sale.ended_at) == ("ended", now)
