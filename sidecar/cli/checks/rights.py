"""Whether the user may do everything that `sidecar run` does: each command is tried, and nothing is left behind."""

from sidecar.cli.checks.findings import Finding
from sidecar.config import Config
from sidecar.core.events.source import kind_of
from sidecar.daemon import build
from sidecar.errors import AccessError, CommandError, UnavailableError

ACL = "give this user the right in the ACL; config/redis-acl.conf has all that is needed"


async def to_keep(config: Config) -> list[Finding]:
    """Try the commands under the prefix: of scripts, and of readers."""
    store, what = build.store(config), f"prefix {config.redis.prefix}"
    try:
        failed = await store.probe(config.fleet)
    except AccessError as exc:
        return [Finding("problem", f"{what}: {exc}", ACL)]
    except CommandError as exc:
        return [Finding("problem", f"{what}: `sidecar run` cannot keep its numbers here: {exc}")]
    except UnavailableError:
        return []  # a replica, or a Redis that went away: reported elsewhere
    finally:
        await store.close()
    if failed:
        return [Finding("problem", f"{what}: `sidecar run` would fail with {'; '.join(failed)}", ACL)]
    return [Finding("ok", f"under the {what} every command that `sidecar run` needs exists and is allowed")]


async def to_read(config: Config, name: str) -> None:
    """Subscribe to a channel, or read a stream, as the daemon does; `name` names the source. Raises SidecarError."""
    (source,) = (one for one in build.sources(config, build.servers(config.events)) if one.name == name)
    try:
        await source.connect()
        if kind_of(name).rereads:
            await source.read("0-0")
    finally:
        await source.close()
