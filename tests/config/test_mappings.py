"""Ready-made mappings, and what a user changes in them."""

from pathlib import Path

import pytest
from msgspec.structs import replace

from sidecar.config.loading import load
from sidecar.config.mappings import dumped, loaded, names, ready_made_definition
from sidecar.core.mapping.definition import Definition, Value


def overridden(tmp_path: Path, changes: str) -> Definition:
    """Return a ready-made mapping with changes."""
    file = tmp_path / "sidecar.yml"
    file.write_text(f"mappings:\n  - sources: [pubsub:shop]\n{changes}")
    (definition,) = load(str(file), environ={}).config.mappings
    return definition


def test_words_join_those_of_the_rules(tmp_path: Path) -> None:
    changed = overridden(tmp_path, "    use: woocommerce\n    event: {status: {words: {backordered: pending}}}\n")
    (order,) = [rule for rule in changed.rules if rule.name == "order"]
    status = order.event["status"]
    assert isinstance(status, Value)
    assert status.path == ("status",)
    assert (status.words["backordered"], status.words["completed"]) == ("pending", "success")
    assert "status" not in changed.event


def test_a_field_changes_where_it_is_and_a_new_one_is_of_every_event(tmp_path: Path) -> None:
    changed = overridden(
        tmp_path, "    use: stripe\n    event: {amount: {path: sum}, currency: code, trace_id: run, producer: host}\n"
    )
    amounts = {rule.name: rule.event.get("amount") for rule in changed.rules if "amount" in rule.event}
    assert amounts.keys() == {"paid", "session_paid", "charge"}
    assert all(
        isinstance(amount, Value) and amount.path == ("sum",) and amount.minor_units for amount in amounts.values()
    )
    assert changed.event.keys() >= {"currency", "trace_id", "producer"}
    assert "amount" not in changed.event
    assert changed.event["currency"] == Value(path=("code",))


def test_a_rule_changes_its_namesake_and_a_new_one_comes_first(tmp_path: Path) -> None:
    changed = overridden(
        tmp_path,
        "    use: shopify\n    rules:\n      - {name: test, when: {test: 'true'}, drop: true}\n"
        "      - {name: cancelled, event: {reason: {value: withdrawn}}}\n",
    )
    assert [rule.name for rule in changed.rules] == ["test", "cancelled", "order", "graphql"]
    cancelled = changed.rules[1].event
    assert (cancelled["reason"], cancelled["status"]) == (Value(value="withdrawn"), Value(value="cancelled"))


@pytest.mark.parametrize("name", names())
def test_a_mapping_is_read_from_a_recording_as_it_was(name: str) -> None:
    """With all that it has, so that a later version of a ready-made one makes no difference."""
    known = (ready_made_definition(name),)
    assert loaded(dumped(known)) == tuple(replace(one, use="") for one in known)
