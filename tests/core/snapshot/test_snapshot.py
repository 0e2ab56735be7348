"""The Snapshot as JSON: the names that readers know, and without what only the exposition needs."""

import msgspec
import pytest

from sidecar.core.snapshot.snapshot import ClassicHistogram, Windows
from tests.exposition import snapshots


def test_windows_are_named_by_their_length() -> None:
    windows = Windows(last_10s=1, last_1m=2, last_5m=3, total=4)
    assert msgspec.to_builtins(windows) == {"10s": 1, "1m": 2, "5m": 3, "total": 4}


def test_the_public_snapshot_lacks_the_series_and_nothing_else() -> None:
    whole = snapshots.snapshot()
    public = whole.public()
    shown, everything = msgspec.to_builtins(public), msgspec.to_builtins(whole)
    assert everything.keys() - shown.keys() == {"series"}
    assert all(everything[name] == value for name, value in shown.items())
    assert whole.series


def test_the_instances_are_told_of_a_fleet_only() -> None:
    assert "instances" not in msgspec.to_builtins(snapshots.snapshot())
    assert msgspec.to_builtins(snapshots.snapshot(instances=["a"]))["instances"] == ["a"]


def test_a_histogram_counts_all_its_samples() -> None:
    histogram = ClassicHistogram(bounds=(0.1, 1.0), counts=(1, 2, 3), sum_seconds=5.0, exemplars={}, fine={})
    assert histogram.count == 6


def test_a_snapshot_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        snapshots.snapshot().stale = True  # type: ignore[misc]
