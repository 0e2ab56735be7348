"""Checks of a mapping: each problem has its location, and a message with the fix."""

from collections.abc import Iterable, Iterator
from zoneinfo import ZoneInfo, available_timezones

from sidecar.config.nearest import did_you_mean, nearest
from sidecar.core.events.currencies import ISO_4217
from sidecar.core.events.event import FIELDS, MAX_ID_BYTES, REQUIRED, Item
from sidecar.core.events.source import KINDS
from sidecar.core.events.values import STATUS_WORDS
from sidecar.core.mapping.definition import ONLY_FIELD, WHOLE_ENTRY, Condition, Definition, Items, Rule, Value
from sidecar.core.mapping.paths import steps_of

ANY_FIELD = tuple(dict.fromkeys(name for names in FIELDS.values() for name in names))
# Settings of a value that only some fields have.
ONLY_FOR = {
    "unit": ("latency_ms", "processing_ms"),
    "since": ("latency_ms", "processing_ms"),
    "zone": ("ts", "latency_ms", "processing_ms"),
    **dict.fromkeys(("scale", "minor_units", "decimals", "decimal_comma", "times"), ("amount",)),
}

MOST_DECIMALS = 38  # of a decimal in a database

ConfigPath = tuple[str | int, ...]
MappingProblem = tuple[ConfigPath, str]


def problems(mapping: Definition) -> Iterator[MappingProblem]:
    """Yield the problems of a mapping."""
    yield from _of_sources(mapping)
    if not mapping.rules:
        yield (), "has no rules: write `rules:` below it, or `use:` with the name of a ready-made mapping"
    yield from _of_fields(mapping.event, ("event",), ANY_FIELD)
    for at, rule in enumerate(mapping.rules):
        yield from _of_rule(rule, mapping, at)
    for setting, paths in (
        ("inner", mapping.inner),
        ("each", filter(None, [mapping.each])),
        ("repeats", mapping.repeats),
    ):
        yield from _of_paths(paths, (setting,))
    yield from _of_zone(mapping.zone, ("zone",))


def _of_sources(mapping: Definition) -> Iterator[MappingProblem]:
    if not mapping.sources:
        yield (), "has no sources: write sources: [pubsub:CHANNEL] or [stream:STREAM]"
    for at, source in enumerate(mapping.sources):
        kind, _, name = source.partition(":")
        if kind not in KINDS or not name:
            yield ("sources", at), f'must name {" or ".join(f"{kind}:NAME" for kind in KINDS)}, not "{source}"'
        if source in mapping.sources[:at]:
            yield ("sources", at), f'names "{source}" twice'
    if not all(mapping.entry) or (len(mapping.entry) > 1 and {WHOLE_ENTRY, ONLY_FIELD} & set(mapping.entry)):
        yield ("entry",), "must name fields of the stream's entries, or be `*` or `fields` alone"


def _of_rule(rule: Rule, mapping: Definition, at: int) -> Iterator[MappingProblem]:
    where = ("rules", at)
    before = mapping.rules[:at]
    if rule.name in [other.name for other in before]:
        yield where, f'has the name "{rule.name}" a second time'
    earlier = next((other for other in before if other.when.items() <= rule.when.items()), None)
    if earlier is not None:
        yield where, f'can never match: rule "{earlier.name}" before it takes all that it would take'
    yield from _of_conditions(rule.when, (*where, "when"))
    if rule.drop and rule.event:
        yield where, "drops what it takes, so that its event is never used: leave one of them out"
    if not rule.drop:
        yield from _of_event({**mapping.event, **rule.event}, rule, where)


def _of_conditions(when: dict[str, Condition], where: ConfigPath) -> Iterator[MappingProblem]:
    for path, condition in when.items():
        here = (*where, path)
        yield from _of_paths((path, *filter(None, (condition.differs_from,))), here)
        yield from ((here, problem) for problem in condition_problems(condition))


def condition_problems(condition: Condition) -> Iterator[str]:
    """Yield what is wrong with a condition."""
    if condition == Condition():
        yield "asks nothing: write a word, a list of words, exists, starts_with, above or differs_from"
    said = condition.equals is not None or condition.one_of or condition.starts_with or condition.above is not None
    if said and condition.exists is False:
        yield "can never match: what does not exist has no value"
    if condition.equals is not None and condition.one_of and condition.equals not in condition.one_of:
        yield f'can never match: "{condition.equals}" is none of its words'
    if condition.above is not None and not condition.above.is_finite():
        yield "must be above a number"


