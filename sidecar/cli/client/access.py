"""The connections that commands open: what the configuration names, with the fix in every error."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

from msgspec.structs import replace

from sidecar.config import RedisConfig
from sidecar.errors import CommandError, UnavailableError
from sidecar.redis.link import Link
from sidecar.redis.servers import Servers
from sidecar.redis.url import RedisTarget


def target(config: RedisConfig) -> RedisTarget:
    """Return where the configured Redis is. Raises `ConfigError`."""
    return config.target


@asynccontextmanager
async def connected(
    config: RedisConfig, *, key: str = "", db: int | None = None, stranger: bool = False
) -> AsyncIterator[Link]:
    """Open a link to the server that holds `key`, and close it.

    `db` is a database other than the configured one; a `stranger` gives neither user nor password.
    """
    place = target(config)
    if db is not None:
        place = replace(place, db=db)
    if stranger:
        place = replace(place, username="", password="", password_file="")
    with with_advice():
        link = await Servers(place).open(key)
    try:
        yield link
    finally:
        await link.close()


@contextmanager
def with_advice() -> Iterator[None]:
    """Add to "nothing answers" what a person at a terminal can do about it, unless it says so; a daemon just waits."""
    try:
        yield
    except CommandError:
        raise
    except UnavailableError as exc:
        if "; " in str(exc):
            raise
        raise UnavailableError(f"{exc}; start it, or say where it is with --redis-url or redis.url") from exc
