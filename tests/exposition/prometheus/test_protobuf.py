"""Our messages as protobuf's own library reads them, against the text formats."""

import gzip
import random
from fractions import Fraction
from typing import Any

import pytest
from msgspec.structs import replace
from prometheus_client.parser import text_string_to_metric_families as parse_text

from sidecar.core.counts.exemplars import Exemplar
from sidecar.core.counts.histogram import Histogram
from sidecar.core.snapshot.snapshot import ProductOrders, Snapshot
from sidecar.exposition.prometheus.families import snapshot_families
from sidecar.exposition.prometheus.negotiation import Format
from sidecar.exposition.prometheus.protobuf import Encoder
from sidecar.exposition.published import Published
from tests.exposition import snapshots
from tests.exposition.monitors import exposition, parse_openmetrics
from tests.exposition.prometheus.messages import COUNTER, GAUGE, HISTOGRAM, Samples, decoded, fine, samples
from tests.exposition.snapshots import orders, series
from tests.guarantees import in_campaign

EVERYTHING = snapshots.snapshot(custom=snapshots.CUSTOM)
LATENCY = "flash_sale_order_latency_seconds"
LIVE = ("process_", "python_gc_")  # their values change all the time
NS = Fraction(1, 10**9)


async def rendered(snapshot: Snapshot | None, *formats: Format, names: tuple[str, ...] = ()) -> list[bytes]:
    published, exposed = None if snapshot is None else Published(snapshot), exposition()
    return [await exposed.render(lambda: published, format, names) for format in formats]


def messages(snapshot: Snapshot, encoder: Encoder) -> dict[str, Any]:
    """Return the families of a Snapshot alone."""
    assert snapshot.series
    families = snapshot_families(snapshot, snapshot.series, "test", ("pubsub:a",))
    return decoded(b"".join(map(encoder.encode, families)))


def in_text(exposed: bytes) -> Samples:
    found = [sample for family in parse_text(exposed.decode()) for sample in family.samples]
    return {(one.name, frozenset(one.labels.items())): one.value for one in found}


def steady(found: Samples) -> Samples:
    return {key: value for key, value in found.items() if not key[0].startswith(LIVE)}


def seconds(timestamp: Any) -> float:
    return float(timestamp.seconds + timestamp.nanos / 1e9)


@pytest.mark.parametrize(
    "snapshot", [EVERYTHING, snapshots.empty(), None], ids=["everything", "first of a daemon", "standby"]
)
async def test_every_sample_is_that_of_the_text(snapshot: Snapshot | None) -> None:
    binary, text = await rendered(snapshot, Format.PROTOBUF, Format.TEXT)
    found, expected = samples(decoded(binary)), in_text(text)
    assert found.keys() == expected.keys()
    assert steady(found) == steady(expected)


async def test_names_helps_types_and_start_timestamps_are_those_of_openmetrics() -> None:
    binary, text = await rendered(EVERYTHING, Format.PROTOBUF, Format.OPENMETRICS)
    families = decoded(binary)
    types = {"counter": COUNTER, "gauge": GAUGE, "histogram": HISTOGRAM}
    for family in parse_openmetrics(text.decode()):
        found = families.pop(family.name + ("_total" if family.type == "counter" else ""))
        assert (found.help, found.type) == (family.documentation, types[family.type])
        counts = [one.histogram if found.type == HISTOGRAM else one.counter for one in found.metric]
        began = [seconds(one.created_timestamp) for one in counts if one.HasField("created_timestamp")]
        expected = [one.value for one in family.samples if one.name.endswith("_created")]
        assert began == pytest.approx(expected, abs=1e-6), found.name
    assert not families


def test_a_bucket_has_its_exemplar_with_a_timestamp_in_milliseconds() -> None:
    exemplar = Exemplar({"trace_id": "4bf9", "order_id": "o-1"}, 0.04, 1_790_000_000.123)
    latency = {"success": snapshots.histogram(1, 5, 1, 0, exemplars={1: exemplar})}
    (metric,) = messages(snapshots.snapshot(series=series(latency=latency)), Encoder())[LATENCY].metric
    assert [bucket.HasField("exemplar") for bucket in metric.histogram.bucket] == [False, True, False, False]
    found = metric.histogram.bucket[1].exemplar
    assert [(pair.name, pair.value) for pair in found.label] == [("order_id", "o-1"), ("trace_id", "4bf9")]
    assert (found.value, found.timestamp.seconds) == (0.04, 1_790_000_000)
    assert found.timestamp.nanos == 123_000_000, "exactly: Prometheus cuts it to milliseconds"


def durations(rng: random.Random) -> list[int]:
    """Return nanoseconds: the first and last of some buckets, their neighbours, and any."""
    bounds = [int(2 ** (k / 32) * 10**9) + rng.randrange(-1, 2) for k in rng.choices(range(-700, 545), k=30)]
    return [max(ns, 0) for ns in (*bounds, 0, 1, 999, 1000, 1001, 10**9, 2 * 10**9, int(rng.lognormvariate(18, 2)))]


