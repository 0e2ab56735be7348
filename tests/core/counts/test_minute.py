"""Counts by second of one minute."""

import pytest

from sidecar.core.counts.minute import MinuteCounts

MINUTE = 1_790_000_040


def filled(**values: int) -> MinuteCounts:
    """Return a table with values by second: s3=5."""
    table = MinuteCounts()
    for name, value in values.items():
        table[MINUTE + int(name[1:])] = value
    return table


def test_a_second_is_unknown_or_has_a_value_which_may_be_nothing() -> None:
    table = filled(s0=0, s59=7)
    assert dict(table) == {MINUTE: 0, MINUTE + 59: 7}
    assert len(table) == 2
    assert table.get(MINUTE + 1) is None
    assert table.get(MINUTE + 60) is None
    assert table.get(MINUTE - 60) is None


def test_what_is_counted_adds_up() -> None:
    table = filled(s5=1)
    table.add(MINUTE + 5, 2)
    table.add(MINUTE + 6, 4)
    assert dict(table) == {MINUTE + 5: 3, MINUTE + 6: 4}


def test_a_copy_is_independent() -> None:
    table = filled(s5=1)
    twin = table.copy()
    twin[MINUTE + 5] = 2
    assert (table[MINUTE + 5], twin[MINUTE + 5]) == (1, 2)


@pytest.mark.parametrize("table", [filled(), filled(s0=0), filled(s59=10**12), filled(s3=1, s30=2, s59=0)])
def test_what_is_stored_loads_to_the_same(table: MinuteCounts) -> None:
    assert dict(MinuteCounts.load(table.dump())) == dict(table)


@pytest.mark.parametrize("data", [[MINUTE, 0], [MINUTE, 60, 1], [MINUTE + 59, 0, 1, 1, 2], [MINUTE, 0, 2**63]])
def test_what_is_no_minute_is_refused(data: list[int]) -> None:
    with pytest.raises((ValueError, OverflowError)):
        MinuteCounts.load(data)


@pytest.mark.parametrize(
    ("end", "left"), [(-60, []), (0, []), (3, []), (4, [3]), (59, [3]), (60, [3, 59]), (999, [3, 59])]
)
def test_seconds_after_an_end_are_forgotten(end: int, left: list[int]) -> None:
    table = filled(s3=1, s59=2)
    table.cut(MINUTE + end)
    assert [second - MINUTE for second in table] == left
