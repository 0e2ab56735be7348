"""Where else the events may be: in another database, or under a similar name."""

import time
from collections import Counter

from sidecar.cli.checks.findings import common_names, near_spellings
from sidecar.cli.client.access import connected, target
from sidecar.config import Config
from sidecar.core.events.channels import shared
from sidecar.core.events.source import as_java_writes, raw_key
from sidecar.errors import SidecarError
from sidecar.redis.link import Link, parse_info

LISTEN_SECONDS = 1.0

# (database, name) of a stream.
FoundStream = tuple[int, str]


async def elsewhere(link: Link, config: Config, name: str) -> list[FoundStream]:
    """Return the streams that a backend may write to instead of `name`. No KEYS and no SCAN: likely names are tried."""
    here = target(config.events).db
    tried = [*near_spellings(name), as_java_writes(name), *common_names(name)]
    configured = set(config.sources.streams)
    found = [(here, other) for other in await _streams(link, tried) if other not in configured]
    for db in await _used_databases(link):
        if db != here:
            found += [(db, other) for other in await _in_database(config, db, [name, *tried])]
    return found


async def heard_elsewhere(config: Config, name: str) -> dict[str, int]:
    """Listen briefly on the channels that a backend may use instead; return the number of messages on each.

    Redis lists only channels with subscribers, so the check has to listen.
    """
    tried = [*near_spellings(name), *common_names(name)]
    others = [one for one in tried if not any(shared(one, configured) for configured in config.sources.pubsub)]
    async with connected(config.events, key=name) as subscription:
        arrived = await subscription.calls([("SUBSCRIBE", other) for other in others])
        end = time.monotonic() + LISTEN_SECONDS
        while (left := end - time.monotonic()) > 0:
            arrived += await subscription.receive(limit=1000, seconds=left)
    messages = [one for one in arrived if isinstance(one, list) and one[0] == b"message"]
    return Counter(channel.decode(errors="replace") for _, channel, _ in messages)


async def _used_databases(link: Link) -> list[int]:
    try:
        keyspace = parse_info(await link.call("INFO", "keyspace"))
    except SidecarError:
        return []
    return sorted(int(db.removeprefix("db")) for db in keyspace if db.startswith("db"))


async def _in_database(config: Config, db: int, names: list[str]) -> list[str]:
    """Return which of these names are streams in another database, through a connection of its own."""
    try:
        async with connected(config.events, db=db) as other:
            return await _streams(other, names)
    except SidecarError:
        return []


async def _streams(link: Link, names: list[str]) -> list[str]:
    """Return the names that are streams, skipping keys that this user may not read."""
    kinds = await link.calls([("TYPE", raw_key(name)) for name in names])
    return [name for name, kind in zip(names, kinds, strict=True) if kind == b"stream"]
