"""The Redis connections of commands, with a fix in every error."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

from msgspec.structs import replace

from sidecar.config import RedisConfig
from sidecar.errors import CommandError, UnavailableError
from sidecar.redis.link import Link
from sidecar.redis.servers import Servers
from sidecar.redis.url import RedisTarget


def target(config: RedisConfig) -> RedisTarget:
    """Return the configured Redis. Raises `ConfigError`."""
    return config.target


@asynccontextmanager
async def connected(
    config: RedisConfig, *, key: str = "", db: int | None = None, anonymous: bool = False
) -> AsyncIterator[Link]:
    """Open a link to the server that holds `key`, and close it.

    `db` replaces the configured database; `anonymous` connects without user and password.
    """
    redis = target(config)
    if db is not None:
        redis = replace(redis, db=db)
    if anonymous:
        redis = replace(redis, username="", password="", password_file="")
    with with_advice():
        link = await Servers(redis).open(key)
    try:
        yield link
    finally:
        await link.close()


@contextmanager
def with_advice() -> Iterator[None]:
    """Add advice for people to an UnavailableError that has none: they cannot just wait, as the daemon does."""
    try:
        yield
    except CommandError:
        raise
    except UnavailableError as exc:
        if "; " in str(exc):
            raise
        raise UnavailableError(f"{exc}; start it, or name another with --redis-url or redis.url") from exc
