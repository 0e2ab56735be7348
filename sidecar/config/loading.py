"""Load the configuration: flags, then SIDECAR_* variables, then the file, then defaults."""

import socket
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from msgspec.structs import replace

from sidecar.config.checks import problems
from sidecar.config.custom_metrics import custom_metrics
from sidecar.config.flat import PREFIX, schema, unflatten, variable, variables
from sidecar.config.mappings import definitions, with_mapped
from sidecar.config.nearest import did_you_mean, nearest, unknown_setting
from sidecar.config.queues import queues
from sidecar.config.structs import Config, Secret
from sidecar.config.tree import Tree, YamlList, YamlSection, YamlText
from sidecar.config.values import Raw, convert
from sidecar.config.web_file import read_web_file
from sidecar.config.yaml_file import read_file
from sidecar.errors import ConfigError
from sidecar.redis.secret import read_secret

FILE_VARIABLE = PREFIX + "CONFIG"
_LISTS: dict[str, Callable[[Tree], Any]] = {
    "mappings": definitions,
    "custom_metrics": custom_metrics,
    "queues": queues,
}


class Loaded(msgspec.Struct, frozen=True):
    """A checked configuration, with warnings for the user."""

    config: Config
    warnings: tuple[str, ...] = ()


def load(path: str | None, *, environ: Mapping[str, str], flags: Mapping[str, str | None] | None = None) -> Loaded:
    """Merge every source and check the result.

    `path` is the file of `--config`, which goes before that of `SIDECAR_CONFIG`; `flags` are texts by dotted name,
    `None` for a flag that was not given. Raises `ConfigError` for the first problem.
    """
    path = path or environ.get(FILE_VARIABLE)
    raws = read_file(path) if path else {}
    raws |= {name: (environ[variable(name)], variable(name)) for name in variables() if variable(name) in environ}
    raws |= {name: (text, "command line") for name, text in (flags or {}).items() if text is not None}
    values = _secrets({name: _value(name, raw, origin) for name, (raw, origin) in raws.items()})
    if not values.get("instance"):
        values["instance"] = socket.gethostname()
    config = _with_mapped_sources(unflatten(values))
    for name, problem in problems(config):
        raise ConfigError(_located(name, problem, raws))
    read_web_file(config.http.web_config_file)  # only to check it
    return Loaded(config, _warnings(environ))


def _with_mapped_sources(config: Config) -> Config:
    return replace(config, sources=with_mapped(config.sources, config.mappings))


def _value(name: str, raw: Raw | Tree, origin: str) -> Any:
    """Convert one raw value. Raises `ConfigError`, which names its origin."""
    kinds = schema()
    if isinstance(raw, YamlText | YamlList | YamlSection):
        return _LISTS[name](raw)
    if name not in kinds:
        raise ConfigError(f"{origin}: {unknown_setting(name, kinds)}")
    try:
        "".join(raw).encode()  # a lone surrogate would fail later, where the value is used
        return convert(raw, kinds[name])
    except UnicodeEncodeError:
        raise ConfigError(f"{origin}: {name} is not valid Unicode") from None
    except ValueError as exc:
        raise ConfigError(f"{origin}: {name} {exc}") from None


def _secrets(values: dict[str, Any]) -> dict[str, Any]:
    """Add the secrets from their files."""
    found = dict(values)
    for name, kind in schema().items():
        file = values.get(f"{name}_file")
        if kind is not Secret or not file:
            continue
        if values.get(name):
            raise ConfigError(f"{name} and {name}_file are both set: keep one of them")
        try:
            found[name] = Secret(read_secret(file))
        except ValueError as exc:
            raise ConfigError(f"{name}_file: {exc}") from None
    return found


def _located(name: str, problem: str, raws: Mapping[str, tuple[Raw | Tree, str]]) -> str:
    """Return the message for an invalid value, with its origin; a short value that is no secret is shown."""
    if name not in raws:
        return f"{name} {problem}"
    raw, origin = raws[name]
    secret = schema()[name] is Secret or name in ("redis.url", "sources.redis_url", "influx.url")
    shown = isinstance(raw, str) and len(raw) <= 100 and not secret and "\n" not in raw
    return f"{origin}: {name} {problem}" + (f', not "{raw}"' if shown else "")


def _warnings(environ: Mapping[str, str]) -> tuple[str, ...]:
    """Warn of unknown SIDECAR_* variables; Kubernetes injects such names, so they are no error."""
    known = [FILE_VARIABLE, *map(variable, variables())]
    unknown = sorted(name for name in environ if name.startswith(PREFIX) and name not in known)
    return tuple(f"unknown environment variable {name}{did_you_mean(_like(name, known))}" for name in unknown)


def _like(name: str, known: list[str]) -> str | None:
    """Return the most similar variable, compared without the prefix that all share."""
    found = nearest(name.removeprefix(PREFIX), [other.removeprefix(PREFIX) for other in known])
    return found and PREFIX + found
