"""A generation names the last clear, and the custom metrics that were cleared since."""

import pytest

from sidecar.core.checkpoint.generation import clears, last_clear, metrics_cleared, with_metric


@pytest.mark.parametrize(
    ("generation", "metric", "after"),
    [("", "n_total", " n_total=2"), ("g", "n_total", "g n_total=2"), ("g n_total=1 m=1", "n_total", "g m=1 n_total=2")],
)
def test_a_clear_of_a_metric_takes_the_place_of_its_last_one(generation: str, metric: str, after: str) -> None:
    assert with_metric(generation, metric, "2") == after
    assert last_clear(after) == last_clear(generation)
    assert metrics_cleared(clears(after) - clears(generation)) == {metric}
