"""The list `mappings`: ready-made mappings, overridden by the user's settings, and checked."""

from importlib.resources import files
from typing import Any

import msgspec
import yaml
from msgspec.structs import replace

from sidecar.config.mapping_checks import ConfigPath, problems
from sidecar.config.nearest import did_you_mean, nearest
from sidecar.config.structs import SourcesConfig
from sidecar.config.tree import Tree, YamlList, YamlSection, YamlText, build, fail, tree
from sidecar.core.events.source import PUBSUB, STREAM, key_of, kind_of
from sidecar.core.mapping.definition import Definition, Rule

READY_MADE = files("sidecar.config") / "ready_made"


def names() -> list[str]:
    """Return the names of the ready-made mappings."""
    return sorted(file.name.removesuffix(".yml") for file in READY_MADE.iterdir() if file.name.endswith(".yml"))


def ready_made(name: str) -> str:
    """Return the YAML of a ready-made mapping."""
    return (READY_MADE / f"{name}.yml").read_text(encoding="utf-8")


def ready_made_definition(name: str) -> Definition:
    """Return a ready-made mapping as it is, of a made-up source. Raises ConfigError if there is none of this name."""
    use, source = YamlText(name), YamlText("pubsub:payloads")
    section = YamlSection(use=use, sources=source)
    use.origin = source.origin = section.origin = "--use"
    return _definition(section, "mapping")


def definitions(found: Tree) -> tuple[Definition, ...]:
    """Return the mappings of a configuration. Raises ConfigError for the first problem."""
    if not isinstance(found, YamlList):
        raise fail(found, "mappings", "is a list: write `- use: NAME` or `- name: NAME` below it")
    result: list[Definition] = []
    for at, one in enumerate(found):
        name = f"mappings[{at}]"
        definition = _definition(one, name)
        if definition.name in [other.name for other in result]:
            raise fail(one, name, f'has the name "{definition.name}" a second time: set another `name`')
        for other in result:
            shared = [source for source in definition.sources if source in other.sources]
            if shared and (definition.entry, definition.values) != (other.entry, other.values):
                raise fail(one, name, f'and "{other.name}" read {shared[0]} differently: give both the same `entry`')
        result.append(definition)
    return tuple(result)


def dumped(mappings: tuple[Definition, ...]) -> bytes:
    """Return mappings as JSON, in which they are written out as in a configuration; `loaded` reads it."""
    return msgspec.json.encode([_given(replace(one, use="")) for one in mappings])


def loaded(dump: bytes) -> tuple[Definition, ...]:
    """Return dumped mappings. Raises ConfigError if this version cannot use them."""
    root = yaml.compose(dump.decode(), Loader=yaml.SafeLoader)
    assert root is not None
    return definitions(tree(root, "the recording"))


def _given(value: Any) -> Any:
    """Return a setting without what has its default."""
    if isinstance(value, msgspec.Struct):
        fields = {field.encode_name: (field, getattr(value, field.name)) for field in msgspec.structs.fields(value)}
        return {name: _given(one) for name, (field, one) in fields.items() if one not in (field.default, {})}
    if isinstance(value, dict):
        return {name: _given(one) for name, one in value.items()}
    return [_given(one) for one in value] if isinstance(value, tuple) else value


def with_mapped(sources: SourcesConfig, mappings: tuple[Definition, ...]) -> SourcesConfig:
    """Add the sources that only mappings name."""
    named = dict.fromkeys(source for mapping in mappings for source in mapping.sources)
    pubsub = [key_of(source) for source in named if kind_of(source) is PUBSUB]
    streams = [key_of(source) for source in named if kind_of(source) is STREAM]
    return replace(
        sources,
        pubsub=(*sources.pubsub, *(name for name in pubsub if name not in sources.pubsub)),
        streams=(*sources.streams, *(name for name in streams if name not in sources.streams)),
    )


