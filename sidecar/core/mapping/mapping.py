"""A Mapping decodes the payloads of a source: the first rule that takes a payload makes the event."""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from typing import Any, Literal

from msgspec import Struct
from msgspec.structs import replace

from sidecar.core.events.decode import TOGETHER, accept_fields, accept_together, decoder_of, is_simple
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
from sidecar.core.mapping.direct import first_names, names_of
from sidecar.core.mapping.paths import get_by, steps_of
from sidecar.core.mapping.rules import CompiledRule
from sidecar.core.mapping.shapes import Lookup, Paths, PlainLookup

NO_EXTRAS: dict[str, Any] = {}
PAYLOAD = "$"  # paths that begin with it begin at the payload, also where `each` leads to its events
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
    extras: dict[str, Any] = {}

    @property
    def kind(self) -> OutcomeKind:
        if self.rejection is not None:
            return "rejected"
        return "dropped" if self.event is None else "mapped"


class _CompiledRules:
    """The rules of a mapping, compiled for one way to decode payloads."""

    def __init__(self, definition: Definition, currency: str, extras: Collection[str], lookup: Lookup) -> None:
        self.name = definition.name
        self._extras = {path: lookup.get(path) for path in extras}
        self.rules = [
            CompiledRule(rule, {**definition.event, **rule.event}, definition.zone, currency, lookup)
            for rule in definition.rules
        ]
        self._names = [lookup.get(path) for path in definition.repeats]

    def outcome(self, payload: Any, text: bytes, arrival: float, *, simple: bool = False) -> Outcome | None:
        """Return the outcome of the first rule that takes the event; `None` if no rule does."""
        for rule in self.rules:
            if rule.takes is None or rule.takes(payload):
                return self._taken(rule, payload, text, arrival, simple)
        return None

    def repeats_of(self, payload: Any) -> str:
        """Return the name by which a repeated delivery is recognised; empty if a part of it is missing."""
        if not self._names:
            return ""
        parts = [as_text(get(payload)) or "" for get in self._names]
        return "\n".join([self.name, *parts]) if all(parts) else ""

    def extras_of(self, payload: Any) -> dict[str, Any]:
        """Return what is at the paths that events have no fields for."""
        if not self._extras:
            return NO_EXTRAS
        return {path: get(payload) for path, get in self._extras.items()}

    def _taken(self, rule: CompiledRule, payload: Any, text: bytes, arrival: float, simple: bool) -> Outcome:
        if rule.drops:
            return Outcome(self.name, rule.name)
        fields = rule.fields_of(payload)
        event = accept_fields(fields, arrival, simple=simple)
        adjusted: tuple[str, ...] = ()
        if event is None:
            try:
                event, adjusted = read(fields, arrival)
            except Rejected as rejected:
                payload, numbers = text[:MAX_REJECTED_BYTES], numbers_of(fields)
                rejection = Rejection(rejected.reason, rejected.detail, payload, arrival, numbers)
                return _rejected(self.name, rule.name, rejection)
        if rule.decides_status and not event.status_word:
            event.status_word = str(event.status)  # so that an order published twice in one state counts once
        extras = self.extras_of(payload)
        return Outcome(self.name, rule.name, event, None, adjusted, self.repeats_of(payload), extras)


def _rejected(mapping: str, rule: str, rejection: Rejection) -> Outcome:
    """Return the outcome whose detail names what rejected the payload."""
    by = f"mapping {mapping}, rule {rule}" if rule else f"mapping {mapping}"
    return Outcome(mapping, rule, rejection=replace(rejection, detail=f"{rejection.detail} ({by})"))


