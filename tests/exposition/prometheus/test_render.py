"""The exposition as text, and how often it is rendered."""

import asyncio
import gzip
import re
import subprocess
from collections.abc import Iterable, Iterator

import prometheus_client
import pytest
from msgspec.structs import replace
from prometheus_client import CollectorRegistry
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.parser import text_string_to_metric_families as parse_text
from prometheus_client.samples import Sample

from sidecar.core.snapshot.snapshot import Inventory, ProductOrders, Snapshot
from sidecar.exposition.prometheus import render
from sidecar.exposition.prometheus.negotiation import Format
from sidecar.exposition.prometheus.render import LINES_BEFORE_YIELD, Exposition
from sidecar.exposition.prometheus.text import BLOCK, number
from sidecar.exposition.published import Published
from tests.exposition import snapshots
from tests.exposition.monitors import exposition, parse_openmetrics
from tests.exposition.snapshots import orders

ALL = snapshots.snapshot()
MANY = snapshots.snapshot(orders=orders(by_product={f"sku-{n}": ProductOrders(success=n) for n in range(3000)}))


async def text(snapshot: Snapshot | None, format: Format = Format.TEXT, names: tuple[str, ...] = ()) -> str:
    published = None if snapshot is None else Published(snapshot)
    return (await exposition().render(lambda: published, format, names)).decode()


def names(exposed: str) -> set[str]:
    return {sample.name for family in parse_text(exposed) for sample in family.samples}


def samples(families: Iterable[Metric]) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """Return the values of the sale and of the sidecar; those of the process change all the time."""
    found = [sample for family in families for sample in family.samples if sample.name.startswith("flash_sale_")]
    return {(sample.name, frozenset(sample.labels.items())): sample.value for sample in found}


async def test_custom_metrics_are_exposed_under_their_own_names() -> None:
    for format, parse in ((Format.TEXT, parse_text), (Format.OPENMETRICS, parse_openmetrics)):
        families = parse(await text(snapshots.snapshot(custom=snapshots.CUSTOM), format))
        found = {
            (sample.name, *sample.labels.values()): sample.value
            for family in families
            for sample in family.samples
            if sample.name.startswith("shop_") and not sample.name.endswith("_created")
        }
        assert found == {
            ("shop_vouchers_total", "black friday"): 3.0,
            ("shop_basket_euros_bucket", "10.0"): 1.0,
            ("shop_basket_euros_bucket", "50.0"): 3.0,
            ("shop_basket_euros_bucket", "+Inf"): 3.0,
            ("shop_basket_euros_count",): 3.0,
            ("shop_basket_euros_sum",): 69.8,
            ("shop_workers", "a"): 2.5,
        }


class Counting:
    """A collector that counts how often it was asked."""

    def __init__(self) -> None:
        self.calls = 0

    def collect(self) -> Iterator[Metric]:
        self.calls += 1
        yield GaugeMetricFamily("calls", "Calls.", self.calls)


@pytest.fixture
def counting() -> Counting:
    return Counting()


@pytest.fixture
def counted(counting: Counting) -> Exposition:
    registry = CollectorRegistry()
    registry.register(counting)
    return Exposition(registry, environment="test", sources=())


async def test_both_formats_are_read_by_the_parsers_and_hold_the_same() -> None:
    in_text = samples(parse_text(await text(ALL)))
    in_openmetrics = samples(parse_openmetrics(await text(ALL, Format.OPENMETRICS)))
    counted = {key: value for key, value in in_openmetrics.items() if not key[0].endswith("_created")}
    assert len(in_text) > 80
    assert in_text == pytest.approx(counted)


async def test_exemplars_are_in_openmetrics_only() -> None:
    families = parse_openmetrics(await text(ALL, Format.OPENMETRICS))
    exemplars = [sample.exemplar for family in families for sample in family.samples if sample.exemplar]
    assert [e.labels for e in exemplars] == [{"trace_id": "4bf92f3577b34da6"}]
    assert "4bf92f3577b34da6" not in await text(ALL)


async def test_in_openmetrics_every_count_has_the_time_it_began_and_in_text_none() -> None:
    assert "_created" not in await text(ALL)
    families = list(parse_openmetrics(await text(ALL, Format.OPENMETRICS)))
    ours = [one for one in families if one.name.startswith("flash_sale_") and one.type in ("counter", "histogram")]
    assert len(ours) > 20
    for family in ours:
        counts = {key(sample) for sample in family.samples if sample.name.endswith(("_total", "_sum"))}
        assert {key(sample) for sample in family.samples if sample.name.endswith("_created")} == counts


async def test_the_counts_of_the_sale_began_with_the_counting_and_stay_so_until_a_clear() -> None:
    for since in (1_789_999_000.25, 1_790_000_500.5):
        exposed = await text(replace(ALL, since=since, uptime_s=1.0), Format.OPENMETRICS)
        assert set(re.findall(r"^flash_sale_order\w+_created.* (\S+)$", exposed, re.MULTILINE)) == {number(since)}
    exposed = await text(replace(ALL, since=None), Format.OPENMETRICS)
    assert "flash_sale_orders_created" not in exposed


def key(sample: Sample) -> frozenset[tuple[str, str]]:
    """Return the labels that distinguish the metrics of a family."""
    return frozenset(sample.labels.items())


