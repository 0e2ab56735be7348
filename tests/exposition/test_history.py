"""The grid of the history."""

import pytest

from sidecar.exposition.history import MAX_POINTS, Query, draw, parse_query

NOW = 1_790_000_000


@pytest.mark.parametrize(
    ("parameters", "query"),
    [
        ({}, Query(NOW - 3599, NOW, 1)),
        ({"step": "10"}, Query(NOW - 3599, NOW, 10)),
        ({"from": str(NOW - 60)}, Query(NOW - 60, NOW, 1)),
        ({"to": str(NOW - 60)}, Query(NOW - 3659, NOW - 60, 1)),
        ({"from": "1789999990.7", "to": "1789999999.", "step": "2.0"}, Query(NOW - 10, NOW - 1, 2)),
        ({"from": str(NOW - MAX_POINTS + 1)}, Query(NOW - MAX_POINTS + 1, NOW, 1)),
    ],
)
def test_the_grid_is_the_last_hour_by_the_second_unless_asked_otherwise(
    parameters: dict[str, str], query: Query
) -> None:
    assert parse_query(parameters, NOW) == query


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"step": "0"}, "step must be 1 or more"),
        ({"step": "ten"}, "step must be a number of seconds"),
        ({"from": "-5"}, "from must be a number of seconds since 1970"),
        ({"to": "inf"}, "to must be a number"),
        ({"to": "1e9"}, "to must be a number"),
        ({"to": "9" * 400}, "to must be a number"),
        ({"from": str(NOW + 1)}, "from must not be after to"),
        ({"from": str(NOW - MAX_POINTS)}, "more than 11000 points"),
    ],
)
def test_a_grid_that_cannot_be_is_refused_with_a_reason(parameters: dict[str, str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_query(parameters, NOW)


def test_only_what_is_kept_for_an_hour_is_looked_for() -> None:
    assert Query(0, NOW + 500, 1_000_000).kept(NOW) == (NOW - 3600, NOW)


def test_by_the_second_values_stay_as_they_are_and_gaps_are_null() -> None:
    history = draw("throughput", Query(100, 103, 1), {100: 5, 102: 0, 99: 7, 104: 7})
    assert history.document() == {
        "metric": "throughput",
        "step": 1,
        "from": 100,
        "points": [(100, 5), (101, None), (102, 0), (103, None)],
    }


def test_throughput_over_a_step_is_per_second_and_a_second_without_orders_counts() -> None:
    assert draw("throughput", Query(100, 119, 10), {100: 10, 105: 20}).points == [(100, 3.0), (110, None)]


def test_a_gauge_over_a_step_is_the_mean_of_what_is_known() -> None:
    assert draw("queue_length", Query(100, 109, 10), {100: 10, 105: 20}).points == [(100, 15.0)]


def test_a_last_step_cut_short_by_the_end_is_divided_by_its_own_length() -> None:
    assert draw("throughput", Query(100, 114, 10), {110: 10, 112: 20}).points == [(100, None), (110, 6.0)]
