"""Why orders fail lately, as far as somebody watched."""

from typing import Any

import pytest

from sidecar.cli.view.reasons import FailureReasons, worst_first


def document(ts: float, **reasons: int) -> dict[str, Any]:
    """Return as much of a snapshot as is read."""
    return {"ts": ts, "orders": {"failed_by_reason": reasons}}


@pytest.mark.parametrize(
    ("seen", "recent"),
    [
        ([document(0, timeout=9)], (0, {})),
        ([document(0, timeout=9), document(4, timeout=12)], (4, {"timeout": 3})),
        (
            [document(0), document(1, timeout=1), document(11, timeout=1), document(11.5, timeout=1, x=2)],
            (10.5, {"x": 2}),
        ),
        ([document(0, timeout=9), document(1, timeout=1)], (0, {})),  # cleared
        ([document(9, timeout=1), document(1, timeout=2)], (0, {})),  # another daemon, or its clock was set
        ([document(0, a=1), document(60, a=5)], (60, {"a": 4})),  # nobody was there in between
    ],
)
def test_only_what_was_watched_counts(seen: list[dict[str, Any]], recent: tuple[float, dict[str, int]]) -> None:
    reasons = FailureReasons()
    for one in seen:
        reasons.see(one)
    assert reasons.recent() == recent


def test_faults_come_before_refusals_and_the_most_frequent_first() -> None:
    counts = {"sold_out": 90, "payment_declined": 5, "timeout": 2, "provider_error": 7}
    assert worst_first(counts) == ["provider_error", "timeout", "sold_out", "payment_declined"]
