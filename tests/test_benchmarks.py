"""The benchmark itself, in its smallest form: it must not rot between two releases. No figure of time is asserted."""

from functools import partial
from pathlib import Path
from xml.etree import ElementTree

import pytest

from benchmarks import svg
from benchmarks.lab import Lab, lab
from benchmarks.processes import yardstick
from benchmarks.results import Report, Row, Sample, keep
from benchmarks.subjects import mapping_subject, yardstick_cost
from tests.e2e.daemon import Daemon
from tests.waiting import wait_until

EVENTS = 3_000

pytestmark = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="the benchmark reads /proc: Linux only")


def test_the_daemon_accepts_every_event_of_the_publisher_but_those_that_are_invalid_by_intent() -> None:
    with lab() as place, place.sidecar() as sidecar:
        orders = 0
        for number, (transport, invalid) in enumerate([("pubsub", 0), ("stream", 0), ("stream", 3)], 1):
            told = place.publish(EVENTS, transport=transport, invalid=invalid / EVENTS)
            orders += told["orders"]
            sidecar.wait_for(orders)
            assert told["events"] == EVENTS
            assert invalid or told["orders"] == EVENTS * 95 // 100
            wait_until(partial(has_received, sidecar.daemon, number * EVENTS), 20)
            completeness = sidecar.daemon.snapshot()["completeness"]
            assert (completeness["invalid"], completeness["missed"]) == (invalid, 0)
        assert sidecar.cpu() > 0


def has_received(daemon: Daemon, events: int) -> bool:
    return daemon.received() == events


@pytest.mark.parametrize("transport", ["pubsub", "stream"])
def test_the_floor_takes_every_event(transport: str) -> None:
    with lab() as place, yardstick("floor", transport, place.port, EVENTS) as floor:
        assert yardstick_cost(place, floor, EVENTS, transport=transport) >= 0


def test_the_usual_loop_takes_every_event() -> None:
    with lab() as place, yardstick("usual_loop", place.port, EVENTS) as loop:
        assert yardstick_cost(place, loop, EVENTS) > 0


@pytest.mark.parametrize("name", ["decoded", "own", "mapped_order", "mapped_event"])
def test_what_mapping_costs_is_measured_without_redis(name: str) -> None:
    assert mapping_subject(name, 1000)() > 0


def test_the_per_order_design_writes_its_keys() -> None:
    with lab() as place, yardstick("per_order", place.port, 100) as service:
        assert service.line() == "done"
        assert _keys(place) >= 100 + 2


def _keys(place: Lab) -> int:
    found = place.client.dbsize()
    assert isinstance(found, int)
    return found


def test_a_goal_is_met_or_short_by_the_ratio_of_the_medians() -> None:
    ours, yardstick_ = Sample([2.0, 9.0, 1.0], "us"), Sample([1.0], "us")
    assert Row("cost", ours, 2.0, "<= 2 x", yardstick_).met
    assert not Row("cost", ours, 1.9, "<= 1.9 x", yardstick_).met
    assert not Row("cost", ours, 6, ">= 6 x less", yardstick_, at_least=True).met
    assert Row("cost", ours, 6, ">= 6 x less", Sample([12.0], "us"), at_least=True).met
    assert Row("cost", ours, 2.0, "<= 2 us").met


def test_a_part_run_again_replaces_its_own_result_only(tmp_path: Path) -> None:
    file = tmp_path / "RESULTS.md"
    keep([Report("One", notes=["first"]), Report("Two", notes=["second"])], "a machine", file)
    keep([Report("One", notes=["third"])], "a machine", file)
    text = file.read_text()
    assert "first" not in text
    assert text.index("third") < text.index("second")


def test_a_plot_is_well_formed_svg(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(svg, "PLOTS", tmp_path)
    for name in (
        svg.lines("line.svg", "a < b", {"one": [(0, 0), (3, 7)]}, x="x", y="y"),
        svg.bars("bar.svg", "bars", {"one": 1.0, "two": 2.0}, "events/s"),
    ):
        assert ElementTree.parse(tmp_path / name).getroot().tag.endswith("svg")
