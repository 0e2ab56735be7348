"""Outcomes of payloads, as text and as JSON: the event and the rule that made it, or why there is none."""

import json
from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import click

from sidecar.cli.view.terminal import counted, plain

if TYPE_CHECKING:
    from sidecar.core.mapping.mapping import Outcome

SHOWN_BYTES = 200


class Outcomes:
    """Prints outcomes as they come, and counts them."""

    def __init__(self, *, as_json: bool) -> None:
        self._as_json = as_json
        self.kinds: Counter[str] = Counter()
        self._payloads = 0
        self._there: dict[tuple[str, str], set[str]] = {}

    def show(self, payload: str, outcomes: Iterable["Outcome"], *, content: str = "") -> None:
        """Print the outcomes of a payload with the label `payload`; those without an event show `content`."""
        self._payloads += 1
        for outcome in outcomes:
            self.kinds[outcome.kind] += 1
            if outcome.event is not None:
                self._there.setdefault((outcome.mapping, outcome.rule), set()).update(fields_of(outcome))
            click.echo(_json(payload, outcome) if self._as_json else _text(payload, outcome, content))

    def summary(self) -> str:
        """Return the number of outcomes of each kind in one line."""
        payloads, events = counted(self._payloads, "payload"), counted(self.kinds["mapped"], "event")
        return f"{payloads}: {events}, {self.kinds['dropped']} dropped, {self.kinds['rejected']} rejected"

    def never_there(self, fields: dict[tuple[str, str], set[str]]) -> list[str]:
        """Return a warning for each rule with fields that none of its events had."""
        return [
            f"mapping {mapping}, rule {rule}: no event had {', '.join(sorted(missing))}: look at the path"
            for (mapping, rule), there in self._there.items()
            if (missing := fields.get((mapping, rule), set()) - there)
        ]


def fields_of(outcome: "Outcome") -> dict[str, Any]:
    """Return the fields of an event, as in JSON."""
    import msgspec

    from sidecar.core.events.event import Event

    assert outcome.event is not None
    given = {name: getattr(outcome.event, name) for name in Event.__struct_fields__ if name != "status_word"}
    known = {name: value for name, value in given.items() if value is not None and (name, value) != ("quantity", 1)}
    fields: dict[str, Any] = json.loads(msgspec.json.encode(known))
    return fields


def _json(payload: str, outcome: "Outcome") -> str:
    found: dict[str, Any] = {"payload": payload, "outcome": outcome.kind, "mapping": outcome.mapping}
    if outcome.rule:
        found["rule"] = outcome.rule
    if outcome.event is not None:
        found["event"] = fields_of(outcome)
        if outcome.adjusted:
            found["adjusted"] = list(outcome.adjusted)
        if outcome.repeats:
            found["repeats"] = outcome.repeats.split("\n")[1:]
    if outcome.rejection is not None:
        found |= {"reason": outcome.rejection.reason, "detail": outcome.rejection.detail}
    return json.dumps(found, ensure_ascii=False)


def _text(payload: str, outcome: "Outcome", content: str) -> str:
    by = f"mapping {plain(outcome.mapping)}" + (f", rule {plain(outcome.rule)}" if outcome.rule else "")
    head = f"{plain(payload)}: "
    shown = f"\n    {plain(content[:SHOWN_BYTES])}" if content else ""
    if outcome.rejection is not None:
        why = plain(f"{outcome.rejection.reason}: {outcome.rejection.detail}")
        return head + click.style("rejected", fg="red") + f": {why}{shown}"
    if outcome.event is None:
        return head + click.style("dropped", fg="yellow") + f" by {by}{shown}"
    fields = " ".join(f"{name}={_value(value)}" for name, value in fields_of(outcome).items() if name != "type")
    adjusted = f"\n    not all of it: {', '.join(outcome.adjusted)}" if outcome.adjusted else ""
    return head + click.style(str(outcome.event.type), fg="green") + f" by {by}\n    {plain(fields)}{adjusted}"


def _value(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
