"""What `check` tries on a real Redis. Nothing here asks for KEYS or SCAN: a sale's Redis may hold millions of keys."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable

from sidecar.cli.findings import (
    Finding,
    about_elsewhere,
    about_sample,
    about_server,
    near_spellings,
    similar,
)
from sidecar.cli.publishing import STREAM_LENGTH
from sidecar.cli.redis_access import connected, target
from sidecar.cli.terminal import milliseconds
from sidecar.config import Config, InfluxConfig
from sidecar.connection import Link, making_sense, parse_info
from sidecar.core.decode import decode, unknown_fields
from sidecar.core.events import Decoded
from sidecar.errors import AccessError, RefusedError, SidecarError

PRODUCER = "sidecar-check"
HEARTBEAT_SECONDS = 2.0
LOOK_SECONDS = 15.0  # for all that is asked about one thing, each question with a deadline of its own
SAMPLE = 100


async def probe(config: Config) -> AsyncIterator[Finding]:
    """Connect and look at everything in turn. Raises `SidecarError` if Redis cannot be reached."""
    began = time.perf_counter()
    async with connected(config.redis, key=f"{config.redis.prefix}lease") as link:
        await link.call("PING")
        yield Finding("ok", f"{target(config.redis).display} answers in {_since(began)}")
        for finding in await _guarded("INFO", _server(link)):
            yield finding
        for finding in await _guarded(f"prefix {config.redis.prefix}", _sidecar(link, config)):
            yield finding
    if config.apart:
        async with connected(config.events) as link:
            yield Finding("ok", f"events come through {target(config.events).display}")
            for finding in await _guarded("INFO", _server(link)):
                yield finding
    for name in config.sources.pubsub:
        async with connected(config.events, key=name) as link:
            for finding in await _guarded(f"channel {name}", _channel(link, config, name)):
                yield finding
    for name in config.sources.streams:
        async with connected(config.events, key=name) as link:
            for finding in await _guarded(f"stream {name}", _stream(link, config, name)):
                yield finding
    if config.influx.url:
        yield await _influx(config.influx)


async def _guarded(what: str, findings: Awaitable[list[Finding]]) -> list[Finding]:
    """Turn a refused command, or no answer, into a finding, so that the rest is still looked at."""
    try:
        async with asyncio.timeout(LOOK_SECONDS):
            with making_sense(what):
                return await findings
    except TimeoutError:
        return [Finding("problem", f"{what}: no whole answer within {LOOK_SECONDS:.0f} s")]
    except AccessError as exc:
        return [Finding("problem", f"{what}: {exc}", "give this user the right in the ACL")]
    except RefusedError as exc:
        return [Finding("problem", f"{what}: Redis refuses {exc}")]


async def _server(link: Link) -> list[Finding]:
    info = parse_info(await link.call("INFO"))
    return about_server(info.get("redis_version", ""), info.get("role", ""), info.get("maxmemory_policy", ""))


async def _sidecar(link: Link, config: Config) -> list[Finding]:
    """Look for the lease that a running daemon holds."""
    prefix = config.redis.prefix
    if await link.call("EXISTS", f"{prefix}lease"):
        return [Finding("ok", f"a sidecar counts under the prefix {prefix}")]
    return [Finding("warning", f"no sidecar runs under the prefix {prefix}", "start it with `sidecar run`")]


async def _channel(link: Link, config: Config, name: str) -> list[Finding]:
    """Look who listens, then send a heartbeat to ourselves. A pattern can be listened to, not published on."""
    is_pattern = "*" in name
    findings = [] if is_pattern else await _listeners(link, name)
    async with connected(config.events, key=name) as ears:
        await ears.send("PSUBSCRIBE" if is_pattern else "SUBSCRIBE", name)
        confirmation = await ears.arrived(limit=1, seconds=HEARTBEAT_SECONDS)
        if not confirmation or isinstance(confirmation[0], Exception):
            why = str(confirmation[0]) if confirmation else "no answer"
            return [*findings, Finding("problem", f"channel {name}: this user may not listen ({why})", "mend the ACL")]
        return [*findings, await _echo(link, ears, name.replace("*", PRODUCER))]


async def _listeners(link: Link, name: str) -> list[Finding]:
    """Say how many listen; if nobody does, whether they listen on a name that looks like ours."""
    try:
        _, listeners = await link.call("PUBSUB", "NUMSUB", name)
        patterns = await link.call("PUBSUB", "NUMPAT")
        if listeners:
            return [Finding("ok", f"channel {name}: {listeners} listening")]
        channels = [channel.decode(errors="replace") for channel in await link.call("PUBSUB", "CHANNELS")]
    except (AccessError, RefusedError):
        return [Finding("ok", f"channel {name}: this user may not see who listens")]
    others = f", {patterns} listen to patterns" if patterns else ""
    silent = Finding("warning", f"channel {name}: nobody listens{others}", "what is published now is not counted")
    return [silent] + [
        Finding("warning", f"somebody listens on {other}, but {name} is configured", "use the same name in both")
        for other in similar(name, channels)
    ]


async def _echo(link: Link, ears: Link, channel: str) -> Finding:
    """Publish a heartbeat and time it until our own subscription has it."""
    mark = _heartbeat()
    began = time.perf_counter()
    try:
        await link.call("PUBLISH", channel, mark)
    except AccessError:
        return Finding("ok", f"channel {channel}: this user may listen, not publish: no heartbeat sent")
    while time.perf_counter() - began < HEARTBEAT_SECONDS:
        messages = await ears.arrived(limit=1000, seconds=HEARTBEAT_SECONDS)
        if any(message[-1] == mark for message in messages):
            return Finding("ok", f"channel {channel}: heartbeat seen after {_since(began)}")
    return Finding("problem", f"channel {channel}: a heartbeat did not come back", "is this one Redis, not several?")


async def _stream(link: Link, config: Config, name: str) -> list[Finding]:
    """Look what the stream holds, or where else it may be, then send a heartbeat through it."""
    kind = (await link.call("TYPE", name)).decode()
    if kind not in ("none", "stream"):
        mend = "let the backend use another key, or name another stream in sources.streams"
        return [Finding("problem", f"stream {name}: the key holds a {kind}, not a stream", mend)]
    findings = await _entries(link, config, name) if kind == "stream" else await _elsewhere(link, config, name)
    return [*findings, await _round_trip(link, name)]


async def _entries(link: Link, config: Config, name: str) -> list[Finding]:
    """Judge the newest entries."""
    entries = await link.call("XREVRANGE", name, "+", "-", "COUNT", SAMPLE)
    payloads = [payload for _, fields in reversed(entries) if (payload := _payload(fields)) is not None]
    decoded = decode(payloads, [time.time()] * len(payloads))
    without = len(entries) - len(payloads)
    if _is_quiet(decoded) and not without:
        return await _elsewhere(link, config, name)
    unknown = set().union(*map(unknown_fields, payloads))
    findings = [
        Finding("ok", f"stream {name}: {await link.call('XLEN', name)} entries"),
        *about_sample(name, decoded, unknown),
    ]
    if without:
        text = f"stream {name}: {without} of the newest {len(entries)} entries have no field e"
        findings.append(Finding("warning", text, "put the JSON into the field e: XADD NAME * e '{...}'"))
    return findings


def _payload(fields: list[bytes]) -> bytes | None:
    """Return the value of the field e."""
    return dict(zip(fields[::2], fields[1::2], strict=True)).get(b"e")


def _is_quiet(decoded: Decoded) -> bool:
    """Tell whether there is nothing but heartbeats of earlier checks."""
    return not decoded.rejections and all(event.producer == PRODUCER for event in decoded.events)


async def _elsewhere(link: Link, config: Config, name: str) -> list[Finding]:
    """Look for the stream in other databases and under near spellings."""
    place = target(config.events)
    spellings = [other for other in near_spellings(name) if await _is_stream(link, other)]
    databases = []
    for db in await _used_databases(link):
        if db != place.db and await _is_in_database(config, db, name):
            databases.append(db)
    return [Finding("ok", f"stream {name}: no event yet"), *about_elsewhere(name, databases, place.db, spellings)]


async def _used_databases(link: Link) -> list[int]:
    try:
        keyspace = parse_info(await link.call("INFO", "keyspace"))
    except SidecarError:
        return []
    return sorted(int(db.removeprefix("db")) for db in keyspace if db.startswith("db"))


async def _is_in_database(config: Config, db: int, name: str) -> bool:
    try:
        async with connected(config.events, db=db) as other:
            return await _is_stream(other, name)
    except SidecarError:
        return False


async def _is_stream(link: Link, name: str) -> bool:
    """Tell whether the key is a stream; what this user may not look at is none of ours."""
    try:
        return bool(await link.call("TYPE", name) == b"stream")
    except (AccessError, RefusedError):
        return False


async def _round_trip(link: Link, name: str) -> Finding:
    """Add a heartbeat to the stream and time it until it is read back."""
    began = time.perf_counter()
    try:
        entry = await link.call("XADD", name, "MAXLEN", "~", STREAM_LENGTH, "*", "e", _heartbeat())
    except AccessError:
        return Finding("ok", f"stream {name}: this user may read, not write: no heartbeat sent")
    if not await link.call("XRANGE", name, entry, entry):
        return Finding("problem", f"stream {name}: a heartbeat was gone at once", "do not trim the stream so short")
    return Finding("ok", f"stream {name}: heartbeat read back after {_since(began)}")


async def _influx(config: InfluxConfig) -> Finding:
    """Write a comment where the numbers are to go."""
    from sidecar.exposition.influx import attempt

    began = time.perf_counter()
    answer = await attempt(config)
    if answer.problem:
        return Finding("problem", f"InfluxDB at {config.url}: {answer.problem}")
    return Finding("ok", f"InfluxDB at {config.url} takes what is written, after {_since(began)}")


def _since(began: float) -> str:
    return milliseconds((time.perf_counter() - began) * 1000)


def _heartbeat() -> bytes:
    """Make a heartbeat. It has no `seq`: a check must never look like a producer that lost events."""
    return json.dumps({"type": "heartbeat", "producer": PRODUCER, "ts": time.time()}).encode()
