"""Bounded label sets: whatever backends invent, the number of series stays finite and the sums stay right."""

from sidecar.core.state import OTHER, Rules, State

KINDS = ("product", "reason", "currency", "queue", "type", "producer")


class Labels:
    """The label values in use, by kind. Configured products have reserved places."""

    def __init__(self, rules: Rules) -> None:
        self._known: dict[str, set[str]] = {kind: set() for kind in KINDS}
        self._known["product"].update(rules.products)
        self._limits = {
            "product": rules.max_products,
            "reason": rules.max_reasons,
            "currency": rules.max_currencies,
            "queue": rules.max_queues,
            "type": rules.max_types,
            "producer": rules.max_producers,
        }

    def admit(self, kind: str, value: str) -> str:
        """Return `value` if it has or gets a place, else `__other__`."""
        known = self._known[kind]
        if value in known:
            return value
        if value == OTHER or len(known) >= self._limits[kind]:
            return OTHER
        known.add(value)
        return value

    def learn(self, state: State) -> None:
        """Give a place to everything `state` already counts, whatever the limits are now."""
        tallies = state.total.tallies
        self._known["product"].update(state.products)
        self._known["reason"].update(tallies["refusals"], tallies["faults"])
        self._known["currency"].update(tallies["revenue_micros"])
        self._known["queue"].update(state.queues)
        self._known["type"].update(tallies["ignored"])
        self._known["producer"].update(state.connections, (key.split("\n")[1] for key in state.producers))
        for known in self._known.values():
            known.discard(OTHER)
