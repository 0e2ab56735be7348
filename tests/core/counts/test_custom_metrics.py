"""Custom metrics count what they define: exactly, through crashes, clears and changes of their definitions."""

from decimal import Decimal
from random import Random
from typing import Any

import pytest
from msgspec.structs import replace

from sidecar.core.checkpoint.state import dump_state, load_state
from sidecar.core.commit.aggregator import Aggregator
from sidecar.core.counts import custom_metrics
from sidecar.core.counts.custom_definition import CustomMetric
from sidecar.core.counts.custom_metrics import CustomCounting
from sidecar.core.counts.custom_series import CustomSeries
from sidecar.core.counts.rules import OTHER, Rules
from sidecar.core.mapping.definition import Condition
from sidecar.core.mapping.extras import WithExtras
from tests.core.counted import NOW, PUBSUB, aggregator, batch, commit, committed, order, shown

ORDERS = CustomMetric(name="shop_orders_total", type="counter", labels={"status": "status", "product": "product_id"})
AMOUNTS = CustomMetric(
    name="shop_amounts_total", type="counter", value="amount", when={"status": Condition(equals="success")}
)
SIZES = CustomMetric(name="shop_sizes", type="histogram", value="quantity", buckets=(1, 2, 5))
LOAD = CustomMetric(name="shop_load", type="gauge", event="queue", value="waiting", labels={"queue": "queue"})


def samples(aggregate: Aggregator, rules: Rules, name: str) -> list[Any]:
    custom = shown(aggregate, rules=rules).custom
    assert custom
    return [(*sample.labels.values(), sample.value) for sample in custom[name].series]


def test_a_counter_counts_the_events_of_its_type_by_its_labels() -> None:
    rules = Rules(custom_metrics=(ORDERS,))
    events = [order(product_id="a"), order(product_id="a"), order("failed"), {"type": "queue", "waiting": 1}]
    aggregate = committed(*events, rules=rules)
    assert samples(aggregate, rules, "shop_orders_total") == [("failed", "", 1.0), ("success", "a", 2.0)]


def test_a_counter_of_a_field_adds_it_up_exactly_where_its_condition_holds() -> None:
    rules = Rules(custom_metrics=(AMOUNTS,))
    events = [*[order(amount="0.10")] * 3, order("failed", amount="9"), order(), order(amount="-1")]
    aggregate = committed(*events, rules=rules)
    assert samples(aggregate, rules, "shop_amounts_total") == [(0.3,)]


def test_a_gauge_shows_its_newest_value_by_event_time() -> None:
    rules = Rules(custom_metrics=(LOAD,))
    newer, older = ({"type": "queue", "queue": "q", "waiting": n, "ts": NOW - age} for n, age in ((7, 1), (3, 2)))
    aggregate = committed(newer, older, rules=rules)
    assert samples(aggregate, rules, "shop_load") == [("q", 7.0)]
    aggregate.apply(batch({**older, "ts": NOW - 0.5}), NOW)
    commit(aggregate)
    assert samples(aggregate, rules, "shop_load") == [("q", 3.0)]
    aggregate.apply(batch(older), NOW)
    commit(aggregate)
    assert samples(aggregate, rules, "shop_load") == [("q", 3.0)]


def test_a_histogram_has_cumulative_buckets_a_count_and_a_sum() -> None:
    rules = Rules(custom_metrics=(SIZES,))
    aggregate = committed(*(order(quantity=n) for n in (1, 1, 2, 5, 9)), rules=rules)
    custom = shown(aggregate, rules=rules).custom
    assert custom
    (sample,) = custom["shop_sizes"].series
    assert (sample.count, sample.sum) == (5, 18.0)
    assert sample.buckets == {"1.0": 2, "2.0": 3, "5.0": 4, "+Inf": 5}