def _of_event(event: dict[str, Value | Items], rule: Rule, where: ConfigPath) -> Iterator[MappingProblem]:
    kind = event.get("type")
    if kind is not None and not (isinstance(kind, Value) and kind.value in FIELDS):
        if isinstance(kind, Value) and kind.value is None:
            yield (
                (*where, "event", "type"),
                f"must be a constant: write {{value: {', '.join(FIELDS)}}} with one of them",
            )
        else:
            yield (*where, "event", "type"), f"must be one of {', '.join(FIELDS)}"
        return
    type_ = kind.value if isinstance(kind, Value) and kind.value else "order"
    yield from _of_fields(rule.event, (*where, "event"), FIELDS[type_])
    for name in REQUIRED.get(type_, ()):
        if name not in event:
            yield where, f"makes an event of type {type_} without {name}, which it needs: say where it comes from"


def _of_fields(event: dict[str, Value | Items], where: ConfigPath, known: Iterable[str]) -> Iterator[MappingProblem]:
    names = tuple(known)
    for name, value in event.items():
        here = (*where, name)
        if name not in names:
            yield here, f"is no field of such an event{did_you_mean(nearest(name, names))}; there is {', '.join(names)}"
        elif name == "items":
            yield from _of_items(value, here)
        elif isinstance(value, Items):
            yield here, "has no items: only the field items has `item` and `when`"
        else:
            yield from _of_value(name, value, here)


def _of_items(items: Value | Items, where: ConfigPath) -> Iterator[MappingProblem]:
    if not isinstance(items, Items) or not items.path or "product_id" not in items.item:
        yield where, "needs `path`, the list, and `item` with the product_id of each element"
        return
    yield from _of_paths(items.path, (*where, "path"))
    yield from _of_conditions(items.when, (*where, "when"))
    for name, value in items.item.items():
        if name not in Item.__struct_fields__:
            yield (*where, "item", name), f"is no field of an item; there is {', '.join(Item.__struct_fields__)}"
        else:
            yield from _of_value(name, value, (*where, "item", name))


def _of_value(name: str, value: Value, where: ConfigPath) -> Iterator[MappingProblem]:
    if bool(value.path) == (value.value is not None):
        yield where, "needs either `path`, where it stands in the payload, or `value`, a constant"
    elif value.value is not None and value != Value(value=value.value):
        yield where, "is a constant, which needs nothing but `value`"
    for setting in ("path", "times", "since"):
        yield from _of_paths(getattr(value, setting), (*where, setting))
    yield from _of_zone(value.zone, (*where, "zone"))
    for setting, fields in ONLY_FOR.items():
        if getattr(value, setting) != getattr(Value(), setting) and name not in fields:
            yield (*where, setting), f"is only for {' and '.join(fields)}"
    if value.divide_by is not None and not (value.divide_by.is_finite() and value.divide_by > 0):
        yield (*where, "divide_by"), "must be a number above 0"
    if value.scale is not None and abs(value.scale) > MOST_DECIMALS:
        yield (*where, "scale"), f"must be from -{MOST_DECIMALS} to {MOST_DECIMALS}"
    for code, digits in value.decimals.items():
        if code not in ISO_4217 or not 0 <= digits <= MOST_DECIMALS:
            guess = did_you_mean(nearest(code.upper(), ISO_4217))
            yield (*where, "decimals", code), f"must be the decimals, 0 to {MOST_DECIMALS}, of an ISO 4217 code{guess}"
    if value.decimals and not value.minor_units:
        yield (*where, "decimals"), "is only used with minor_units: true"
    constants = [*value.words.values(), *filter(None, (value.otherwise, value.value))]
    if any(len(constant.encode()) > MAX_ID_BYTES for constant in constants):
        yield where, f"has a constant of more than {MAX_ID_BYTES} bytes, which no field can hold"
    if name == "status":
        for word in constants:
            if word.lower() not in STATUS_WORDS:
                guess = did_you_mean(nearest(word, STATUS_WORDS))
                yield where, f'makes "{word}" of it, which is no status{guess}; there is {", ".join(STATUS_WORDS)}'


def _of_paths(paths: Iterable[str], where: ConfigPath) -> Iterator[MappingProblem]:
    for path in paths:
        try:
            steps_of(path)
        except ValueError as exc:
            yield where, str(exc)


def _of_zone(zone: str, where: ConfigPath) -> Iterator[MappingProblem]:
    try:
        if zone:
            ZoneInfo(zone)
    except (OSError, ValueError, KeyError):  # ZoneInfoNotFoundError is a KeyError
        known = available_timezones()
        guess = did_you_mean(nearest(zone, known)) or ": write one such as Europe/Berlin, or install tzdata"
        yield where, f'is "{zone}", a time zone that this machine does not know{guess}'