@pytest.mark.parametrize("format", [Format.TEXT, Format.OPENMETRICS])
async def test_nothing_is_nan_whatever_is_unknown(format: Format) -> None:
    unknown = snapshots.empty(inventory={"sku-1": Inventory(stock=5)})
    for snapshot in (None, unknown):
        exposed = await text(snapshot, format)
        assert "nan" not in exposed.lower()
        assert "flash_sale_sidecar_last_commit_timestamp_seconds" not in exposed


async def test_the_process_and_the_interpreter_are_exposed() -> None:
    found = names(await text(ALL))
    assert {"process_cpu_seconds_total", "python_info", "python_gc_collections_total"} <= found
    assert {"flash_sale_sidecar_build_info", "flash_sale_sidecar_commits_total"} <= found


async def test_without_a_snapshot_only_the_live_metrics_of_the_process_are_there() -> None:
    found = names(await text(None))
    assert "flash_sale_sidecar_redis_up" in found
    assert not {name for name in found if name.startswith("flash_sale_") and "sidecar" not in name}
    assert not {name for name in found if name.startswith("flash_sale_sidecar_events")}


async def test_strange_label_values_survive_both_formats() -> None:
    name = 'sku "1"\\\nµ\x00 €'
    strange = snapshots.snapshot(orders=orders(by_product={name: ProductOrders(success=1)}))
    for format, parse in ((Format.TEXT, parse_text), (Format.OPENMETRICS, parse_openmetrics)):
        families = parse(await text(strange, format))
        assert name in {s.labels.get("product_id") for family in families for s in family.samples}


async def test_a_filter_keeps_the_named_samples_and_whole_families() -> None:
    found = names(await text(ALL, names=("flash_sale_orders_total", "flash_sale_order_latency_seconds", "nonsense")))
    histogram = {f"flash_sale_order_latency_seconds_{suffix}" for suffix in ("bucket", "count", "sum")}
    assert found == {"flash_sale_orders_total"} | histogram


async def test_a_filter_that_names_nothing_there_is_leaves_nothing() -> None:
    assert await text(ALL, names=("nonsense",)) == ""
    assert await text(ALL, Format.OPENMETRICS, names=("nonsense",)) == "# EOF\n"


async def test_the_gzipped_bytes_are_the_plain_ones(counted: Exposition, counting: Counting) -> None:
    published = Published(ALL)
    gzipped = await counted.render(lambda: published, Format.TEXT, gzipped=True)
    assert gzip.decompress(gzipped) == await counted.render(lambda: published, Format.TEXT)
    assert await counted.render(lambda: published, Format.TEXT, gzipped=True) is gzipped
    assert counting.calls == 1


async def test_a_snapshot_is_rendered_once_for_each_format(counted: Exposition, counting: Counting) -> None:
    published, newer = Published(ALL), Published(ALL)
    for _ in range(3):
        await counted.render(lambda: published, Format.TEXT)
    assert counting.calls == 1
    await counted.render(lambda: published, Format.OPENMETRICS)
    assert counting.calls == 2
    await counted.render(lambda: newer, Format.TEXT)
    assert counting.calls == 3


async def test_without_a_snapshot_each_scrape_is_rendered(counted: Exposition, counting: Counting) -> None:
    for _ in range(2):
        await counted.render(lambda: None, Format.TEXT)
    assert counting.calls == 2


async def test_scrapes_at_the_same_time_share_one_rendering(
    counted: Exposition, counting: Counting, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(render, "REUSE_SECONDS", 60.0)  # on a busy machine one takes more than a second
    published = Published(MANY)
    results = await asyncio.gather(*(counted.render(lambda: published, Format.TEXT) for _ in range(5)))
    assert counting.calls == 1
    assert len({id(rendered) for rendered in results}) == 1


async def test_a_rendering_gives_way_to_everything_else(counted: Exposition) -> None:
    rendering = asyncio.ensure_future(counted.render(lambda: Published(MANY), Format.TEXT))
    turns = 0
    while not rendering.done():
        turns += 1
        await asyncio.sleep(0)
    lines = rendering.result().count(b"\n")
    assert lines > 10_000
    assert turns > lines / (LINES_BEFORE_YIELD + BLOCK)


async def test_a_crowd_of_filtered_scrapes_gives_way_to_everything_else(counted: Exposition) -> None:
    crowd = asyncio.gather(*(counted.render(lambda: Published(MANY), Format.TEXT, ("nonsense",)) for _ in range(10)))
    turns = 0
    while not crowd.done():
        turns += 1
        await asyncio.sleep(0)
    assert turns > 10


async def test_filtered_scrapes_do_not_run_at_the_same_time(counted: Exposition, counting: Counting) -> None:
    begun: list[int] = []

    def newest() -> Published:
        begun.append(counting.calls)
        return Published(MANY)

    names = ("flash_sale_product_orders_total", "calls")
    await asyncio.gather(*(counted.render(newest, Format.TEXT, names) for _ in range(3)))
    assert begun == [0, 1, 2]


async def test_the_global_registry_stays_as_it_is() -> None:
    before = {family.name for family in prometheus_client.REGISTRY.collect()}
    await text(ALL)
    assert {family.name for family in prometheus_client.REGISTRY.collect()} == before


@pytest.mark.parametrize("snapshot", [ALL, None], ids=["active", "standby"])
async def test_promtool_finds_nothing_to_complain_of(promtool: str, snapshot: Snapshot | None) -> None:
    exposed = await text(snapshot)
    check = await asyncio.to_thread(
        subprocess.run, [promtool, "check", "metrics"], input=exposed, capture_output=True, text=True, check=False
    )
    assert (check.returncode, check.stdout, check.stderr) == (0, "", "")