def _definition(found: Tree, name: str) -> Definition:
    if not isinstance(found, YamlSection):
        raise fail(found, name, "is a section: write `use: NAME` or `rules:` below it")
    if isinstance(use := found.get("use"), YamlText):
        if use not in names():
            guess = did_you_mean(nearest(use, names()))
            raise fail(use, f"{name}.use", f'"{use}" is no ready-made mapping{guess}; there is {", ".join(names())}')
        root = yaml.compose(ready_made(use), Loader=yaml.SafeLoader)
        base = None if root is None else tree(root, f"{use}.yml")
        assert isinstance(base, YamlSection)
        found = _overridden(base, found)
    definition: Definition = build(Definition, found, name)
    definition = replace(definition, name=definition.name or definition.use or f"mapping {name[9:-1]}")
    definition = replace(definition, rules=tuple(map(_named, enumerate(definition.rules, 1))))
    for where, problem in problems(definition):
        raise fail(_part(found, where), _name(name, where), problem)
    return definition


def _name(name: str, where: ConfigPath) -> str:
    return name + "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in where)


def _named(numbered: tuple[int, Rule]) -> Rule:
    number, rule = numbered
    return rule if rule.name else replace(rule, name=str(number))


# Overrides of a ready-made mapping


def _overridden(base: YamlSection, over: YamlSection) -> YamlSection:
    """Return a ready-made mapping with the user's changes; a user's rule comes first, or replaces its namesake."""
    rules = {str(rule.get("name", at)): rule for at, rule in enumerate(base.get("rules", ()))}
    new = []
    listed = over.get("rules") or YamlList()
    for rule in listed if isinstance(listed, YamlList) else [listed]:
        name = str(rule.get("name", "")) if isinstance(rule, YamlSection) else ""
        if name in rules:
            rules[name] = _merged(rules[name], rule)
        else:
            new.append(rule)
    changed = over.get("event")
    if isinstance(changed, YamlSection):
        shared = dict(changed)
        for name, rule in rules.items():
            own = rule.get("event")
            names = own.keys() if isinstance(own, YamlSection) else ()
            applicable = _like(over, {field: value for field, value in changed.items() if field in names})
            rules[name] = _merged(rule, _like(over, {"event": applicable})) if applicable else rule
            shared = {field: value for field, value in shared.items() if field not in applicable}
        shared |= {field: value for field, value in changed.items() if field in base.get("event", {})}
        over = _like(over, {**over, "event": _like(changed, shared)})
    result = _merged(base, _like(over, {name: value for name, value in over.items() if name != "rules"}))
    listing = YamlList([*new, *rules.values()])
    listing.origin = over.origin
    result["rules"] = listing
    return result


def _merged(base: YamlSection, over: YamlSection) -> YamlSection:
    """Merge two sections; `over` wins. A constant replaces all of a value, and a path replaces a constant."""
    result = _like(over, dict(base))
    for name, value in over.items():
        earlier = result.get(name)
        if isinstance(value, YamlSection) and isinstance(earlier, YamlText | YamlList):
            earlier = _like(value, {"path": earlier})
        if isinstance(value, YamlSection) and isinstance(earlier, YamlSection):
            dropped = earlier.keys() if "value" in value else {"value"} if "path" in value else set()
            earlier = _like(earlier, {key: one for key, one in earlier.items() if key not in dropped})
            value = _merged(earlier, value)
        result[name] = value
    return result


def _like(other: Any, values: dict[Any, Any]) -> YamlSection:
    section = YamlSection(values)
    section.origin = other.origin
    return section


def _part(found: Any, where: tuple[str | int, ...]) -> Any:
    """Return the innermost part on the path `where` that is in the file, for its line."""
    for step in where:
        within = found.get(str(step)) if isinstance(found, YamlSection) else None
        if isinstance(found, YamlList) and isinstance(step, int) and step < len(found):
            within = found[step]
        if within is None:
            break
        found = within
    return found
