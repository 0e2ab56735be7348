"""The JSON Schema of a configuration file, for editors: generated from the types that a file is converted to.

It finds misspelled names and values of a wrong kind. What `sidecar check` finds besides needs the values together.
"""

import types
from decimal import Decimal
from typing import Any, Literal, Union, get_args, get_origin

import msgspec

from sidecar.config.mapping_checks import ANY_FIELD
from sidecar.config.mappings import names
from sidecar.config.structs import LOG_FORMATS, LOG_LEVELS, REPEATS, Config, Seconds, Secret
from sidecar.config.values import BOOLEANS, DURATION
from sidecar.core.events.event import Item
from sidecar.core.events.schema import Schema
from sidecar.core.mapping.definition import Items, Value

_NULL: Schema = {"type": "null"}  # as if it were not there
_TEXT: Schema = {"type": ["string", "number", "boolean"]}  # a file holds texts: a product may be named 7 or no
_NUMBER: Schema = {"anyOf": [{"type": "number"}, {"type": "string", "pattern": r"^[+-]?[\d.]"}]}
_SCALARS: dict[Any, Schema] = {
    str: _TEXT,
    Secret: _TEXT,
    int: {"type": "integer"},
    float: {"type": "number"},
    Decimal: _NUMBER,
    bool: {"enum": [True, False, *BOOLEANS]},
    Seconds: {"anyOf": [{"type": "number", "minimum": 0}, {"type": "string", "pattern": f"^{DURATION.pattern}$"}]},
}
_SHORT: dict[str, Schema] = {"YamlText": _TEXT, "YamlList": {"type": "array", "items": _TEXT}}
# Settings that are texts of a few kinds.
_CHOICES: dict[tuple[str, str], tuple[str, ...] | list[str]] = {
    ("OrdersConfig", "repeats"): REPEATS,
    ("LogConfig", "level"): LOG_LEVELS,
    ("LogConfig", "format"): LOG_FORMATS,
    ("Definition", "use"): names(),
}


def json_schema() -> Schema:
    """Return the JSON Schema (draft 7) of a configuration file."""
    parts: dict[str, Schema] = {}
    root = _of(Config, parts)
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",  # as editors know it
        "title": "Flash Sale Metrics Sidecar: configuration",
        "anyOf": [root, _NULL],
        "definitions": parts,
    }


def _of(kind: Any, parts: dict[str, Schema]) -> Schema:
    """Return the schema of a type; that of a struct is added to `parts`."""
    origin, parameters = get_origin(kind), get_args(kind)
    if kind in _SCALARS:
        return _SCALARS[kind]
    if origin in (Union, types.UnionType):
        return _any([_of(one, parts) for one in parameters if one is not types.NoneType])
    if origin is Literal:
        return {"enum": list(parameters)}
    if origin is tuple:
        one = _of(parameters[0], parts)
        listing = {"type": "array", "items": one}
        return listing if issubclass(parameters[0], msgspec.Struct) else _any([listing, one])
    if origin is dict:
        return {"type": "object", **_entries(parameters[1], parts)}
    return _struct(kind, parts)


def _entries(kind: Any, parts: dict[str, Schema]) -> Schema:
    """Return the schema of the entries of a section whose names are not those of settings."""
    if kind == Value | Items:
        fields = {name: _of(Items if name == "items" else Value, parts) for name in ANY_FIELD}
        return {"properties": fields, "additionalProperties": False}
    if kind is Value:
        fields = {name: _of(Value, parts) for name in Item.__struct_fields__}
        return {"properties": fields, "additionalProperties": False}
    return {"additionalProperties": _of(kind, parts)}


def _struct(kind: type[msgspec.Struct], parts: dict[str, Schema]) -> Schema:
    if kind.__name__ not in parts:
        parts[kind.__name__] = {}  # its place
        settings = {field.encode_name: _setting(kind, field, parts) for field in msgspec.structs.fields(kind)}
        section = {"type": "object", "properties": settings, "additionalProperties": False}
        short = [_SHORT[form] for form in getattr(kind, "short", ())]
        parts[kind.__name__] = {"description": kind.__doc__, **_any([section, *short])}
    return {"$ref": f"#/definitions/{kind.__name__}"}


def _setting(kind: type[msgspec.Struct], field: msgspec.structs.FieldInfo, parts: dict[str, Schema]) -> Schema:
    choices = _CHOICES.get((kind.__name__, field.name))
    schema = _any([{"enum": list(choices)} if choices else _of(field.type, parts), _NULL])
    default = field.default
    return {**schema, "default": default} if isinstance(default, str | int | float | tuple) and default else schema


def _any(schemas: list[Schema]) -> Schema:
    return schemas[0] if len(schemas) == 1 else {"anyOf": schemas}
