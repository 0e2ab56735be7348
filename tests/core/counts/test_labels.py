"""Label sets are bounded, and a place once given stays given."""

import pytest

from sidecar.core.counts.labels import KINDS, Labels, first_met
from sidecar.core.counts.parts import Attendance, Product, Reading
from sidecar.core.counts.rules import OTHER, Rules
from sidecar.core.counts.state import State

RULES = Rules(
    products=("known",),
    max_products=2,
    max_reasons=2,
    max_currencies=2,
    max_queues=2,
    max_types=2,
    max_producers=2,
)


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_beyond_the_limit_goes_to_other_and_the_rest_keeps_its_place(kind: str) -> None:
    labels = Labels(Rules(max_products=2, max_reasons=2, max_currencies=2, max_queues=2, max_types=2, max_producers=2))
    assert [labels.admit(kind, value) for value in "abcabca"] == ["a", "b", OTHER, "a", "b", OTHER, "a"]


def test_configured_products_have_reserved_places() -> None:
    labels = Labels(RULES)
    assert [labels.admit("product", value) for value in ("a", "b", "known")] == ["a", OTHER, "known"]


def test_a_value_that_is_called_other_takes_no_place() -> None:
    labels = Labels(RULES)
    assert [labels.admit("reason", value) for value in (OTHER, "a", "b", OTHER)] == [OTHER, "a", "b", OTHER]


def everything(name: str) -> State:
    """Return a State that counts one label of each kind."""
    state = State()
    state.products[name] = Product()
    state.total.tallies["faults"][name] += 1
    state.total.tallies["revenue_micros"][name] += 1
    state.total.tallies["ignored"][name] += 1
    state.queues[name] = Reading(0, [1])
    state.producers[f"pubsub:x\n{name}"] = Attendance()
    state.connections[name] = Reading(0, [1])
    return state


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_counted_keeps_its_place_whatever_the_limits_are_now(kind: str) -> None:
    labels = Labels(RULES)
    for name in ("a", "b\nwith a line break", "c", OTHER):
        labels.learn(everything(name))
    assert [labels.admit(kind, v) for v in ("a", "b\nwith a line break", "c")] == ["a", "b\nwith a line break", "c"]
    assert labels.admit(kind, "d") == OTHER


@pytest.mark.parametrize("kind", KINDS)
def test_other_takes_no_place_when_it_is_loaded(kind: str) -> None:
    labels = Labels(Rules(max_products=1, max_reasons=1, max_currencies=1, max_queues=1, max_types=1, max_producers=1))
    labels.learn(everything(OTHER))
    assert [labels.admit(kind, value) for value in "ab"] == ["a", OTHER]


def test_refusals_are_reasons_too() -> None:
    labels = Labels(Rules(max_reasons=0))
    state = State()
    state.total.tallies["refusals"]["sold_out"] += 1
    labels.learn(state)
    assert labels.admit("reason", "sold_out") == "sold_out"


def test_places_can_be_taken_back() -> None:
    labels = Labels(RULES)
    for value in "ab":
        labels.admit("connection", value)
    labels.retain("connection", {"b", "z"})
    assert [labels.admit("connection", value) for value in "bca"] == ["b", "c", OTHER]


def test_label_sets_first_met_are_named_by_family() -> None:
    after = everything("x")
    assert first_met(State(), after, ()) == {(f, "x") for f in ("product", "reason", "currency", "ignored")}
    assert first_met(after, after, ()) == set()


def test_a_configured_product_is_known_before_its_first_event() -> None:
    assert ("product", "x") not in first_met(State(), everything("x"), ("x",))


def test_a_reason_that_becomes_a_refusal_is_not_new() -> None:
    before, after = everything("x"), everything("x")
    after.total.tallies["refusals"]["x"] += 1
    assert first_met(before, after, ()) == set()
