"""The totals: the best second, and sums of any size."""

from typing import Any

import msgspec
import pytest

from sidecar.core.counts.tallies import Totals

T0 = 1_790_000_000


@pytest.mark.parametrize(
    ("seconds", "best"),
    [
        ([], (0, None)),
        ([(3, T0), (2, T0 + 1)], (3, T0)),
        ([(2, T0), (3, T0 + 1)], (3, T0 + 1)),
        ([(3, T0 + 1), (3, T0)], (3, T0)),
        ([(3, T0), (3, T0 + 1)], (3, T0)),
    ],
)
def test_the_peak_is_the_first_of_the_best_seconds(seconds: list[tuple[int, int]], best: tuple[int, Any]) -> None:
    totals = Totals()
    for finished, second in seconds:
        totals.reach(finished, second)
    assert (totals.peak, totals.peak_at) == best


def test_an_unknown_tally_of_a_later_version_is_passed_over() -> None:
    data = Totals().dump()
    data[0]["of tomorrow"] = {"x": "1"}
    assert Totals.load(data).dump() == Totals().dump()


def test_a_revenue_beyond_64_bits_is_kept_exactly() -> None:
    totals = Totals()
    totals.tallies["revenue_micros"]["VND"] = 2**64 + 1
    loaded = Totals.load(msgspec.msgpack.decode(msgspec.msgpack.encode(totals.dump())))
    assert loaded.tallies["revenue_micros"]["VND"] == 2**64 + 1