@pytest.mark.parametrize("turns", [3, *in_campaign(100)])
def test_native_buckets_hold_what_schema_5_says(turns: int) -> None:
    """Bucket k of schema 5 has values above 2^(k/32 - 1/32) s, up to 2^(k/32) s."""
    seed = random.randrange(10**9)
    rng = random.Random(seed)
    for _ in range(turns):
        values = durations(rng)
        every = Histogram()
        every.update(values)
        counted = replace(snapshots.histogram(0, 0, 0, len(values)), fine=every.counts_since(Histogram()))
        snapshot = snapshots.snapshot(series=series(processing={"failed": counted}))
        (metric,) = messages(snapshot, Encoder())["flash_sale_order_processing_seconds"].metric
        native = metric.histogram
        assert (native.schema, native.sample_count, native.sample_sum) == (5, len(values), 0.378), seed
        buckets = fine(native)
        assert native.zero_count + sum(buckets.values()) == len(values), seed
        assert native.zero_count == sum(ns * NS <= Fraction(native.zero_threshold) + NS / 1000 for ns in values), seed
        beyond = sorted(ns for ns in values if ns > 999)
        for k in sorted(buckets):
            inside = [beyond.pop(0) for _ in range(buckets[k])]
            assert all(Fraction(2) ** (k - 1) < (ns * NS) ** 32 <= Fraction(2) ** k for ns in inside), (seed, k)


def test_a_histogram_without_samples_is_native_too() -> None:
    """Prometheus would take it for a classic one, and have two kinds under one name."""
    empty = replace(snapshots.histogram(0, 0, 0, 0), sum_seconds=0.0)
    (metric,) = messages(snapshots.snapshot(series=series(latency={"failed": empty})), Encoder())[LATENCY].metric
    assert metric.histogram.zero_threshold == 999e-9
    assert not metric.histogram.positive_span


def test_the_count_of_a_native_histogram_is_that_of_its_buckets_even_while_counters_are_held() -> None:
    """Prometheus refuses any other."""
    held = replace(snapshots.histogram(1, 5, 0, 0), fine={0: 1, 500: 5, 501: 2})
    (metric,) = messages(snapshots.snapshot(series=series(latency={"success": held})), Encoder())[LATENCY].metric
    assert metric.histogram.sample_count == 8


def test_labels_that_come_go_and_stay_keep_their_own_values_also_after_a_clear() -> None:
    encoder, since = Encoder(), 1_790_000_000.25
    for products in (["a", "b"], ["a", "b"], ["b", 'é😀\\"\n', "c" * 200], [], ["c"]):
        for began in (since, since, 1_790_010_000.0):  # fewer bytes
            by_product = {product: ProductOrders(success=len(product) + n) for n, product in enumerate(products)}
            shown = snapshots.snapshot(since=began, orders=orders(by_product=by_product))
            kept, fresh = messages(shown, encoder), messages(shown, Encoder())
            assert kept == fresh
            units = kept["flash_sale_product_orders_total"].metric if products else []
            assert {seconds(metric.counter.created_timestamp) for metric in units} <= {began}


@pytest.mark.parametrize("value", [0, 1, 127, 128, 16_383, 16_384, 2**40, 0.1, -2.5, 1e300, float("inf")])
def test_values_of_every_size_arrive(value: float) -> None:
    custom = snapshots.CUSTOM["shop_workers"]
    sample = replace(custom.series[0], value=value)
    shown = snapshots.snapshot(custom={"shop_workers": replace(custom, series=[sample])})
    assert messages(shown, Encoder())["shop_workers"].metric[0].gauge.value == value


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ((LATENCY,), {LATENCY}),
        ((f"{LATENCY}_count",), {LATENCY}),
        (("python_info", "process_cpu_seconds_total"), {"python_info", "process_cpu_seconds_total"}),
        (("flash_sale_orders",), {"flash_sale_orders_total"}),
        (("flash_sale_sidecar_commit_duration_seconds_sum",), {"flash_sale_sidecar_commit_duration_seconds"}),
        (("nonsense",), set()),
    ],
)
async def test_a_filter_takes_whole_families(names: tuple[str, ...], expected: set[str]) -> None:
    binary, whole = [(await rendered(EVERYTHING, Format.PROTOBUF, names=of))[0] for of in (names, ())]
    found = samples(decoded(binary))
    assert decoded(binary).keys() == expected
    assert found.keys() <= samples(decoded(whole)).keys()


async def test_it_is_rendered_once_and_packed_on_demand() -> None:
    published, exposed = Published(EVERYTHING), exposition()
    plain = await exposed.render(lambda: published, Format.PROTOBUF)
    assert await exposed.render(lambda: published, Format.PROTOBUF) is plain
    assert gzip.decompress(await exposed.render(lambda: published, Format.PROTOBUF, gzipped=True)) == plain
