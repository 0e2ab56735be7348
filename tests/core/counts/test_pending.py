"""What is pending: samples are uniform, and memory is bounded."""

from collections import Counter
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.core.counts.parts import Minute, Reading, Slice
from sidecar.core.counts.pending import REJECTED_KEPT, SAMPLES_PER_COMMIT, Pending, RejectedEvent, Sample
from sidecar.core.counts.readings import keep
from tests.guarantees import in_campaign

T0 = 1_790_000_000


def sample(values: range, random: Random) -> Sample:
    found = Sample(random)
    found.add([float(value) for value in values][: len(values) // 3])
    found.add([float(value) for value in values][len(values) // 3 :])
    return found


@given(st.integers(0, 300), st.integers(0, 300))
def test_a_sample_holds_different_values_of_all_that_were_seen_in_their_order(first: int, second: int) -> None:
    found = sample(range(first), Random(1))
    found.merge(sample(range(first, first + second), Random(2)))
    assert found.seen == first + second
    assert len(found.values) == min(first + second, SAMPLES_PER_COMMIT)
    assert found.values == sorted(set(found.values))
    assert set(found.values) <= set(range(first + second))


@pytest.mark.parametrize("rounds", [500, *in_campaign(3000)])
@pytest.mark.parametrize("sizes", [(400, 0), (0, 400), (200, 200), (100, 300), (399, 1), (1, 399), (100, 1), (60, 60)])
def test_every_value_has_the_same_chance(sizes: tuple[int, int], rounds: int) -> None:
    """Of many draws a tenth of the values is drawn as often as it should, within five standard deviations."""
    random, total = Random(7), sum(sizes)
    drawn: Counter[int] = Counter()
    for _ in range(rounds):
        found = sample(range(sizes[0]), random)
        found.merge(sample(range(sizes[0], total), random))
        drawn.update(int(value) for value in found.values)
    chance = SAMPLES_PER_COMMIT / total
    for group in (range(sizes[0]), range(sizes[0], total), range(total // 10), range(total - total // 10, total)):
        expected = rounds * chance * len(group)
        tolerance = 5 * (rounds * len(group) * chance * (1 - chance)) ** 0.5
        assert abs(sum(drawn[value] for value in group) - expected) <= tolerance + 1e-9, group


def test_a_copy_of_a_sample_is_independent() -> None:
    one = sample(range(3), Random(1))
    twin = one.copy()
    twin.add([3])
    assert (one.values, one.seen) == ([0, 1, 2], 3)
    assert (twin.values, twin.seen) == ([0, 1, 2, 3], 4)


def pending(second: int, rejected: int = 0) -> Pending:
    found = Pending(Random(1))
    found.state.total.tallies["orders"]["success"] += 1
    found.latency.add([second])
    found.processing.add([second])
    found.rejected.extend(RejectedEvent(second, "pubsub:x", "not_json", "", str(n)) for n in range(rejected))
    keep(found.queue_seconds.setdefault(second, {}), "a", Reading(second, [second]))
    keep(found.connection_seconds.setdefault(second, {}), "a", Reading(second, [second]))
    return found


def test_merging_adds_what_came_later_and_keeps_the_newest_refusals() -> None:
    one = pending(T0, rejected=60)
    one.merge(pending(T0 + 1, rejected=60))
    assert one.state.total.tallies["orders"]["success"] == 2
    assert one.latency.values == one.processing.values == [T0, T0 + 1]
    assert len(one.rejected) == REJECTED_KEPT
    assert one.rejected[0].payload == "20"
    assert one.rejected[-1].time == T0 + 1
    assert list(one.queue_seconds) == list(one.connection_seconds) == [T0, T0 + 1]


def test_what_will_never_be_shown_is_forgotten() -> None:
    found = pending(T0)
    found.merge(pending(T0 + 3600))
    for start in (T0 - 80, T0 + 3540):
        found.state.minutes[start] = Minute()
        found.state.slices1[start + 60] = Slice()
        found.state.connections[str(start)] = Reading(start + 60, [1])
    found.forget(T0 + 3600.5, 0.5)
    assert list(found.queue_seconds) == list(found.connection_seconds) == [T0 + 3600, 0]
    assert list(found.state.minutes) == [T0 + 3540]
    assert list(found.state.slices1) == [T0 + 3600]
    assert list(found.state.connections) == [str(T0 + 3540)]
    assert found.state.total.tallies["orders"]["success"] == 2


def test_what_finished_in_a_second_adds_up() -> None:
    one, later = pending(T0), pending(T0)
    for part, finished in ((one, 1), (later, 2)):
        whole = Slice()
        whole.finished = finished
        part.keep(T0, whole)
    one.merge(later)
    assert one.cells[T0].finished == 3
