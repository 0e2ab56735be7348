"""Flags that many commands share, gathered into one value: `Where`."""

import functools
import os
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import click
from msgspec import Struct

from sidecar.errors import ConfigError

if TYPE_CHECKING:
    from sidecar.config import Config

DEFAULT_URL = "http://127.0.0.1:9850"
Command = Callable[..., Any]
_VARIABLES = ("SIDECAR_CONFIG", "SIDECAR_REDIS_URL", "SIDECAR_REDIS_PREFIX")


class Where(Struct, frozen=True, kw_only=True):
    """What a command reads: a running daemon (`url`), or Redis as `config_file`, environment and flags say."""

    url: str | None = None
    token: str | None = None
    config_file: str | None = None
    redis_url: str | None = None
    prefix: str | None = None

    @property
    def names_redis(self) -> bool:
        """Whether a flag asks for Redis."""
        return bool(self.config_file or self.redis_url or self.prefix)

    @property
    def configured(self) -> bool:
        """Whether a flag or its variable names the Redis."""
        return self.names_redis or any(name in os.environ for name in _VARIABLES)

    @property
    def file(self) -> str:
        """The configuration file, "" if there is none."""
        return self.config_file or os.environ.get("SIDECAR_CONFIG", "")

    def config(self) -> "Config":
        """Load the configuration; warnings go to stderr. Raises `ConfigError`."""
        return load(self.config_file, {"redis.url": self.redis_url, "redis.prefix": self.prefix})


def load(config_file: str | None, flags: dict[str, str | None]) -> "Config":
    """Load a configuration from file, environment and flags; warnings go to stderr."""
    from sidecar import config

    loaded = config.load(config_file, environ=os.environ, flags=flags)
    for warning in loaded.warnings:
        click.secho(f"Warning: {warning}", fg="yellow", err=True)
    return loaded.config


def redis_options(command: Command) -> Command:
    """Add --config, --redis-url and --prefix; the command gets them as `where`."""
    return _gather(command, _REDIS)


def reader_options(command: Command) -> Command:
    """Add --url and --token to those of Redis; the command gets them as `where`."""
    return _gather(command, _DAEMON + _REDIS)


def forbid_empty(given: Mapping[str, str | None]) -> None:
    """Raise ConfigError for an empty option, such as `--config "$UNSET"`."""
    for name, value in given.items():
        if value == "" and name != "token":
            option = "--" + name.removesuffix("_file").replace("_", "-")
            raise ConfigError(f"{option} is empty: give it a value, or leave it out")


def _gather(command: Command, options: list[Command]) -> Command:
    @functools.wraps(command)
    def gathered(**arguments: Any) -> Any:
        given = {name: arguments.pop(name) for name in Where.__struct_fields__ if name in arguments}
        where = Where(**given)
        forbid_empty(given)
        if where.url and where.names_redis:
            raise ConfigError("--url asks a running daemon, --redis-url and --config read Redis: give one of them")
        return command(where=where, **arguments)

    return functools.reduce(lambda wrapped, option: option(wrapped), reversed(options), gathered)


_DAEMON: list[Command] = [
    click.option("--url", metavar="URL", help=f"A running daemon [default: {DEFAULT_URL}]."),
    click.option(
        "--token",
        metavar="TOKEN",
        envvar=["SIDECAR_HTTP_ADMIN_TOKEN", "SIDECAR_HTTP_READ_TOKEN"],
        help="Its token; better given as SIDECAR_HTTP_READ_TOKEN or SIDECAR_HTTP_ADMIN_TOKEN, which nobody sees in ps.",
    ),
]
_REDIS: list[Command] = [
    click.option("--config", "config_file", metavar="FILE", help="The configuration file [or SIDECAR_CONFIG]."),
    click.option("--redis-url", metavar="URL", help="The Redis to use [or SIDECAR_REDIS_URL]."),
    click.option("--prefix", metavar="PREFIX", help="The prefix of the sidecar's keys [or SIDECAR_REDIS_PREFIX]."),
]