@pytest.mark.parametrize(
    ("times", "total", "buckets"),
    [((12.3, 50, 0.1), 62.4, [1, 3]), ((4_000_000.3, 0.000_000_1, 9), 4_000_009.3000001, [2, 2]), ((), 0, [0, 0])],
)
def test_durations_are_exact_to_the_billionth(times: tuple[float, ...], total: float, buckets: list[int]) -> None:
    metric = CustomMetric(name="shop_ms", type="histogram", value="latency_ms", buckets=(10, 50))
    rules = Rules(custom_metrics=(metric,))
    aggregate = committed(*(order(latency_ms=one) for one in times), order(latency_ms=None), rules=rules)
    custom = shown(aggregate, rules=rules).custom
    assert custom
    (sample,) = custom["shop_ms"].series
    assert (sample.count, sample.sum) == (len(times), total)
    assert sample.buckets
    assert [*sample.buckets.values()] == [*buckets, len(times)]


def test_equal_values_of_many_events_add_up_by_their_labels() -> None:
    metric = CustomMetric(name="n", type="histogram", value="amount", labels={"p": "product_id"}, buckets=(10,))
    rules = Rules(custom_metrics=(metric,))
    events = [order(product_id=name, amount=amount) for name, amount in (("a", "0.10"), ("b", "11"), ("a", "10"))]
    custom = shown(committed(*(10 * events), rules=rules), rules=rules).custom
    assert custom
    found = [(sample.labels["p"], sample.count, sample.sum, sample.buckets) for sample in custom["n"].series]
    assert found == [("a", 20, 101.0, {"10.0": 20, "+Inf": 20}), ("b", 10, 110.0, {"10.0": 0, "+Inf": 10})]


def test_a_counter_adds_up_durations_and_leaves_out_what_is_no_number() -> None:
    times = CustomMetric(name="shop_ms_total", type="counter", value="latency_ms")
    texts = CustomMetric(name="shop_texts", type="histogram", value="product_id", buckets=(1,))
    rules = Rules(custom_metrics=(times, texts))
    aggregate = committed(order(latency_ms=1.5, product_id="a"), order(latency_ms=2), rules=rules)
    assert samples(aggregate, rules, "shop_ms_total") == [(3.5,)]
    custom = shown(aggregate, rules=rules).custom
    assert custom
    assert custom["shop_texts"].series[0].count == 0


def test_more_values_than_are_remembered_count_alike() -> None:
    rules = Rules(custom_metrics=(SIZES,))
    many = custom_metrics.REMEMBERED + 10
    aggregate = committed(*(order(quantity=n + 1) for n in range(many)), rules=rules)
    custom = shown(aggregate, rules=rules).custom
    assert custom
    assert (custom["shop_sizes"].series[0].count, custom["shop_sizes"].series[0].sum) == (many, many * (many + 1) / 2)


@pytest.mark.parametrize(
    ("when", "counted"),
    [
        ({"latency_ms": Condition(above=Decimal(40))}, 1),
        ({"latency_ms": Condition(equals="42.5")}, 1),
        ({"latency_ms": Condition(equals="7")}, 1),
        ({"latency_ms": Condition(exists=True)}, 2),
        ({"status": Condition(one_of=("success", "failed"))}, 3),
        ({"status": Condition(equals="success", exists=True)}, 2),
        ({"product_id": Condition(differs_from="order_id")}, 2),
        ({"product_id": Condition(starts_with="a"), "status": Condition(equals="failed")}, 1),
    ],
)
def test_conditions_hold_for_the_fields_of_orders(when: dict[str, Condition], counted: int) -> None:
    rules = Rules(custom_metrics=(CustomMetric(name="n_total", type="counter", when=when),))
    events = [
        order(latency_ms=42.5, product_id="b", order_id="b"),
        order(latency_ms=7, product_id="c"),
        order("failed", product_id="a"),
    ]
    assert samples(committed(*events, rules=rules), rules, "n_total") == [(float(counted),)]


def test_events_of_other_types_have_fields_of_their_own_under_any_name() -> None:
    metric = CustomMetric(
        name="n", type="counter", event="payment", value="quantity", labels={"s": "status", "shop": "shop.id"}
    )
    assert metric.extras == {"status", "quantity", "shop.id"}
    differs = CustomMetric(name="n", type="counter", when={"a": Condition(differs_from="b"), "seq": Condition()})
    assert differs.extras == {"a", "b"}
    counting, into = CustomCounting([metric]), {}  # type: ignore[var-annotated]
    payloads = [
        b'{"type":"payment","status":"captured","quantity":2.5,"shop":{"id":7}}',
        b'{"type":"payment","status":"captured","quantity":true,"shop":{"id":7}}',
        '{"type":"payment","status":"captured","quantity":"1","shop":{"id":"ü"}}'.encode(),
    ]
    decoded = WithExtras(metric.extras)(payloads, [NOW] * 3)
    counting.count(decoded.events, decoded.extras, into)
    assert {tuple(key.split("\n")[2:]): str(series.number) for key, series in into.items()} == {
        ("captured", "7"): "2.5",
        ("captured", "ü"): "1",
    }


