"""The lines that InfluxDB is sent."""

import math
import re
from pathlib import Path

import pytest
from msgspec import UNSET
from msgspec.structs import replace

from sidecar.core.snapshot.snapshot import Inventory, Orders, Queue, Series, Snapshot
from sidecar.exposition.influx.lines import escaped, lines
from tests.exposition.snapshots import CUSTOM, completeness, empty, orders, series, snapshot

AT = "1790000000123000000"
VALUE = r"(-?\d+i|-?\d+(\.\d+)?(e[+-]?\d+)?|true|false)"
LINE = re.compile(
    r"flash_sale_\w+(,\w+=(\\[,= ]|[^\\,= \n])+)+ " + rf"[\w.+]+={VALUE}(,[\w.+]+={VALUE})*" + r" \d{19}\n"
)


def written(shown: Snapshot, environment: str = "test") -> dict[str, str]:
    """Return the fields of every line by measurement and tags, but for the environment and the instance."""
    assert shown.series is not UNSET
    found = {}
    for line in lines(shown, shown.series, environment):
        assert LINE.fullmatch(line), line
        series, fields, at = re.split(r"(?<!\\) ", line)
        assert at == f"{AT}\n"
        name = re.sub(r",(environment|instance)=[^,]*", "", series)
        assert name not in found, "two points of one series at one time are one point"
        found[name] = fields
    return found


def test_every_number_has_its_place() -> None:
    times = "avg_ms=42.0,min_ms=4.0,p50_ms=40.0,p90_ms=80.0,p95_ms=90.0,p99_ms=99.0,p999_ms=120.0,max_ms=120.5"
    summaries = {
        **{f"status=all,window={window}": f"count=9i,{times}" for window in ("10s", "1m", "5m", "total")},
        "status=success,window=total": f"count=7i,{times}",
        "status=failed,window=total": f"count=2i,{times}",
    }
    assert written(snapshot()) == {
        "flash_sale_orders": "success=7i,failed=2i,pending=9i,cancelled=0i,total=9i,in_flight=0i,refusals=2i,faults=0i,"
        "per_second_10s=0.9,per_second_peak=5i,error_rate_1m=0.22,fault_rate_1m=0.0",
        "flash_sale_failures,kind=refusal,reason=sold_out": "orders=2i",
        "flash_sale_revenue,currency=EUR": "amount=70.00",
        "flash_sale_product,product_id=sku-1": "success=7i,failed=2i,pending=9i,cancelled=0i,units=7i,"
        "stock=93i,depletion_per_second=0.7,sell_out_in_s=132.8,sell_out_low_s=104.0,sell_out_high_s=169.0",
        **{f"flash_sale_{name},{tags}": text for name in ("latency", "processing") for tags, text in summaries.items()},
        "flash_sale_queue,queue=orders": "waiting=3i,active=1i,delayed=0i,failed=0i,completed=8i",
        "flash_sale_connections": "active=120i",
        "flash_sale_completeness": "ratio=1.0,received=30i,missed=0i,duplicates=0i,late=0i,invalid=0i,ignored=0i,"
        "adjusted=0i,repeats=0i,counted_twice=0i,blind_s=0.0",
        "flash_sale_sidecar": "cpu_percent=1.2,rss_bytes=1i,redis_used_memory_bytes=1i,uptime_s=12.3,stale=false",
    }


def test_what_is_unknown_has_no_field_and_a_point_without_fields_no_line() -> None:
    found = written(empty(queues={"orders": Queue(waiting=3), "silent": Queue()}))
    assert found["flash_sale_orders"] == (
        "success=0i,failed=0i,pending=0i,cancelled=0i,total=0i,refusals=0i,faults=0i,per_second_10s=0.0,"
        "per_second_peak=0i"
    )
    assert found["flash_sale_queue,queue=orders"] == "waiting=3i"
    assert found["flash_sale_latency,status=all,window=1m"] == "count=0i"
    assert not {"flash_sale_connections", "flash_sale_queue,queue=silent"} & found.keys()


