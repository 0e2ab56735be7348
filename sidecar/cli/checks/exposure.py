"""What is exposed: files with secrets that others can read, and a Redis without a password."""

import ipaddress
import os
import stat
from collections.abc import Iterator

from sidecar.cli.checks.findings import Finding
from sidecar.cli.client.access import connected, target
from sidecar.config import Config, RedisConfig, Secret, flatten
from sidecar.config.flat import schema
from sidecar.errors import SidecarError
from sidecar.redis.url import RedisTarget


def secret_files(config: Config) -> Iterator[Finding]:
    """Warn about files with a secret that every user of the machine can read."""
    kinds, values = schema(), flatten(config)
    for name, path in values.items():
        holds_secret = kinds.get(name.removesuffix("_file")) is Secret or name.endswith("key_file")
        if name.endswith("_file") and path and holds_secret and _is_world_readable(path):
            yield Finding("warning", f"{name}: every user of this machine can read {path}", f"chmod o-rwx {path}")


def configuration_file(path: str) -> Iterator[Finding]:
    """Warn about a configuration file with a secret that every user of the machine can read."""
    from sidecar.config.yaml_file import read_file

    if not path or not _is_world_readable(path):
        return
    kinds = schema()
    inside = [name for name, (raw, _) in read_file(path).items() if kinds[name] is Secret and raw]
    if inside:
        names = ", ".join(inside)
        yield Finding(
            "warning", f"every user of this machine can read {path}, which holds {names}", f"chmod o-rwx {path}"
        )


async def open_to_all(config: RedisConfig, key: str) -> list[Finding]:
    """Warn about a Redis whose user `default` needs no password, unless only this machine can reach it."""
    redis = target(config)
    if not (redis.username or redis.password) and _is_local(redis):
        return []
    if not await _allows_anonymous(config, key):
        return []
    return [
        Finding(
            "warning",
            f"{redis.display} is open without a password (its user `default`)",
            "give that user one: docs/how-to/secure.md#redis has the commands",
        )
    ]


async def _allows_anonymous(config: RedisConfig, key: str) -> bool:
    """Return whether a connection without a login may read a key."""
    try:
        async with connected(config, key=key, anonymous=True) as link:
            await link.call("EXISTS", key)
    except SidecarError:
        return False
    return True


def _is_local(redis: RedisTarget) -> bool:
    """Return whether the address is a loopback address or a socket."""
    hosts = [host for host, _ in redis.addresses]
    return all(host == "localhost" or _is_loopback(host) for host in hosts)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _is_world_readable(path: str) -> bool:
    try:
        return bool(os.stat(path).st_mode & stat.S_IROTH)
    except OSError:
        return False