def test_without_labels_counters_and_histograms_are_there_from_the_start_at_0() -> None:
    rules = Rules(custom_metrics=(AMOUNTS, SIZES, LOAD))
    custom = shown(committed(rules=rules), rules=rules).custom
    assert custom
    assert [len(metric.series) for metric in custom.values()] == [1, 1, 0]
    assert custom["shop_sizes"].series[0].count == 0


def test_without_custom_metrics_nothing_is_shown() -> None:
    assert not shown(committed(order())).custom


def test_beyond_the_limit_series_are_one_and_the_sum_stays_right() -> None:
    rules = Rules(
        custom_metrics=(CustomMetric(name="n_total", type="counter", labels={"order": "order_id"}, max_series=2),)
    )
    aggregate = committed(*(order(order_id=str(n)) for n in (1, 2, 3, 4, 1)), rules=rules)
    assert samples(aggregate, rules, "n_total") == [("1", 2.0), ("2", 1.0), (OTHER, 2.0)]


def test_an_event_type_that_only_a_custom_metric_counts_is_not_ignored() -> None:
    rules = Rules(custom_metrics=(CustomMetric(name="views_total", type="counter", event="page_view"),))
    aggregate = committed({"type": "page_view"}, {"type": "other"}, rules=rules)
    assert samples(aggregate, rules, "views_total") == [(1.0,)]
    assert shown(aggregate, rules=rules).completeness.ignored == 1


@pytest.mark.parametrize("value", ["much", True, None, "NaN", 10**16])
def test_a_value_that_is_no_number_counts_nothing(value: Any) -> None:
    rules = Rules(custom_metrics=(CustomMetric(name="n", type="gauge", value="product_id"),))
    aggregate = committed(order(product_id=value), rules=rules)
    assert samples(aggregate, rules, "n") == []


def test_duplicates_count_once() -> None:
    rules = Rules(custom_metrics=(ORDERS,))
    numbered = order(producer="p", epoch=1, seq=1)
    assert samples(committed(numbered, numbered, rules=rules), rules, "shop_orders_total") == [("success", "", 1.0)]


def test_what_is_pending_or_in_flight_is_added_to_what_was_loaded() -> None:
    rules = Rules(custom_metrics=(ORDERS, AMOUNTS, SIZES))
    before = committed(*[order(amount="1.5")] * 2, rules=rules)
    aggregate = aggregator(rules)
    aggregate.load(before.fields(), same_generation=False)
    aggregate.apply(batch(order(amount="1.5")), NOW)
    flight = aggregate.freeze(NOW)
    aggregate.apply(batch(order(amount="1.5")), NOW)
    aggregate.thaw(flight)
    commit(aggregate)
    assert samples(aggregate, rules, "shop_orders_total") == [("success", "", 4.0)]
    assert samples(aggregate, rules, "shop_amounts_total") == [(6.0,)]
    again = load_state(dump_state(aggregate.committed)).custom
    assert {key: part.dump() for key, part in again.items()} == {
        key: part.dump() for key, part in aggregate.committed.custom.items()
    }


def test_a_changed_definition_restarts_from_0_and_that_is_known() -> None:
    before = committed(order(), order("failed"), rules=Rules(custom_metrics=(ORDERS,)))
    changed = CustomMetric(name="shop_orders_total", type="counter", labels={"status": "status"})
    rules = Rules(custom_metrics=(changed,))
    aggregate = aggregator(rules)
    aggregate.load(before.fields(), same_generation=False)
    assert aggregate.redefined == {"shop_orders_total"}
    flight = commit(aggregate)
    assert {key for section, key in flight.removed if section == "custom"} == before.committed.custom.keys()
    assert samples(aggregate, rules, "shop_orders_total") == []


