"""What a report adds to a Snapshot: its period, and the average over it."""

from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from sidecar.core.snapshot.report import Report, report
from tests.exposition.snapshots import TS, snapshot

PERIOD = ("until", "duration_s", "average_per_second")


def test_the_report_adds_period_and_average() -> None:
    found = report(snapshot())
    assert found.until == 1_790_000_000.1
    assert found.duration_s == pytest.approx(1000.1)
    assert found.average_per_second == pytest.approx(9 / 1000.1)


def test_the_json_is_that_of_the_snapshot_and_then_the_period() -> None:
    shown = msgspec.to_builtins(report(snapshot(scope="fleet", instances=["a", "b"])))
    whole = msgspec.to_builtins(snapshot(scope="fleet", instances=["a", "b"]).public())
    assert list(shown) == [*whole, *PERIOD]
    assert {name: shown[name] for name in whole} == whole


def test_a_report_of_an_older_daemon_can_be_read() -> None:
    """It lacks what was added since."""
    old = msgspec.to_builtins(report(snapshot()))
    for name in ("schema", "scope", "sale"):
        del old[name]
    for name in ("adjusted", "repeats", "counted_twice", "last_minute", "producers", "not_understood"):
        del old["completeness"][name]
    for name in ("last_seen", "state", "restarts"):
        del old["completeness"]["by_producer"]["api-1"][name]
    assert msgspec.convert(old, Report) == report(snapshot())


# One order a second over the whole time.
AT_ONE = replace(snapshot().orders, per_second=replace(snapshot().orders.per_second, total=1.0))


def test_the_average_of_a_backlog_is_over_the_time_in_which_its_orders_finished() -> None:
    """They finished in 600 s, all but the last two before counting began."""
    found = snapshot(ts=1000.0, since=998.0, committed_at=999.5, orders=replace(AT_ONE, total=600))
    assert report(found).average_per_second == pytest.approx(600 / 599.5)


@pytest.mark.parametrize(
    ("changes", "until", "duration", "average"),
    [
        ({"committed_at": None, "since": TS - 9, "orders": AT_ONE}, TS, pytest.approx(9.0), pytest.approx(1.0)),
        ({"since": None}, 1_790_000_000.1, None, None),
        ({"since": TS + 100}, 1_790_000_000.1, 0.0, None),
        (
            {"orders": replace(AT_ONE, per_second=replace(AT_ONE.per_second, total=None))},
            *(1_790_000_000.1, pytest.approx(1000.1), pytest.approx(9 / 1000.1)),
        ),
    ],
)
def test_a_report_without_a_period_has_no_average(
    changes: dict[str, Any], until: float, duration: object, average: object
) -> None:
    found = report(snapshot(**changes))
    assert (found.until, found.duration_s, found.average_per_second) == (until, duration, average)
