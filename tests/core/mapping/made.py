"""Mappings made of a few lines of YAML, and what they make of payloads."""

import json
from typing import Any

import yaml

from sidecar.config.mappings import definitions
from sidecar.config.tree import tree
from sidecar.core.events.event import Event, Rejection
from sidecar.core.mapping.mapping import Chain, Mapping, Outcome

NOW = 1_796_040_000.0


def chain(*texts: str, currency: str = "EUR") -> Chain:
    """Return the compiled mappings of one source; each text is the YAML of one, without name and source."""
    found = [f"{{name: shop{at}, sources: [pubsub:shop], {text}}}" for at, text in enumerate(texts)]
    node = yaml.compose(f"[{', '.join(found)}]", Loader=yaml.SafeLoader)
    assert node is not None
    return Chain([Mapping(one, currency=currency) for one in definitions(tree(node, "made.yml"))])


def outcomes(text: str, payload: Any, *, currency: str = "EUR") -> list[Outcome]:
    """Return what one mapping makes of a payload: bytes, or what is written as JSON."""
    content = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    return [*chain(text, currency=currency).outcomes(content, NOW)]


def event(fields: str, payload: Any, *, also: str = "", currency: str = "EUR") -> Event:
    """Return the event that a rule with these fields makes of a payload; an order that succeeded unless they say."""
    status = "" if "status" in fields or "type" in fields else "status: {value: success}, "
    [outcome] = outcomes(f"{also} rules: [{{event: {{{status}{fields}}}}}]", payload, currency=currency)
    assert outcome.event is not None, outcome.rejection
    return outcome.event


def left_out(fields: str, payload: Any, *, also: str = "") -> tuple[str, ...]:
    """Return what the event that a rule makes of a payload goes without."""
    [outcome] = outcomes(f"{also} rules: [{{event: {{status: {{value: success}}, {fields}}}}}]", payload)
    assert outcome.event is not None, outcome.rejection
    return outcome.adjusted


def rejection(text: str, payload: Any) -> Rejection:
    """Return the one rejection of a payload."""
    [outcome] = outcomes(text, payload)
    assert outcome.rejection is not None
    return outcome.rejection


def rules_that_took(text: str, *payloads: Any) -> list[str]:
    """Return the rule that each payload was taken by."""
    return [outcome.rule for payload in payloads for outcome in outcomes(text, payload)]
