"""Why orders fail lately, as far as somebody watched."""

import pytest

from sidecar.cli.view.reasons import FailureReasons, worst_first
from sidecar.core.snapshot.snapshot import Snapshot
from tests.exposition.snapshots import orders, snapshot


def failed(ts: float, **reasons: int) -> Snapshot:
    """Return a snapshot with orders that failed for these reasons."""
    return snapshot(ts=ts, orders=orders(failed_by_reason=reasons))


@pytest.mark.parametrize(
    ("seen", "recent"),
    [
        ([failed(0, timeout=9)], (0, {})),
        ([failed(0, timeout=9), failed(4, timeout=12)], (4, {"timeout": 3})),
        (
            [failed(0), failed(1, timeout=1), failed(11, timeout=1), failed(11.5, timeout=1, x=2)],
            (10.5, {"x": 2}),
        ),
        ([failed(0, timeout=9), failed(1, timeout=1)], (0, {})),  # cleared
        ([failed(9, timeout=1), failed(1, timeout=2)], (0, {})),  # another daemon, or its clock was set
        ([failed(0, a=1), failed(60, a=5)], (60, {"a": 4})),  # nobody was there in between
    ],
)
def test_only_what_was_watched_counts(seen: list[Snapshot], recent: tuple[float, dict[str, int]]) -> None:
    reasons = FailureReasons()
    for one in seen:
        reasons.see(one)
    assert reasons.recent() == recent


def test_faults_come_before_refusals_and_the_most_frequent_first() -> None:
    counts = {"sold_out": 90, "payment_declined": 5, "timeout": 2, "provider_error": 7}
    assert worst_first(counts) == ["provider_error", "timeout", "sold_out", "payment_declined"]
