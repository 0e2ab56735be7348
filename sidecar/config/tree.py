"""YAML -> lists of structs: every part knows the line it stands on, so that an error can name it.

Values are the text in the file, as in yaml_file.
"""

import types
from decimal import Decimal, InvalidOperation
from typing import Any, Literal, TypeVar, Union, get_args, get_origin

import msgspec
import yaml

from sidecar.config.nearest import did_you_mean, nearest
from sidecar.config.values import BOOLEANS
from sidecar.errors import ConfigError

T = TypeVar("T")

MERGE = "tag:yaml.org,2002:merge"
MOST_DEEP = 50
MOST_PARTS = 10_000  # an alias counts as what it stands for


class YamlText(str):
    """A scalar."""

    origin: str


class YamlSection(dict[str, Any]):
    """`name: value` lines."""

    origin: str


class YamlList(list[Any]):
    """A list."""

    origin: str


Tree = YamlText | YamlSection | YamlList


def tree(node: yaml.Node, path: str) -> Tree:
    """Return a node of a file as plain values with their origins. Raises ConfigError."""
    return _TreeReader(path).tree(node)


class _TreeReader:
    """Reads one part of a file. Aliases may make it larger than the file, and without end."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._parts = self._depth = 0

    def tree(self, node: yaml.Node) -> Tree:
        origin = f"{self._path}:{node.start_mark.line + 1}"
        self._parts += 1
        if self._parts > MOST_PARTS:
            raise ConfigError(f"{origin}: aliases (*name) make it too large: write out what you need")
        if self._depth == MOST_DEEP:
            raise ConfigError(f"{origin}: is nested too deeply; does an alias (*name) stand within what it names?")
        self._depth += 1
        found: Tree
        if isinstance(node, yaml.ScalarNode):
            found = _text(node.value, origin)
        elif isinstance(node, yaml.SequenceNode):
            found = YamlList(map(self.tree, node.value))
        else:
            found = self._section(node, origin)
        found.origin = origin
        self._depth -= 1
        return found

    def _section(self, node: yaml.Node, origin: str) -> YamlSection:
        found = YamlSection()
        for key, value in node.value:
            name = self.tree(key)
            if not isinstance(name, YamlText):
                raise ConfigError(f"{origin}: a name must be a plain word")
            if key.tag == MERGE:
                raise ConfigError(
                    f"{name.origin}: << is not supported: write the settings out, or *name for all of them"
                )
            if name in found:
                raise ConfigError(f"{name.origin}: {name} is set twice")
            found[name] = self.tree(value)
        return found


def _text(value: str, origin: str) -> YamlText:
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ConfigError(f"{origin}: holds what is no character") from None
    return YamlText(value)


def build(kind: Any, found: Tree, name: str) -> Any:
    """Convert to a type: a struct, a mapping, a tuple, a literal or a scalar.

    Raises ConfigError with file, line and `name`, the dotted name of this part of the configuration.
    """
    origin, parameters = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        return build(_chosen(parameters, found), found, name)
    if origin is Literal:
        return _one_of(parameters, found, name)
    if origin is tuple:
        parts = found if isinstance(found, YamlList) else [found]
        return tuple(build(parameters[0], part, f"{name}[{at}]") for at, part in enumerate(parts))
    if origin is dict:
        section = _section(found, name)
        return {str(key): build(parameters[1], value, f"{name}.{key}") for key, value in section.items()}
    if issubclass(kind, msgspec.Struct):
        return _struct(kind, found, name)
    return _scalar(kind, found, name)


def fail(found: Any, name: str, problem: str) -> ConfigError:
    """Return the error about a part, with its origin and name; `problem` says what is wrong and what to do."""
    return ConfigError(f"{found.origin}: {name} {problem}")


def _chosen(kinds: tuple[Any, ...], found: Tree) -> Any:
    """Choose one of several types: the struct that has most of the section's names, else the first type."""
    structs = [kind for kind in kinds if isinstance(kind, type) and issubclass(kind, msgspec.Struct)]
    if isinstance(found, YamlSection) and len(structs) > 1:
        return max(structs, key=lambda kind: len(found.keys() & _fields(kind).keys()))
    return next(kind for kind in kinds if kind is not types.NoneType)


def _fields(kind: type[msgspec.Struct]) -> dict[str, msgspec.structs.FieldInfo]:
    return {field.encode_name: field for field in msgspec.structs.fields(kind)}


def _struct(kind: type[msgspec.Struct], found: Tree, name: str) -> Any:
    """Build a struct; `short` of its type names the setting that a bare text or list stands for."""
    if not isinstance(found, YamlSection):
        short = getattr(kind, "short", None)
        key = short.get(type(found).__name__) if short else None
        if key is None:
            raise fail(found, name, "is a section: write `name: value` lines below it")
        section = YamlSection({key: found})
        section.origin = found.origin
        found = section
    fields = _fields(kind)
    values = {}
    for key, value in found.items():
        field = fields.get(key)
        if field is None:
            known = f"; there is {', '.join(fields)}" if nearest(key, fields) is None else ""
            where = getattr(key, "origin", found.origin)
            raise ConfigError(f"{where}: {name} has no setting {str(key)!r}{did_you_mean(nearest(key, fields))}{known}")
        if value != "" or field.type is str:
            values[field.name] = build(field.type, value, f"{name}.{key}")
    return kind(**values)


def _section(found: Tree, name: str) -> YamlSection:
    if not isinstance(found, YamlSection):
        raise fail(found, name, "is a section: write `name: value` lines below it")
    return found


def _one_of(choices: tuple[str, ...], found: Tree, name: str) -> str:
    if not isinstance(found, YamlText) or found not in choices:
        guess = did_you_mean(nearest(found, choices)) if isinstance(found, YamlText) else ""
        raise fail(found, name, f"must be one of {', '.join(choices)}{guess}")
    return str(found)


def _scalar(kind: Any, found: Tree, name: str) -> Any:
    if not isinstance(found, YamlText):
        raise fail(found, name, "must be a single value")
    text = str(found)
    try:
        if kind is bool:
            return BOOLEANS[text.lower()]
        return kind(text)
    except (KeyError, ValueError, InvalidOperation):
        expected = {bool: "true or false", int: "a whole number", float: "a number", Decimal: "a number"}[kind]
        raise fail(found, name, f"must be {expected}") from None