def test_only_the_numbers_of_the_completeness_are_fields() -> None:
    told = completeness(hints=["most events of api are duplicates"], not_understood={})
    assert written(snapshot(completeness=told)) == written(snapshot())


def test_a_number_that_is_none_is_left_out_and_its_neighbours_stay() -> None:
    odd = {"a": Inventory(stock=-2, depletion_per_second=math.inf, sell_out_in_s=math.nan)}
    assert written(snapshot(inventory=odd))["flash_sale_product,product_id=a"].endswith("units=0i,stock=-2i")


def test_tags_of_every_line_say_whose_it_is_and_an_empty_one_is_left_out() -> None:
    shown = snapshot(instance="host 1")
    assert shown.series is not UNSET
    heads = {line.partition(" success")[0] for line in lines(shown, shown.series, "prod,eu") if "total=" in line}
    assert heads == {r"flash_sale_orders,environment=prod\,eu,instance=host\ 1"}
    assert "environment" not in "".join(lines(shown, shown.series, ""))


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("sku-1", "sku-1"),
        ("red, size=42 / XL", r"red\,\ size\=42\ /\ XL"),
        ('"quoted"', '"quoted"'),
        ("Größe ☂", r"Größe\ ☂"),
        ("ends with \\", r"ends\ with\ %5C"),
        ("a\\,b", r"a%5C\,b"),
        ("two\nlines\ttab\x00\x7f", "two%0Alines%09tab%00%7F"),
    ],
)
def test_a_name_cannot_become_a_line_a_tag_or_a_field(name: str, shown: str) -> None:
    assert escaped(name) == shown
    by_product = {name: orders().by_product["sku-1"]}
    found = written(snapshot(orders=orders(by_product=by_product), inventory={}))
    assert f"flash_sale_product,product_id={shown}" in found


def test_a_field_keeps_its_type_whatever_its_value() -> None:
    """A float that happens to be whole must not be written as an integer, nor the other way round."""
    whole = replace(orders().per_second, last_10s=2.0, peak=2)
    fields = written(snapshot(orders=orders(per_second=whole, revenue={"EUR": "1E+3"})))
    assert "per_second_10s=2.0,per_second_peak=2i" in fields["flash_sale_orders"]
    assert fields["flash_sale_revenue,currency=EUR"] == "amount=1000"


def test_counts_are_those_of_the_exposition_which_do_not_go_back() -> None:
    """What a rollback of Redis lowers is held in `by_status` and `series`, not in the sums of the JSON."""
    held: Orders = orders(by_status={"success": 70, "failed": 20}, total=9, refusals=2)
    shown: Series = series(refusals={"sold_out": 15}, faults={"timeout": 5})
    assert written(snapshot(orders=held, series=shown))["flash_sale_orders"].startswith(
        "success=70i,failed=20i,pending=0i,cancelled=0i,total=90i,in_flight=0i,refusals=15i,faults=5i,"
    )


def test_the_page_on_long_term_storage_names_every_measurement_tag_and_field() -> None:
    page = (Path(__file__).parents[3] / "docs" / "long-term.md").read_text(encoding="utf-8")
    rows = {row.group(): row.group(1, 2) for row in re.finditer(r"^\| (`flash_sale_.*?) \| (.*) \|$", page, re.M)}
    for point, fields in written(snapshot()).items():
        name, *tags = point.split(",")
        (row,) = [row for row, (measurements, _) in rows.items() if f"`{name}`" in measurements]
        named = {part.partition("=")[0] for part in (*tags, *fields.split(","))}
        assert [one for one in named if f"`{one}`" not in row] == []


def test_custom_metrics_are_points_of_one_measurement() -> None:
    found = written(snapshot(custom=CUSTOM))
    assert {name: found[name] for name in found if name.startswith("flash_sale_custom")} == {
        "flash_sale_custom,campaign=black\\ friday,metric=shop_vouchers_total": "value=3.0",
        "flash_sale_custom,metric=shop_basket_euros": "count=3i,sum=69.8,le_10.0=1i,le_50.0=3i,le_+Inf=3i",
        "flash_sale_custom,metric=shop_workers,pool=a": "value=2.5",
    }