def test_the_help_and_the_limit_change_no_series() -> None:
    metric = CustomMetric(name="n_total", type="counter")
    assert CustomMetric(name="n_total", type="counter", help="Other.", max_series=7).key == metric.key


def test_series_of_metrics_that_are_not_configured_stay_stored() -> None:
    before = committed(order(), rules=Rules(custom_metrics=(ORDERS,)))
    aggregate = aggregator()
    aggregate.load(before.fields(), same_generation=False)
    commit(aggregate)
    assert aggregate.committed.custom.keys() == before.committed.custom.keys()


def test_a_clear_empties_them() -> None:
    rules = Rules(custom_metrics=(AMOUNTS,))
    aggregate = committed(order(amount=1), rules=rules)
    aggregate.clear(NOW)
    assert samples(aggregate, rules, "shop_amounts_total") == [(0.0,)]


def test_a_higher_limit_admits_another_series() -> None:
    metric = CustomMetric(name="n_total", type="counter", labels={"order": "order_id"}, max_series=1)
    before = committed(order(order_id="1"), order(order_id="2"), rules=Rules(custom_metrics=(metric,)))
    rules = Rules(custom_metrics=(replace(metric, max_series=2),))
    aggregate = aggregator(rules)
    aggregate.load(before.fields(), same_generation=False)
    aggregate.apply(batch(order(order_id="3")), NOW)
    commit(aggregate)
    assert samples(aggregate, rules, "n_total") == [("1", 1.0), ("3", 1.0), (OTHER, 1.0)]


def test_after_a_clear_there_is_room_for_other_series() -> None:
    metric = CustomMetric(name="n_total", type="counter", labels={"order": "order_id"}, max_series=1)
    rules = Rules(custom_metrics=(metric,))
    aggregate = committed(order(order_id="old"), rules=rules)
    aggregate.clear(NOW)
    aggregate.apply(batch(order(order_id="new")), NOW)
    commit(aggregate)
    assert samples(aggregate, rules, "n_total") == [("new", 1.0)]


def test_a_line_break_in_a_label_is_a_space() -> None:
    rules = Rules(custom_metrics=(ORDERS,))
    aggregate = committed(order(product_id="a\nb"), rules=rules)
    assert samples(aggregate, rules, "shop_orders_total") == [("success", "a b", 1.0)]


def test_a_gauge_goes_on_after_the_clock_was_set_back() -> None:
    rules = Rules(custom_metrics=(LOAD, ORDERS))
    load = {"type": "queue", "queue": "q", "waiting": 7}
    aggregate = committed(load, order(), rules=rules)
    aggregate.step(-600.0, NOW - 600)
    aggregate.apply(batch({**load, "waiting": 2}, at=NOW - 599), NOW - 599)
    commit(aggregate, NOW - 599)
    assert samples(aggregate, rules, "shop_load") == [("q", 2.0)]
    assert samples(aggregate, rules, "shop_orders_total") == [("success", "", 1.0)]


def test_a_copy_of_a_series_is_independent() -> None:
    series = CustomSeries(2)
    twin = series.copy()
    twin.number += Decimal(1)
    twin.buckets[0] += 1
    assert series.dump() == [0, "0", 0.0, [0, 0]]


def test_fields_that_events_have_no_place_for_are_read_from_the_payload() -> None:
    metric = CustomMetric(
        name="vouchers_total", type="counter", labels={"code": "voucher"}, when={"voucher": Condition(exists=True)}
    )
    assert metric.extras == {"voucher"}
    rules = Rules(custom_metrics=(metric,))
    aggregate = Aggregator(rules, Random(1), {PUBSUB: WithExtras(metric.extras)})
    aggregate.apply(batch(order(voucher="A"), order(), order("failed", voucher="A")), NOW)
    commit(aggregate)
    assert samples(aggregate, rules, "vouchers_total") == [("A", 2.0)]


def test_what_events_hold_is_read_like_a_payload() -> None:
    fields = custom_metrics._EventLookup("order", custom_metrics._Extras())
    assert fields.elements("items") is fields
