"""The shop publishes what a shop does, and knows it."""

from collections import Counter
from collections.abc import Callable

from tests.gameday.shop import PROCESSES, PUBSUB, STREAM, Message, Shop
from tests.gameday.truth import Truth

NOW = 1_790_000_000.0
STEPS_PER_SECOND = 20


def run(shop: Shop, seconds: int, *, since: float = NOW) -> list[Message]:
    """Return what a shop says in so many seconds."""
    moments = (since + place / STEPS_PER_SECOND for place in range(seconds * STEPS_PER_SECOND + 1))
    return [message for moment in moments for message in shop.step(moment)]


def shop(rate: float = 40, units: int = 1000) -> Shop:
    """Return a shop with a rush."""
    made = Shop(1, {"a": units, "b": units})
    made.knobs.rate = rate
    return made


def orders(messages: list[Message], **fields: object) -> int:
    """Count the orders that bear these fields."""
    return sum("status" in one.event and fields.items() <= one.event.items() for one in messages)


def test_its_truth_is_what_it_said() -> None:
    selling = shop()
    told = Truth()
    for message in run(selling, 20):
        told.add(message.event)
    assert vars(told) == vars(selling.truth)
    assert 700 < told.statuses["pending"] < 900
    assert told.revenue > 0
    assert told.units["a"] == 1000 - selling.stock["a"]


def test_every_order_is_decided_once_the_rush_is_over() -> None:
    selling = shop()
    messages = run(selling, 10)
    selling.knobs.rate = 0
    messages += run(selling, 10, since=NOW + 10)
    decided = sum(orders(messages, status=status) for status in ("success", "failed", "cancelled"))
    assert decided == orders(messages, status="pending") > 300


def test_a_step_that_comes_late_is_no_latency() -> None:
    selling = shop()
    list(selling.step(NOW))
    late = list(selling.step(NOW + 5))
    assert slowest(late) < 2000
    assert orders(late, status="success") > 100


def test_numbers_have_no_holes_and_heartbeats_repeat_them() -> None:
    last = dict.fromkeys(PROCESSES, 0)
    for message in run(shop(), 5):
        event = message.event
        last[event["producer"]] += event.get("type") != "heartbeat"
        assert event["seq"] == last[event["producer"]]


def test_each_process_reports_once_a_second() -> None:
    messages = run(shop(), 10)
    beats = Counter(one.event["producer"] for one in messages if one.event.get("type") == "heartbeat")
    assert set(beats) == set(PROCESSES)
    assert set(beats.values()) <= {10, 11}
    assert sum(one.event.get("type") == "queue" for one in messages) in (10, 11)


def test_what_is_lost_is_numbered_and_known() -> None:
    selling = shop()
    selling.knobs.lost, selling.knobs.losers = 0.5, ("api-2",)
    said = run(selling, 10)
    numbers = [one.event["seq"] for one in said if one.event["producer"] == "api-2" and "status" in one.event]
    assert len(numbers) < 0.7 * max(numbers)
    assert selling.truth.lost > 20
    selling.skip()
    assert selling.truth.events == sum(one.event.get("type") != "heartbeat" for one in said)


def test_the_dead_are_silent_and_the_others_take_over() -> None:
    selling = shop()
    run(selling, 5)
    selling.kill("api-1")
    said = run(selling, 10, since=NOW + 5)
    assert {one.event["producer"] for one in said} == {"api-2", "api-3", "api-4"}
    assert 300 < orders(said, status="pending") < 500


def test_without_others_to_take_over_the_orders_of_the_dead_are_not_accepted() -> None:
    selling = shop()
    selling.knobs.others_take_over = False
    run(selling, 5)
    selling.kill("api-1", "api-2")
    assert 130 < orders(run(selling, 10, since=NOW + 5), status="pending") < 270


def test_all_dead_are_silent_and_begin_another_epoch_without_what_they_worked_at() -> None:
    selling = shop()
    said = run(selling, 5)
    selling.kill(*PROCESSES)
    assert run(selling, 5, since=NOW + 5) == []
    selling.revive(NOW + 10)
    selling.knobs.rate = 0
    back = run(selling, 5, since=NOW + 10)
    assert {one.event["epoch"] for one in back} == {round((NOW + 10) * 1000)}
    in_flight = orders(said, status="pending") - selling.truth.statuses["success"] - selling.truth.statuses["failed"]
    assert selling.truth.statuses["cancelled"] == in_flight > 0
    assert all("latency_ms" not in one.event for one in back)


def test_another_process_takes_the_place_of_one() -> None:
    selling = shop()
    run(selling, 5)
    selling.replace("api-1", "api-5", NOW + 5)
    said = run(selling, 5, since=NOW + 5)
    assert {one.event["producer"] for one in said} == {"api-2", "api-3", "api-4", "api-5"}
    assert min(one.event["seq"] for one in said if one.event["producer"] == "api-5") == 1


def test_it_says_that_the_sale_stops() -> None:
    selling = shop()
    selling.say("stop")
    first = run(selling, 1)[0].event
    assert (first["type"], first["action"], first["seq"]) == ("sale", "stop", 1)
    assert selling.truth.events > 1


def test_knobs_do_what_they_say() -> None:
    turns: list[tuple[Callable[[Shop], None], Callable[[list[Message]], bool]]] = [
        (lambda one: setattr(one.knobs, "payment_failing", 1.0), lambda said: orders(said, status="success") == 0),
        (lambda one: setattr(one.knobs, "workers", 2), lambda said: waiting(said) > 50),
        (lambda one: setattr(one.knobs, "service_seconds", 2.0), lambda said: slowest(said) > 2000),
        (lambda one: setattr(one.knobs, "slow", 0.03), lambda said: slowest(said) >= 4000),
        (lambda one: one.set_stock("a", -3), lambda said: {"stock": -3}.items() <= inventory(said)[-1].items()),
        (
            lambda one: setattr(one.knobs, "transports", (STREAM, PUBSUB)),
            lambda said: all(one.transports == (STREAM, PUBSUB) for one in said),
        ),
    ]
    for turn, expected in turns:
        selling = shop()
        turn(selling)
        said = run(selling, 10)
        assert expected(said)


def waiting(said: list[Message]) -> int:
    return max(int(one.event["waiting"]) for one in said if one.event.get("type") == "queue")


def slowest(said: list[Message]) -> float:
    return max(float(one.event.get("latency_ms", 0)) for one in said)


def inventory(said: list[Message]) -> list[dict[str, object]]:
    return [one.event for one in said if one.event.get("product_id") == "a" and "stock" in one.event]


def test_sold_out_is_the_last_unit_and_never_less() -> None:
    selling = shop(units=30)
    said = run(selling, 30)
    assert min(selling.stock.values()) == 0
    assert orders(said, reason="sold_out") > 100
