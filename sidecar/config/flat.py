"""The configuration <-> settings by dotted name."""

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from sidecar.config.structs import Config

PREFIX = "SIDECAR_"
LISTS_OF_STRUCTS = ("mappings", "custom_metrics", "queues")  # only in files


def schema() -> dict[str, Any]:
    """Return the type of every setting by dotted name, in the order of the structs."""
    return dict(_walk_types(Config, ""))


def flatten(config: Config) -> dict[str, Any]:
    """Return the value of every setting by dotted name. Secrets stay `Secret`, whose repr shows nothing."""
    return dict(_walk_values(config, ""))


def unflatten(values: Mapping[str, Any]) -> Config:
    """Build a configuration from settings by dotted name; the others have their defaults."""
    sections: dict[str, dict[str, Any]] = {}
    for name, value in values.items():
        section, _, last = name.rpartition(".")
        sections.setdefault(section, {})[last] = value
    top = sections.pop("", {})
    types = {field.name: field.type for field in msgspec.structs.fields(Config)}
    return Config(**top, **{name: types[name](**settings) for name, settings in sections.items()})


def diff(old: Config, new: Config) -> list[str]:
    """Return the dotted names whose values differ."""
    before, after = flatten(old), flatten(new)
    return [name for name, value in after.items() if value != before[name]]


def variables() -> list[str]:
    """Return the settings that variables and flags can hold: all but lists of structs."""
    return [name for name in schema() if name not in LISTS_OF_STRUCTS]


def variable(name: str) -> str:
    """Return the environment variable of a setting."""
    return PREFIX + name.upper().replace(".", "_")


def _walk_types(struct: type[msgspec.Struct], prefix: str) -> Iterator[tuple[str, Any]]:
    for field in msgspec.structs.fields(struct):
        if isinstance(field.type, type) and issubclass(field.type, msgspec.Struct):
            yield from _walk_types(field.type, f"{prefix}{field.name}.")
        else:
            yield prefix + field.name, field.type


def _walk_values(struct: msgspec.Struct, prefix: str) -> Iterator[tuple[str, Any]]:
    for name, value in msgspec.structs.asdict(struct).items():
        if isinstance(value, msgspec.Struct):
            yield from _walk_values(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value
