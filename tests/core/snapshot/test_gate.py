"""The gate: what passes, what fails, and what nobody can say."""

from typing import Any

import pytest
from msgspec.structs import replace

from sidecar.core.counts.manifest import Threshold
from sidecar.core.counts.sale import Sale
from sidecar.core.snapshot.gate import judge
from sidecar.core.snapshot.report import Report, report
from sidecar.core.snapshot.snapshot import Inventory, PhaseEntry, PhaseOrders, Phases, SellOut, Summary
from sidecar.errors import ConfigError
from tests.core.counted import NOW, committed, order, shown

MANY = Summary(count=5000, avg=100.0, min=1.0, p50=90.0, p90=150.0, p95=180.0, p99=700.0, p999=900.0, max=950.0)
RUSH = PhaseOrders(finished=300, failed=30, refusals=20, faults=10, latency_ms=MANY, processing_ms=Summary(count=9))


def made(**changes: Any) -> Report:
    """Report 4 orders, one of them a fault, in a sale of 100 s, of which 60 were the rush; `changes` replace fields."""
    events = [order(product_id="a", amount="9.50", currency="EUR", quantity=2)] * 2
    events += [order("failed", reason="timeout"), order("failed", reason="sold_out")]
    events += [{"type": "queue", "queue": "q", "waiting": 7}, {"type": "inventory", "product_id": "a", "stock": -3}]
    found = report(shown(committed(*events)))
    changes_ = [PhaseEntry(at=NOW - 100, phase="rush", trigger=""), PhaseEntry(at=NOW - 40, phase="tail", trigger="")]
    gone = Inventory(0, sell_out=SellOut("sold_out", at=NOW - 10))
    known: dict[str, Any] = {
        "sale": Sale("drop", "ended", NOW - 100, NOW, "command", "command"),
        "phases": Phases(now="ended", since=NOW, changes=changes_, orders={"rush": RUSH}),
        "latency_ms": replace(found.latency_ms, total=MANY, by_status={"success": MANY}),
        "completeness": replace(found.completeness, ratio=1.0),
        "inventory": {**found.inventory, "b": gone, "c": replace(gone, sell_out=SellOut("sold_out", at=NOW - 60))},
    }
    return replace(found, **known | changes)


REPORT = made()
INCOMPLETE = made(completeness=replace(REPORT.completeness, ratio=0.99))


def line(name: str, text: str, found: Report = REPORT, baseline: Report | None = None) -> Any:
    return judge({name: [Threshold(threshold=text)]}, found, baseline).lines[0]


@pytest.mark.parametrize(
    ("name", "text", "value", "outcome"),
    [
        ("orders", "count==4", 4, "pass"),
        ("orders", "rate>=0.04", 0.04, "pass"),
        ("orders{phase:rush}", "rate>5", 5, "fail"),
        ("orders{product:a}", "count<2", 2, "fail"),
        ("units_sold", "count==4", 4, "pass"),
        ("units_sold{product:a}", "count>=4", 4, "pass"),
        ("revenue", "count==19", 19, "pass"),
        ("revenue{currency:EUR}", "count<19", 19, "fail"),
        ("faults", "count<=1", 1, "pass"),
        ("refusals", "count<1", 1, "fail"),
        ("refusals{phase:rush}", "count==20", 20, "pass"),
        ("fault_rate", "rate<0.3", 0.25, "pass"),
        ("fault_rate{phase:rush}", "rate<0.01", 10 / 300, "fail"),
        ("latency_ms", "p(99)<800", 700, "pass"),
        ("latency_ms", "p(99)<600", 700, "fail"),
        ("latency_ms", "p(99)<705", 700, "inconclusive"),
        ("latency_ms", "max<950", 950, "fail"),
        ("latency_ms", "med<100", 90, "pass"),
        ("latency_ms", "p(99.9)<2000", None, "inconclusive"),
        ("latency_ms{phase:rush}", "avg<=100", 100, "pass"),
        ("latency_ms{status:success}", "min>0", 1, "pass"),
        ("processing_ms{phase:rush}", "p(50)<9", None, "inconclusive"),
        ("processing_ms{phase:rush}", "avg<9", None, "inconclusive"),
        ("latency_ms{phase:sold_out}", "avg<9", None, "inconclusive"),
        ("orders{phase:sold_out}", "rate<9", None, "inconclusive"),
        ("sell_out_s", "max<=100", 100, "pass"),
        ("sell_out_s", "min<=40", 40, "pass"),
        ("sell_out_s", "avg<60", 230 / 3, "fail"),
        ("sell_out_s", "p(99)<60", None, "inconclusive"),
        ("queue_waiting", "value<7", 7, "fail"),
        ("queue_waiting{queue:q}", "value==7", 7, "pass"),
        ("oversold_units", "value==0", 3, "fail"),
        ("oversold_units{product:b}", "value==0", 0, "pass"),
        ("completeness", "value>=0.9999", 1, "pass"),
        ("unfinished", "value==0", None, "inconclusive"),
    ],
)
def test_a_threshold_has_a_value_and_an_outcome(name: str, text: str, value: float | None, outcome: str) -> None:
    found = line(name, text)
    assert (found.value, found.outcome) == (value if value is None else pytest.approx(value), outcome)
    assert bool(found.detail) == (outcome == "inconclusive")


