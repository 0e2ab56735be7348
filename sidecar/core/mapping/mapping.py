"""A Mapping decodes the payloads of a source: the first rule that takes a payload makes the event."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Literal

from msgspec import Struct

from sidecar.core.events.decode import accept_fields
from sidecar.core.events.event import (
    MAX_BATCH_EVENTS,
    MAX_PAYLOAD_BYTES,
    MAX_REJECTED_BYTES,
    NOTHING_SHARED,
    Decoded,
    Event,
    Rejection,
)
from sidecar.core.events.rejections import UNREADABLE, not_json, not_object, too_large, too_many, unread
from sidecar.core.events.tolerant import numbers_of, read, read_into
from sidecar.core.events.values import Rejected
from sidecar.core.mapping import payloads as codecs
from sidecar.core.mapping.conditions import as_text
from sidecar.core.mapping.definition import Definition, Rule, Value
from sidecar.core.mapping.paths import get_by, steps_of
from sidecar.core.mapping.rules import CompiledRule
from sidecar.core.mapping.shapes import Lookup, Paths, PlainLookup

UNMATCHED = "otherwise"  # instead of the name of a rule
DROPPED_PAYLOADS = "drop_payloads"

OutcomeKind = Literal["mapped", "dropped", "rejected"]


class Outcome(Struct, frozen=True):
    """What a rule made of a payload, or of one event in it: an event, a rejection, or neither if it was dropped."""

    mapping: str
    rule: str
    event: Event | None = None
    rejection: Rejection | None = None
    adjusted: tuple[str, ...] = ()
    repeats: str = ""

    @property
    def kind(self) -> OutcomeKind:
        if self.rejection is not None:
            return "rejected"
        return "dropped" if self.event is None else "mapped"


class _CompiledRules:
    """The rules of a mapping, compiled for one way to decode payloads."""

    def __init__(self, definition: Definition, currency: str, lookup: Lookup) -> None:
        self.name = definition.name
        self.rules = [
            CompiledRule(rule, {**definition.event, **rule.event}, definition.zone, currency, lookup)
            for rule in definition.rules
        ]
        self._names = [lookup.get(path) for path in definition.repeats]

    def outcome(self, payload: Any, text: bytes, arrival: float) -> Outcome | None:
        """Return the outcome of the first rule that takes the event; `None` if no rule does."""
        for rule in self.rules:
            if rule.takes is None or rule.takes(payload):
                return Outcome(self.name, rule.name) if rule.drops else self._mapped(rule, payload, text, arrival)
        return None

    def repeats_of(self, payload: Any) -> str:
        """Return the name by which a repeated delivery is recognised; empty if a part of it is missing."""
        if not self._names:
            return ""
        parts = [as_text(get(payload)) for get in self._names]
        return "" if None in parts else "\n".join([self.name, *map(str, parts)])

    def _mapped(self, rule: CompiledRule, payload: Any, text: bytes, arrival: float) -> Outcome:
        try:
            fields = rule.fields_of(payload)
        except ArithmeticError:  # a decimal of a million digits
            detail = f"event: a number is too large to convert (mapping {self.name}, rule {rule.name})"
            return Outcome(self.name, rule.name, rejection=unread("out_of_range", detail, text, arrival, whole=True))
        event = accept_fields(fields, arrival)
        adjusted: tuple[str, ...] = ()
        if event is None:
            try:
                event, adjusted = read(fields, arrival)
            except Rejected as rejected:
                detail = f"{rejected.detail} (mapping {self.name}, rule {rule.name})"
                rejection = Rejection(rejected.reason, detail, text[:MAX_REJECTED_BYTES], arrival, numbers_of(fields))
                return Outcome(self.name, rule.name, rejection=rejection)
        if rule.decides_status and not event.status_word:
            event.status_word = str(event.status)  # so that an order published twice in one state counts once
        return Outcome(self.name, rule.name, event, None, adjusted, self.repeats_of(payload))


class Mapping:
    """One compiled definition."""

    def __init__(self, definition: Definition, *, currency: str) -> None:
        """`currency` is for amounts without one."""
        self.name = definition.name
        self._plain = _CompiledRules(definition, currency, PlainLookup())
        self._otherwise = definition.otherwise
        self._dropped = frozenset(payload.encode() for payload in definition.drop_payloads)
        self._inner = codecs.inner(definition.inner)
        self._each = get_by(steps_of(definition.each)) if definition.each else None
        self._whole = any(isinstance(steps_of(path)[0], int) for path in paths_of(definition))
        self._decode_shape: Callable[[bytes], Any] | None = None
        if not (self._inner or self._each or self._whole):
            paths = Paths()
            _CompiledRules(definition, currency, paths)
            shape = paths.shape()
            self._decode_shape = shape.decode
            self._shaped = _CompiledRules(definition, currency, shape)

    @property
    def rules(self) -> list[tuple[str, str, OutcomeKind]]:
        """The name of the mapping and of each of its rules, with what becomes of a payload that it takes."""
        return [(self.name, rule.name, "dropped" if rule.drops else "mapped") for rule in self._plain.rules]

    def outcomes(self, payload: bytes, arrival: float) -> Iterable[Outcome]:
        """Return the outcomes of a payload, in order; count nothing."""
        if self._decode_shape is not None and len(payload) <= MAX_PAYLOAD_BYTES:
            try:
                found = self._shaped.outcome(self._decode_shape(payload), payload, arrival)
            except UNREADABLE:
                found = None
            if found is not None:
                return (found,)
        return self._outcomes(payload, arrival)

    def _outcomes(self, payload: bytes, arrival: float) -> Iterator[Outcome]:
        if payload in self._dropped:
            yield Outcome(self.name, DROPPED_PAYLOADS)
            return
        if len(payload) > MAX_PAYLOAD_BYTES:
            yield Outcome(self.name, "", rejection=too_large(payload, arrival))
            return
        try:
            value = codecs.decoded(text := codecs.text_of(payload))
        except UNREADABLE as error:
            yield Outcome(self.name, "", rejection=not_json(payload, arrival, error))
            return
        elements = value if isinstance(value, list) and not self._whole else [value]
        if len(elements) > MAX_BATCH_EVENTS:
            yield Outcome(self.name, "", rejection=too_many(len(elements), payload, arrival))
            return
        for element in elements:
            yield from self._of_element(element, text, arrival)

    def _of_element(self, element: Any, text: bytes, arrival: float) -> Iterator[Outcome]:
        try:
            for decode in self._inner:
                element = decode(element)
        except ValueError as error:
            yield Outcome(self.name, "", rejection=unread("not_json", str(error), text, arrival))
            return
        if self._each is None:
            yield self._of_event(element, text, arrival)
            return
        found = self._each(element)
        events = found if isinstance(found, list) else [element if found is None else found]
        if len(events) > MAX_BATCH_EVENTS:
            yield Outcome(self.name, "", rejection=too_many(len(events), text, arrival))
            return
        for event in events:
            yield self._of_event(event, text, arrival)

    def _of_event(self, event: Any, text: bytes, arrival: float) -> Outcome:
        found = self._plain.outcome(event, text, arrival)
        return self._unmatched(event, text, arrival) if found is None else found

    def _unmatched(self, event: Any, text: bytes, arrival: float) -> Outcome:
        """Drop or reject an event that no rule takes, or read it as an event of this package."""
        if self._otherwise == "drop":
            return Outcome(self.name, UNMATCHED)
        if self._otherwise == "reject":
            detail = f"event: no rule of the mapping {self.name} takes it"
            return Outcome(self.name, UNMATCHED, rejection=unread("unmapped", detail, text, arrival))
        if not isinstance(event, dict):
            return Outcome(self.name, UNMATCHED, rejection=not_object(text, arrival))
        alone = Decoded([], [], [])
        read_into(alone, event, text, arrival)
        if alone.rejections:
            return Outcome(self.name, UNMATCHED, rejection=alone.rejections[0])
        found, repeats = alone.events[0], self._plain.repeats_of(event)
        return Outcome(self.name, UNMATCHED, found, None, alone.adjusted.get(id(found), ()), repeats)


class Chain:
    """All mappings of one source. `counts` has how often each rule mapped, dropped and rejected."""

    def __init__(self, mappings: Sequence[Mapping]) -> None:
        self._mappings = mappings
        self.counts: Counter[tuple[str, str, OutcomeKind]] = Counter()
        for mapping in mappings:  # a rule that never takes anything shows as 0
            self.counts.update(dict.fromkeys(mapping.rules, 0))

    def decode(self, payloads: Sequence[bytes], arrivals: Sequence[float]) -> Decoded:
        """Return the events and rejections of payloads; see Decoder."""
        result = Decoded([], [], [])
        result.shared.merge(NOTHING_SHARED)
        for payload, arrival in zip(payloads, arrivals, strict=True):
            for outcome in self.outcomes(payload, arrival):
                self.counts[outcome.mapping, outcome.rule, outcome.kind] += 1
                if outcome.event is not None:
                    result.add(outcome.event, arrival, outcome.adjusted)
                    if outcome.repeats:
                        result.repeats[id(outcome.event)] = outcome.repeats
                elif outcome.rejection is not None:
                    result.reject(outcome.rejection)
        return result

    def outcomes(self, payload: bytes, arrival: float) -> Iterable[Outcome]:
        """Return the outcomes of the first mapping with a rule that takes anything of the payload, else of the last."""
        for mapping in self._mappings[:-1]:
            found = list(mapping.outcomes(payload, arrival))
            if any(outcome.rule not in ("", UNMATCHED) for outcome in found):
                return found
        return self._mappings[-1].outcomes(payload, arrival)


def paths_of(definition: Definition) -> Iterator[str]:
    """Yield all paths from the payload or from its events, but not those within items."""
    yield from definition.inner
    yield from [definition.each] * bool(definition.each)
    yield from definition.repeats
    for rule in (Rule(event=definition.event), *definition.rules):
        for path, condition in rule.when.items():
            yield path
            if condition.differs_from is not None:
                yield condition.differs_from
        for value in rule.event.values():
            yield from value.path
            if isinstance(value, Value):
                yield from (*value.times, *value.since)