class Mapping:
    """One compiled definition."""

    def __init__(self, definition: Definition, *, currency: str, extras: Collection[str] = ()) -> None:
        """`currency` is for amounts without one; `extras` are paths that events have no fields for."""
        self.name = definition.name
        self._plain = _CompiledRules(definition, currency, extras, PlainLookup())
        self._otherwise = definition.otherwise
        self._dropped = frozenset(payload.encode() for payload in definition.drop_payloads)
        self._inner = codecs.inner(definition.inner)
        self._each = get_by(steps_of(definition.each)) if definition.each else None
        firsts_of_paths = {steps_of(path)[0] for path in paths_of(definition)}
        self._whole = any(isinstance(first, int) for first in firsts_of_paths)
        self._reads_payload = PAYLOAD in firsts_of_paths
        names, firsts = None if self._reads_payload else names_of(definition), first_names(extras)
        self.decode_directly = None if names is None or firsts is None else decoder_of(names, firsts)
        self._decode_shape: Callable[[bytes], Any] | None = None
        if not (self._inner or self._each or self._whole or self._reads_payload):
            paths = Paths()
            _CompiledRules(definition, currency, extras, paths)
            shape = paths.shape()
            self._decode_shape = shape.decode
            self._shaped = _CompiledRules(definition, currency, extras, shape)

    @property
    def rules(self) -> list[tuple[str, str, OutcomeKind]]:
        """The name of the mapping and of each of its rules, with what becomes of a payload that it takes."""
        return [(self.name, rule.name, "dropped" if rule.drops else "mapped") for rule in self._plain.rules]

    def outcomes(self, payload: bytes, arrival: float) -> Iterable[Outcome]:
        """Return the outcomes of a payload, in order; count nothing."""
        if self._dropped and payload in self._dropped:
            return (Outcome(self.name, DROPPED_PAYLOADS),)
        if len(payload) > MAX_PAYLOAD_BYTES:
            return (_rejected(self.name, "", too_large(payload, arrival)),)
        if self._decode_shape is not None:
            try:
                value = self._decode_shape(payload)
                found = self._shaped.outcome(value, payload, arrival, simple=is_simple(payload))
            except UNREADABLE:
                found = None
            if found is not None:
                return (found,)
        return self._read_by_paths(payload, arrival)

    def _read_by_paths(self, payload: bytes, arrival: float) -> Iterator[Outcome]:
        """Decode the whole of a payload, whatever its shape."""
        try:
            value = codecs.decoded(text := codecs.text_of(payload))
        except UNREADABLE as error:
            yield _rejected(self.name, "", not_json(payload, arrival, error))
            return
        elements = value if isinstance(value, list) and not self._whole else [value]
        if len(elements) > MAX_BATCH_EVENTS:
            yield _rejected(self.name, "", too_many(len(elements), payload, arrival))
            return
        for element in elements:
            yield from self._of_element(element, text, arrival)

    def _of_element(self, element: Any, text: bytes, arrival: float) -> Iterator[Outcome]:
        try:
            element = self._decoded(element)
            found = element if self._each is None else self._each(element)
            several = isinstance(found, list) and self._each is not None
            events = found if several else [element if found is None else found]
            if len(events) > MAX_BATCH_EVENTS:
                yield _rejected(self.name, "", too_many(len(events), text, arrival))
                return
            for event in events:
                yield self._of_event(self._within(element, event), text, arrival)
        except ValueError as error:
            yield _rejected(self.name, "", unread("not_json", str(error), text, arrival))

    def _decoded(self, value: Any) -> Any:
        """Decode the encoded values of a payload, or of an event in it. Raises ValueError."""
        for decode in self._inner:
            value = decode(value)
        return value

    def _within(self, payload: Any, event: Any) -> Any:
        """Return an event with what its rules also read: values that are encoded in it, and the payload."""
        if event is not payload:
            event = self._decoded(event)
        return {**event, PAYLOAD: payload} if self._reads_payload and isinstance(event, dict) else event

    def _of_event(self, event: Any, text: bytes, arrival: float) -> Outcome:
        takes_it = isinstance(event, dict) or (self._whole and isinstance(event, list))
        found = self._plain.outcome(event, text, arrival) if takes_it else None
        return self._unmatched(event, text, arrival) if found is None else found

    def _unmatched(self, event: Any, text: bytes, arrival: float) -> Outcome:
        """Drop or reject an event that no rule takes, or read it as an event of this package."""
        if self._otherwise == "drop":
            return Outcome(self.name, UNMATCHED)
        alone = Decoded([], [], [])
        if self._otherwise == "reject":
            alone.reject(unread("unmapped", "event: no rule takes it", text, arrival))
        elif not isinstance(event, dict):
            alone.reject(not_object(text, arrival))
        else:
            read_into(alone, event, text, arrival)
        if alone.rejections:
            return _rejected(self.name, UNMATCHED, alone.rejections[0])
        found, repeats, extras = alone.events[0], self._plain.repeats_of(event), self._plain.extras_of(event)
        return Outcome(self.name, UNMATCHED, found, None, alone.adjusted.get(id(found), ()), repeats, extras)


class Chain:
    """All mappings of one source. `counts` is for the Aggregator: how often each rule mapped, dropped and rejected."""

    def __init__(self, mappings: Sequence[Mapping]) -> None:
        *self._earlier, self._last = mappings
        self._decode_directly = None if self._earlier else self._last.decode_directly
        self.counts: Counter[tuple[str, str, str]] = Counter()
        for mapping in mappings:  # a rule that never takes anything shows as 0
            self.counts.update(dict.fromkeys(mapping.rules, 0))

    def decode(self, payloads: Sequence[bytes], arrivals: Sequence[float]) -> Decoded:
        """Return the events and rejections of payloads; see Decoder."""
        result = Decoded([], [], [])
        for start in range(0, len(payloads), TOGETHER):
            self._decode_some(payloads[start : start + TOGETHER], arrivals[start : start + TOGETHER], result)
        return result

    def _decode_some(self, payloads: Sequence[bytes], arrivals: Sequence[float], result: Decoded) -> None:
        decode = self._decode_directly
        if decode is not None and accept_together(decode, payloads, arrivals, result):
            result.take(self._last.rules[0], len(payloads))
            return
        result.shared.merge(NOTHING_SHARED)
        for payload, arrival in zip(payloads, arrivals, strict=True):
            made = len(result.events)
            for outcome in self.outcomes(payload, arrival):
                result.take((outcome.mapping, outcome.rule, outcome.kind), 1)
                if outcome.event is not None:
                    result.add(outcome.event, arrival, outcome.adjusted)
                    if outcome.repeats:
                        result.repeats[id(outcome.event)] = outcome.repeats
                    if outcome.extras:
                        result.extras[id(outcome.event)] = outcome.extras
                elif outcome.rejection is not None:
                    result.reject(outcome.rejection)
            result.paired &= len(result.events) == made + 1

    def outcomes(self, payload: bytes, arrival: float) -> Iterable[Outcome]:
        """Return the outcomes of the first mapping with a rule that takes anything of the payload, else of the last."""
        for mapping in self._earlier:
            found = list(mapping.outcomes(payload, arrival))
            if any(outcome.rule not in ("", UNMATCHED) for outcome in found):
                return found
        return self._last.outcomes(payload, arrival)


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
