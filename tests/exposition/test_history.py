"""The grid of the history."""

from collections.abc import Mapping

import pytest

from sidecar.exposition.history import (
    MAX_POINTS,
    PERCENTILES,
    SECONDS_AT_ONCE,
    History,
    Metric,
    Query,
    draw,
    parse_query,
)

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
        ({"from": "\N{ARABIC-INDIC DIGIT ONE}"}, "from must be a number"),
        ({"from": "1.\N{ARABIC-INDIC DIGIT ONE}"}, "from must be a number"),
        ({"from": str(NOW + 1)}, "from must not be after to"),
        ({"from": str(NOW - MAX_POINTS)}, "more than 11000 points"),
    ],
)
def test_a_grid_that_cannot_be_is_refused_with_a_reason(parameters: dict[str, str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_query(parameters, NOW)


def test_only_what_is_kept_for_an_hour_is_looked_for() -> None:
    assert Query(0, NOW + 500, 1_000_000).kept(NOW) == (NOW - 3600, NOW)


async def drawn(metric: Metric, query: Query, values: Mapping[int, float], *, now: int = 200) -> History:
    """Draw values that are read as they are from a store."""

    async def read(asked: str, first: int, last: int) -> dict[int, float]:
        assert asked == metric
        assert first <= last < first + SECONDS_AT_ONCE
        return {second: value for second, value in values.items() if first <= second <= last}

    return await draw(metric, query, now, read)


async def test_by_the_second_values_stay_as_they_are_and_gaps_are_null() -> None:
    history = await drawn("throughput", Query(100, 103, 1), {100: 5, 102: 0, 99: 7, 104: 7})
    assert history.document() == {
        "metric": "throughput",
        "step": 1,
        "from": 100,
        "points": [(100, 5), (101, None), (102, 0), (103, None)],
    }


async def test_throughput_over_a_step_is_per_second_and_a_second_without_orders_counts() -> None:
    assert (await drawn("throughput", Query(100, 119, 10), {100: 10, 105: 20})).points == [(100, 3.0), (110, None)]


async def test_a_gauge_over_a_step_is_the_mean_of_what_is_known() -> None:
    assert (await drawn("queue_length", Query(100, 109, 10), {100: 10, 105: 20})).points == [(100, 15.0)]


async def test_outcomes_over_a_step_are_per_second_and_percentiles_the_highest() -> None:
    assert (await drawn("refused", Query(100, 109, 10), {100: 10, 105: 20})).points == [(100, 3.0)]
    percentiles = {100: 12.5, 105: 3.25, 110: 0.001}
    for metric in PERCENTILES:
        assert (await drawn(metric, Query(100, 129, 10), percentiles)).points == [
            (100, 12.5),
            (110, 0.001),
            (120, None),
        ]
        assert (await drawn(metric, Query(105, 106, 1), percentiles)).points == [(105, 3.25), (106, None)]


async def test_a_last_step_cut_short_by_the_end_is_divided_by_its_own_length() -> None:
    assert (await drawn("throughput", Query(100, 114, 10), {110: 10, 112: 20})).points == [(100, None), (110, 6.0)]


async def test_more_seconds_than_are_read_at_once_are_all_there_and_none_after_now() -> None:
    values = dict(zip(range(NOW - 3600, NOW + 2), range(3602), strict=True))
    history = await drawn("queue_length", Query(NOW - 3599, NOW + 1, 1), values, now=NOW)
    assert history.points == [*list(values.items())[1:-1], (NOW + 1, None)]


async def test_a_time_of_which_nothing_is_kept_is_drawn_without_asking() -> None:
    assert (await drawn("throughput", Query(100, 101, 1), {100: 1}, now=NOW)).points == [(100, None), (101, None)]
