"""Our lines against those of prometheus-client, for the same families."""

import math
import random
from collections.abc import Callable, Iterable

import pytest
from prometheus_client import generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.openmetrics import exposition as openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text
from prometheus_client.registry import Collector

from sidecar.core.counts.exemplars import Exemplar
from sidecar.core.snapshot.snapshot import Inventory, ProductOrders, Snapshot
from sidecar.exposition.prometheus.families import snapshot_families
from sidecar.exposition.prometheus.negotiation import Format
from sidecar.exposition.prometheus.text import BLOCK, Column, Family, Writer
from tests.exposition import snapshots
from tests.exposition.monitors import parse_openmetrics
from tests.exposition.prometheus.library import Metrics
from tests.exposition.snapshots import histogram, orders, series
from tests.guarantees import in_campaign

END = "# EOF\n"  # of OpenMetrics; it comes after the families of the process
GENERATE: dict[Format, Callable[[Collector], bytes]] = {
    Format.TEXT: generate_latest,
    Format.OPENMETRICS: openmetrics.generate_latest,
}
PARSE: dict[Format, Callable[[str], Iterable[Metric]]] = {
    Format.TEXT: parse_text,
    Format.OPENMETRICS: parse_openmetrics,
}
VALUES = (0, 1, -1, 999_999, 1_000_000, 10**7, 1_234_567, 10**15, 2**63, 10**17, 0.0, -0.0, 0.1, 1 / 3, 1e-7, -2.5,
          70.0, 123_456.5, 1_234_567.25, 1e16, 1e300, -1e9, math.inf, -math.inf, math.nan)  # fmt: skip
CHARACTERS = 'a"\\\n{}=, \t\x00\x7fµ€😀#n'


def written(families: Iterable[Family], format: Format, writer: Writer | None = None) -> str:
    return "".join(line for lines in (writer or Writer()).write(families, format) for line in lines)


def by_the_library(families: Iterable[Family], format: Format) -> str:
    return GENERATE[format](Metrics(families, created=format is Format.OPENMETRICS)).decode().removesuffix(END)


def families(snapshot: Snapshot) -> list[Family]:
    assert snapshot.series
    return list(snapshot_families(snapshot, snapshot.series, 'te"st\\', ("pubsub:a", "stream:b\n")))


def gauges(values: Iterable[int | float]) -> list[Family]:
    numbers = list(values)
    keys = [(str(place),) for place in range(len(numbers))]
    return [Family("some", "gauge", "Some.", [Column("", ("place",), keys, numbers)])]


def drawn(rng: random.Random) -> Snapshot:
    """Return a Snapshot with odd names and numbers."""

    def name() -> str:
        return "".join(rng.choices(CHARACTERS, k=rng.randrange(8)))

    def some(most: int = 500) -> list[str]:
        return list({name() for _ in range(rng.randrange(most))})

    trace = name().translate({ord("#"): None, ord("}"): None})  # the library's own parser stumbles over them
    exemplar = Exemplar({"trace_id": trace, "order_id": trace}, rng.choice((0.02, 3, 1e6)), 1_790_000_000.25)
    latency = {"success": histogram(1, rng.randrange(10**9), 3, 0, exemplars={1: exemplar, 3: exemplar})}
    numbers = [value for value in VALUES if value >= 0]
    return snapshots.snapshot(
        orders=orders(
            by_product={product: ProductOrders(rng.randrange(10**7), 2, 3, 4, 5) for product in some()},
            revenue={currency: str(rng.choice((0.01, 10**8))) for currency in some(5)},
        ),
        inventory={product: Inventory(rng.randrange(-5, 10**7), rng.choice(numbers), None) for product in some()},
        series=series(
            latency=latency,
            faults=dict.fromkeys(some(20), 1),
            held=frozenset(("product", product) for product in some(5)),
        ),
    )


@pytest.mark.parametrize("format", GENERATE)
@pytest.mark.parametrize("snapshot", [snapshots.snapshot(), snapshots.empty()], ids=["full", "empty"])
def test_every_byte_is_the_library_s(snapshot: Snapshot, format: Format) -> None:
    assert written(families(snapshot), format) == by_the_library(families(snapshot), format)


@pytest.mark.parametrize("format", GENERATE)
def test_every_number_is_spelled_as_the_library_does(format: Format) -> None:
    assert written(gauges(VALUES), format) == by_the_library(gauges(VALUES), format)


@pytest.mark.parametrize("turns", [2, *in_campaign(20)])
@pytest.mark.parametrize("format", GENERATE)
def test_odd_names_and_numbers_are_read_as_what_the_library_writes(format: Format, turns: int) -> None:
    seed = random.randrange(10**9)
    rng, writer = random.Random(seed), Writer()
    for turn in range(turns):
        shown = families(drawn(rng))
        ours, theirs = written(shown, format, writer), by_the_library(shown, format)
        assert ours == theirs, f"seed {seed}, turn {turn}"
        read = [list(PARSE[format](text + END * (format is Format.OPENMETRICS))) for text in (ours, theirs)]
        assert repr(read[0]) == repr(read[1]), f"seed {seed}, turn {turn}"  # NaN is not equal to itself
        values = {value for family in read[0] for sample in family.samples for value in sample.labels.values()}
        expected = {value for family in shown for column in family.columns for key in column.keys for value in key}
        assert values == expected, f"seed {seed}, turn {turn}"


@pytest.mark.parametrize("format", GENERATE)
def test_labels_that_come_go_and_stay_keep_their_own_values(format: Format) -> None:
    writer = Writer()
    for products in (["a", "b", "c"], ["a", "b", "c"], ["b", "c", "d"], [], ["c"], [str(n) for n in range(2 * BLOCK)]):
        by_product = {product: ProductOrders(success=len(product) + n) for n, product in enumerate(products)}
        shown = families(snapshots.snapshot(orders=orders(by_product=by_product)))
        assert written(shown, format, writer) == by_the_library(shown, format)


def test_a_clear_is_the_new_time_at_which_the_same_labels_began() -> None:
    writer = Writer()
    for since in (1_790_000_000.5, 1_790_000_000.5, 1_790_000_300.25, None):
        shown = families(snapshots.snapshot(since=since))
        assert written(shown, Format.OPENMETRICS, writer) == by_the_library(shown, Format.OPENMETRICS)


def test_what_is_written_in_one_go_is_bounded() -> None:
    sizes = [len(lines) for lines in Writer().write(gauges(range(BLOCK * 5 // 2)), Format.TEXT)]
    assert sizes == [2, BLOCK, BLOCK, BLOCK // 2]


def test_labels_that_are_gone_are_forgotten() -> None:
    writer = Writer()
    written(gauges(range(5000)), Format.TEXT, writer)
    written(gauges(range(3)), Format.TEXT, writer)
    assert [(len(keys), len(heads)) for keys, heads in writer._spelled.values()] == [(3, 3)]