def test_where_events_are_missing_only_what_is_no_count_can_pass() -> None:
    assert line("orders", "count==4", INCOMPLETE).outcome == "inconclusive"
    assert line("completeness", "value>=0.9999", INCOMPLETE).outcome == "fail"
    unknown = made(completeness=replace(REPORT.completeness, ratio=None))
    assert line("orders", "count==4", unknown).outcome == "pass"
    assert line("completeness", "value>0.9", unknown).outcome == "inconclusive"


def test_nothing_can_be_said_of_a_sale_that_sold_nothing() -> None:
    empty = report(shown(committed()))
    assert [
        line(name, text, empty).outcome
        for name, text in (
            ("fault_rate", "rate<1"),
            ("orders", "rate>1"),
            ("sell_out_s", "max<9"),
            ("queue_waiting", "value<9"),
            ("oversold_units", "value==0"),
        )
    ] == ["inconclusive"] * 5
    assert line("orders", "count==0", empty).outcome == "pass"


def test_a_baseline_is_the_same_value_of_another_report() -> None:
    better = made(latency_ms=replace(REPORT.latency_ms, total=replace(MANY, p99=500.0)))
    assert line("latency_ms", "p(99)<=1.10*baseline", REPORT, REPORT).outcome == "pass"
    found = line("latency_ms", "p(99)<=1.10*baseline", REPORT, better)
    assert (found.limit, found.outcome) == (pytest.approx(550), "fail")
    few = made(latency_ms=replace(REPORT.latency_ms, total=replace(MANY, count=9)))
    assert line("latency_ms", "p(99)<baseline", REPORT, few).outcome == "inconclusive"


@pytest.mark.parametrize(
    ("text", "on", "delay", "aborts"),
    [
        ("count>9", True, 0.0, True),
        ("count>9", True, 101.0, False),
        ("count>9", False, 0.0, False),
        ("count>3", True, 0.0, False),
    ],
)
def test_a_threshold_that_breaks_may_end_a_rehearsal(text: str, on: bool, delay: float, aborts: bool) -> None:
    threshold = Threshold(threshold=text, abort_on_fail=on, delay_abort_seconds=delay)
    assert judge({"orders": [threshold]}, REPORT).lines[0].aborts == aborts


def test_an_optional_threshold_does_not_decide() -> None:
    thresholds = {"orders": [Threshold(threshold="count>9", optional=True), Threshold(threshold="count>3")]}
    assert judge(thresholds, REPORT).passed
    assert not judge({"orders": [Threshold(threshold="count>9")]}, REPORT).passed
    assert not judge({"unfinished": [Threshold(threshold="value==0")]}, REPORT).passed


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("latencyms", "p(99)<1", 'did you mean "latency_ms"'),
        ("orders", "p(99)<1", "orders is a counter"),
        ("orders{product:x}", "count>1", "there is no product 'x' in the report, but a"),
        ("latency_ms{phase:tial}", "avg<1", "there is no phase 'tial' in the report, but planned"),
        ("orders", "count>baseline", "there is no baseline"),
    ],
)
def test_what_cannot_be_meant_is_an_error(name: str, text: str, says: str) -> None:
    with pytest.raises(ConfigError) as error:
        line(name, text)
    assert says in str(error.value)


def test_no_threshold_at_all_is_an_error() -> None:
    with pytest.raises(ConfigError, match="there is no threshold"):
        judge({}, REPORT)
