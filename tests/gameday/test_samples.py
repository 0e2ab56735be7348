"""The first sign of a fault is what was not to be seen before it."""

from typing import Any

import pytest

from tests.gameday.samples import Sample, first_sign


def sample(at: float, health: str = "ok", unwell: tuple[str, ...] = (), **changes: Any) -> Sample:
    """Return a look at a sidecar that is well but for the changes."""
    values = {
        "fault_rate": 0.0,
        "p99": 300.0,
        "waiting": 0,
        "now": 40,
        "missed": 0,
        "stock": 9,
        "stale": False,
    } | changes
    document = {
        "stale": values["stale"],
        "orders": {"fault_rate": {"10s": values["fault_rate"]}, "per_second": {"now": values["now"], "10s": 40.0}},
        "latency_ms": {"10s": {"p99": values["p99"]}},
        "queues": {"orders": {"waiting": values["waiting"]}},
        "inventory": {"a": {"stock": values["stock"]}},
        "completeness": {"missed": values["missed"]},
    }
    return Sample(at, health, unwell, document)


@pytest.mark.parametrize(
    ("seen", "sign"),
    [
        (sample(31.5, fault_rate=0.06), "fault rate"),
        (sample(31.5, p99=1200), "p99"),
        (sample(31.5, waiting=60), "queue"),
        (sample(31.5, now=1), "rate"),
        (sample(31.5, missed=1), "missed"),
        (sample(31.5, stock=-1), "stock below 0"),
        (sample(31.5, stale=True), "STALE"),
        (sample(31.5, "degraded", ("commit",)), "health degraded, commit"),
        (Sample(31.5), "no answer"),
    ],
)
def test_each_sign_is_seen(seen: Sample, sign: str) -> None:
    assert first_sign([sample(28), sample(29), sample(30.5), seen, sample(33, stock=-9)], 30) == (1.5, sign)


def test_what_was_so_before_is_no_sign() -> None:
    assert first_sign([sample(29, missed=2, p99=1500), sample(31, missed=2, p99=1500)], 30) is None
    assert first_sign([sample(29, p99=800), sample(31, p99=1100)], 30) is None
    assert first_sign([sample(29, missed=2), sample(31, missed=3)], 30) == (1, "missed")
    assert first_sign([], 30) is None
