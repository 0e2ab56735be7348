"""The manifest of a sale: what it says, and the line and key of each mistake."""

from decimal import Decimal
from pathlib import Path

import pytest

from sidecar.config.manifest import MOST_BYTES, parse_manifest, read_manifest
from sidecar.core.counts.manifest import Manifest, Marker, PlannedProduct, RushRule, Slo, Threshold
from sidecar.errors import ConfigError
from tests.test_docs import blocks

START = 1_795_766_400.0
LEAST = "version: 1\nsale: drop\nstarts_at: 2026-11-27T09:00:00+01:00\n"
WHOLE = """version: 1
sale: 2026-11-27-sneaker-drop
title: Sneaker drop
kind: rehearsal
starts_at: 2026-11-27T09:00:00+01:00
duration: 20m
warm_up: 10m
drain: 2m
currency: EUR
products:
  - {id: sku-1, title: "Sneaker 42", stock: 5000, price: "99.00", safety_stock: 10}
  - {id: sku-2}
stock_model: on_pending
refusals: [sold_out, limit_reached]
expected: {orders: 16000, peak_per_second: 250, connections: 20000}
slo:
  - {name: orders, bad: fault, target: 0.99}
  - {name: latency, bad: "latency_ms > 800", target: 0.995}
phases:
  rush: {for: 60s}
thresholds:
  fault_rate: ["rate<0.01"]
  latency_ms{phase:rush}: [{threshold: "p(99)<1200", optional: true, abortOnFail: true, delayAbortEval: 10s}]
baseline: 2026-11-20-rehearsal
markers: [{at: +5m, text: push}, {at: 2026-11-27T09:10:00+01:00, text: coupon}]
"""


def test_a_whole_manifest_is_read(tmp_path: Path) -> None:
    file = tmp_path / "drop.yml"
    file.write_text(WHOLE)
    found = read_manifest(str(file))
    assert (found.kind, found.starts_at, found.ends_at, found.over_at) == (
        "rehearsal",
        START,
        START + 1200,
        START + 1320,
    )
    assert found.products[0] == PlannedProduct(
        id="sku-1", title="Sneaker 42", stock=5000, price=Decimal("99.00"), safety_stock=10
    )
    assert found.slo[1] == Slo(name="latency", bad="latency_ms > 800", target=0.995)
    assert found.phases.rush == RushRule(seconds=60.0)
    assert found.thresholds["fault_rate"] == (Threshold(threshold="rate<0.01"),)
    assert found.thresholds["latency_ms{phase:rush}"][0].delay_abort_seconds == 10
    assert found.markers == (Marker(at=START + 300, text="push"), Marker(at=START + 600, text="coupon"))


def test_the_least_has_neither_end_nor_products() -> None:
    assert parse_manifest(LEAST.encode(), "m") == Manifest(version="1", sale="drop", starts_at=START)
    assert parse_manifest(b'{"version":1,"sale":"drop","starts_at":1795766400}', "m").over_at is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "m: is empty"),
        ("- a", "m:1: manifest consists of settings"),
        ("version: 1\nsale: drop", "m:1: manifest needs starts_at"),
        (LEAST + "prodcts: []", "m:4: manifest has no setting 'prodcts'; did you mean \"products\"?"),
        (LEAST + "title: a\ntitle: b", "m:5: title is set twice"),
        (LEAST.replace("version: 1", "version: 2"), "m:1: manifest.version must be one of 1"),
        (LEAST.replace("+01:00", ""), "m:3: starts_at needs an offset"),
        (LEAST.replace("2026-11-27T", "soon "), "m:3: starts_at must be a time such as 2026-11-27T09:00:00+01:00"),
        (LEAST + "ends_at: 2026-11-27T08:00:00+01:00", "m:4: ends_at must be after starts_at"),
        (LEAST + "ends_at: 2026-11-27T10:00:00+01:00\nduration: 5m", "m:5: duration and ends_at are both set"),
        (LEAST + "duration: 20", "m:4: duration needs a unit"),
        (LEAST + "drain: 2x", "m:4: drain must be a duration"),
        (LEAST.replace("drop", "Drop 1"), "m:2: sale has at most 63 characters"),
        (LEAST + "baseline: Last one", "m:4: baseline is the id of a sale"),
        (LEAST + "kind: test", "m:4: manifest.kind must be one of live, rehearsal, replay"),
        (LEAST + "products: [{id: a}, {id: a}]", 'm:4: products.0.id "a" is there 2 times'),
        (LEAST + "products: [{id: a, stock: -1}]", "m:4: products.0 has a number below 0"),
        (LEAST + "products: [{id: a, stock: 1, safety_stock: 2}]", "m:4: products.0.safety_stock is more than"),
        (LEAST + "products: [{id: a, stock: many}]", "m:4: manifest.products[0].stock must be a whole number"),
        (LEAST + "expected: {orders: 0}", "m:4: expected.orders must be above 0"),
        (LEAST + "slo: [{name: a, target: 1}]", "m:4: slo.0.target must be between 0 and 1"),
        (LEAST + "slo: [{name: a, target: 0.9, bad: slow}]", "m:4: slo.0.bad must be `fault`, or a latency"),
        (LEAST + "slo: [{name: a, target: .9}, {name: a, target: .9}]", 'm:4: slo.0.name "a" is there 2 times'),
        (
            LEAST + "thresholds:\n  orders: [{threshold: a, delayAbortEval: 10}]",
            "m:5: thresholds.orders[0].delayAbortE",
        ),
        (
            LEAST + "slo: [{name: a, target: .9, bad: latency_ms > 8}, {name: b, target: .9, bad: latency_ms > 9}]",
            "m:4: s",
        ),
        (LEAST + "thresholds:\n  latencyms: p(99)<800", "m:5: thresholds.latencyms.0 there is no metric 'latencyms'"),
        (LEAST + "thresholds: {latency_ms: p(99)<800ms}", "m:4: thresholds.latency_ms.0 'p(99)<800ms': write a plain"),
        (LEAST + "title: [", "m:4: not valid YAML"),
        ("#" * MOST_BYTES + "#", "m: a manifest has at most 1,000,000 bytes"),
    ],
)
def test_a_mistake_has_its_line_and_key(text: str, message: str) -> None:
    with pytest.raises(ConfigError) as error:
        parse_manifest(text.encode(), "m")
    assert str(error.value).startswith(message)


def test_what_is_no_text_or_no_file_is_an_error() -> None:
    with pytest.raises(ConfigError, match="is not UTF-8 text"):
        parse_manifest(b"\xff", "m")
    with pytest.raises(ConfigError, match="cannot read the manifest"):
        read_manifest("/none")


def test_the_example_of_the_docs_is_one() -> None:
    [text] = blocks("docs/reference/manifest.md", "yml")
    assert parse_manifest(text.encode(), "m").sale == "2026-11-27-sneaker-drop"
