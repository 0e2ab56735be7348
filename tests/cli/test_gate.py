"""`sidecar gate`: exit statuses, and the files for CI."""

import importlib
from pathlib import Path
from xml.etree import ElementTree

import pytest
from msgspec.structs import replace

from sidecar.core.counts.manifest import Manifest, Threshold
from sidecar.core.counts.sale import Sale
from sidecar.core.counts.sale_record import SaleRecord
from sidecar.core.sale.listing import ListedSale, listing
from sidecar.core.snapshot.report import Report
from sidecar.core.snapshot.report import report as report_of
from sidecar.exposition.documents import report_json
from sidecar.simulation import SimulatedSale
from tests.cli.commands import invoke
from tests.cli.sales import counted, keep
from tests.core.counted import NOW, aggregator, commit, shown
from tests.core.sale.commands import say
from tests.exposition import snapshots
from tests.redis_server import RedisServer

module = importlib.import_module("sidecar.cli.gate")


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The report of a short sale in a file."""
    aggregate = counted(SimulatedSale(seed=3, rate=20, duration=3, start=NOW), until=5)
    file = tmp_path_factory.mktemp("gate") / "report.json"
    file.write_bytes(report_json(shown(aggregate, NOW + 5)))
    return str(file)


@pytest.mark.parametrize(
    ("arguments", "status", "says"),
    [
        (["--threshold", "orders:count>5"], 0, "✓ orders 'count>5' "),
        (["--threshold", "orders:count<5"], 99, "✗ orders 'count<5' "),
        (["--threshold", "latency_ms:p(99.9)<5"], 99, "samples are too few for p(99.9)"),
        (
            ["--threshold", "latency_ms{status:success}:p(50) <= 9000"],
            0,
            "✓ latency_ms{status:success} 'p(50) <= 9000'",
        ),
        (["--threshold", "ordres:count<5"], 2, 'did you mean "orders"?'),
        (["--threshold", "orders"], 2, "write METRIC:EXPR"),
        ([], 2, "there is no threshold"),
        (["drop", "--threshold", "orders:count>5"], 1, "there is no report of drop"),
    ],
)
def test_the_exit_status_tells(report: str, arguments: list[str], status: int, says: str) -> None:
    found = invoke("gate", "--report", report, *arguments)
    assert (found.exit_code, says in found.output) == (status, True), found.output


def test_a_baseline_and_the_files_for_ci(report: str, tmp_path: Path) -> None:
    junit, summary = tmp_path / "gate.xml", tmp_path / "summary.md"
    expressions = ("orders:count==baseline", "orders:count<1*baseline", "unfinished:value<0", "latency_ms:p(99.9)<5")
    given = [part for text in expressions for part in ("--threshold", text)]
    found = invoke(
        "gate", "--report", report, "--against", report, *given, "--junit", str(junit), "--markdown", str(summary)
    )
    assert found.exit_code == 99, found.output
    suite = ElementTree.parse(junit).getroot()[0]
    assert {name: suite.get(name) for name in ("tests", "failures", "errors", "skipped")} == {
        "tests": "4",
        "failures": "2",
        "errors": "1",
        "skipped": "0",
    }
    passed, failed, _, unclear = suite
    assert (passed.get("classname"), passed.get("name"), len(passed)) == ("gate.orders", "count==baseline", 0)
    assert (failed[0].tag, unclear[0].tag) == ("failure", "error")
    assert failed[0].get("message") == failed[0].text
    text = summary.read_text()
    assert "### The gate did not pass" in text
    assert "| ✗ fail | `orders` | `count<1*baseline` | " in text


@pytest.mark.parametrize("content", ["{", None])
def test_what_is_no_report_is_wrong_usage(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "r.json").write_text(content)
    assert invoke("gate", "--report", str(tmp_path / "r.json")).exit_code == 2


def test_the_thresholds_of_the_manifest_are_judged(redis_server: RedisServer) -> None:
    lines = (Threshold(threshold="count>=0"), Threshold(threshold="count>9", optional=True))
    plan = Manifest(version="1", sale="drop", starts_at=NOW, thresholds={"orders": lines})
    aggregate = aggregator()
    say(aggregate, "load", "drop", manifest=plan)
    for after in (0, 1):
        commit(aggregate, NOW + after)
    keep(redis_server, aggregate)
    found = invoke("gate", "drop", "--redis-url", redis_server.url)
    assert found.exit_code == 0, found.output
    assert found.stdout.splitlines() == ["✓ orders 'count>=0' 0", "✗ orders 'count>9' 0 (optional)"]


STRICT = Threshold(threshold="count<2", abort_on_fail=True)
PLAN = Manifest(version="1", sale="drop", starts_at=NOW, thresholds={"orders": (STRICT,)})


class Sidecar:
    """What a daemon shows from second to second."""

    def __init__(self, reports: list[Report]) -> None:
        self.reports = reports

    def report(self) -> Report:
        return self.reports.pop(0)

    def sales(self) -> list[ListedSale]:
        return listing({"drop": SaleRecord(manifest=PLAN)}, Sale("drop", "running", NOW))


@pytest.mark.parametrize(("orders", "status", "left"), [([0, 1, 5, 5], 99, 1), ([0, 1, 1, 1], 0, 0)])
def test_a_rehearsal_is_watched_until_it_ends_or_a_threshold_breaks(
    monkeypatch: pytest.MonkeyPatch, orders: list[int], status: int, left: int
) -> None:
    sales = [Sale("drop", "running", NOW)] * 3 + [Sale("drop", "ended", NOW, NOW + 3)]
    found = report_of(snapshots.snapshot())
    pairs = zip(sales, orders, strict=True)
    reports = [replace(found, sale=sale, orders=replace(found.orders, total=total)) for sale, total in pairs]
    monkeypatch.setattr(module, "WATCH_SECONDS", 0.0)
    monkeypatch.setattr(module, "reader", lambda where: Sidecar(reports))
    assert (invoke("gate", "--watch").exit_code, len(reports)) == (status, left)
