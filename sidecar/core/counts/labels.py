"""Bounded label sets: whatever backends send, the number of series stays bounded, and sums stay right."""

from collections.abc import Iterable

from sidecar.core.counts.rules import OTHER, Rules
from sidecar.core.counts.state import State
from sidecar.core.events.currencies import ISO_4217

KINDS = ("product", "reason", "currency", "queue", "type", "producer", "connection")


class Labels:
    """The label values in use, by kind. Configured products and queues, and ISO currencies are always admitted."""

    def __init__(self, rules: Rules) -> None:
        self._known: dict[str, set[str]] = {kind: set() for kind in KINDS}
        self._known["product"].update(rules.products)
        self._known["queue"].update(rules.queues)
        self._money = ISO_4217 | {rules.currency}
        self._limits = {
            "product": rules.max_products,
            "reason": rules.max_reasons,
            "currency": rules.max_currencies,
            "queue": rules.max_queues,
            "type": rules.max_types,
            "producer": rules.max_producers,
            "connection": rules.max_producers,
        }

    @property
    def max_producers(self) -> int:
        """How many producers are distinguished."""
        return self._limits["producer"]

    def admit(self, kind: str, value: str) -> str:
        """Return `value` if it is in use or within the limit, else `__other__`."""
        known = self._known[kind]
        if value in known or (kind == "currency" and value in self._money):
            return value
        if value == OTHER or len(known) >= self._limits[kind]:
            return OTHER
        known.add(value)
        return value

    def retain(self, kind: str, used: set[str]) -> None:
        """Forget values that are not used any more."""
        self._known[kind] &= used

    def learn(self, state: State) -> None:
        """Admit everything that `state` already counts, whatever the limits are now."""
        tallies = state.total.tallies
        self._known["product"].update(state.products)
        self._known["reason"].update(tallies["refusals"], tallies["faults"])
        self._known["currency"].update(tallies["revenue_micros"].keys() - self._money)
        self._known["queue"].update(state.queues, state.reads)
        self._known["type"].update(tallies["ignored"])
        self._known["producer"].update(key.split("\n", 1)[1] for key in state.producers)
        self._known["connection"].update(state.connections)
        for known in self._known.values():
            known.discard(OTHER)


def first_met(before: State, after: State, configured: Iterable[str]) -> set[tuple[str, str]]:
    """Return the label sets, as (family, label), that `after` counts and `before` did not.

    Configured products are never new. Neither is a reason that moved between refusals and faults: its old series would
    fall to 0.
    """
    old, new = before.total.tallies, after.total.tallies
    labels = {
        "product": after.products.keys() - before.products.keys() - set(configured),
        "reason": (new["refusals"].keys() | new["faults"].keys()) - old["refusals"].keys() - old["faults"].keys(),
        "currency": new["revenue_micros"].keys() - old["revenue_micros"].keys(),
        "ignored": new["ignored"].keys() - old["ignored"].keys(),
    }
    return {(family, label) for family, found in labels.items() for label in found}
