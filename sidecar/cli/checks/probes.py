"""What `check` tries on a real Redis. Nothing here asks for KEYS or SCAN: a sale's Redis may hold millions of keys."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable
from typing import Any

from sidecar.cli.checks import rights
from sidecar.cli.checks.elsewhere import LISTEN_SECONDS, elsewhere, heard_elsewhere
from sidecar.cli.checks.exposure import open_to_all
from sidecar.cli.checks.findings import (
    Finding,
    about_counted,
    about_elsewhere,
    about_heard,
    about_queues,
    about_rules,
    about_sample,
    about_server,
    about_shared,
    similar,
)
from sidecar.cli.client import stored
from sidecar.cli.client.access import connected, target
from sidecar.cli.view.terminal import counted, milliseconds
from sidecar.config import Config, InfluxConfig
from sidecar.core.counts.liveness import CHECKER
from sidecar.core.events.channels import example, is_pattern
from sidecar.core.events.decode import decode, unknown_fields
from sidecar.core.events.event import Decoded
from sidecar.core.events.source import raw_key
from sidecar.core.mapping.definition import Definition
from sidecar.core.mapping.entries import payload_of
from sidecar.daemon.build import mappings, queue_readers
from sidecar.errors import AccessError, CommandError, SidecarError, UnavailableError
from sidecar.redis.info import read_info
from sidecar.redis.link import Link, parse_info, reading_reply

HEARTBEAT_SECONDS = 2.0
LOOK_SECONDS = 15.0  # for all commands of one check; each has a deadline of its own
SAMPLE = 100


async def probe(config: Config, *, everywhere: bool = False) -> AsyncIterator[Finding]:
    """Connect and check everything in turn. Raises `SidecarError` if Redis cannot be reached.

    `everywhere` sends a heartbeat also to streams that consumer groups read.
    """
    began = time.perf_counter()
    async with connected(config.redis, key=f"{config.redis.prefix}lease") as link:
        await link.calls([("PING",)])  # any answer will do: the sidecar does not need this right
        yield Finding("ok", f"{target(config.redis).display} answers in {_since(began)}")
        for finding in await _guarded("INFO", _server(link)):
            yield finding
        for finding in await open_to_all(config.redis, f"{config.redis.prefix}lease"):
            yield finding
        for finding in await _guarded(f"prefix {config.redis.prefix}", _sidecar(link, config)):
            yield finding
    if config.apart:
        async with connected(config.events) as link:
            yield Finding("ok", f"events come through {target(config.events).display}")
            for finding in await _guarded("INFO", _server(link)):
                yield finding
            for finding in await open_to_all(config.events, f"{config.redis.prefix}lease"):
                yield finding
    for name in config.sources.pubsub:
        async with connected(config.events, key=name) as link:
            for finding in await _guarded(f"channel {name}", _channel(link, config, name)):
                yield finding
    for name in config.sources.streams:
        async with connected(config.events, key=name) as link:
            for finding in await _guarded(f"stream {name}", _stream(link, config, name, everywhere)):
                yield finding
    for reader in queue_readers(config, {}):
        try:
            answers = await reader.read(time.time())
        finally:
            await reader.close()
        for finding in about_queues(answers):
            yield finding
    if config.influx.url:
        yield await _influx(config.influx)


async def _guarded(what: str, findings: Awaitable[list[Finding]]) -> list[Finding]:
    """Turn an error into a finding, so that the other checks still run."""
    try:
        async with asyncio.timeout(LOOK_SECONDS):
            with reading_reply(what):
                return await findings
    except TimeoutError:
        return [Finding("problem", f"{what}: no complete answer within {LOOK_SECONDS:.0f} s")]
    except AccessError as exc:
        return [Finding("problem", f"{what}: {exc}", "give this user the right in the ACL")]
    except CommandError as exc:
        return [Finding("problem", f"{what}: Redis rejects {exc}")]
    except UnavailableError as exc:
        return [Finding("problem", f"{what}: {exc}")]


async def _server(link: Link) -> list[Finding]:
    info = parse_info(await link.call("INFO"))
    return about_server(read_info(info), info.get("maxmemory_policy", ""))


async def _sidecar(link: Link, config: Config) -> list[Finding]:
    """Look for the lease of a running daemon, and check whether a daemon could run."""
    prefix = config.redis.prefix
    if await link.call("EXISTS", f"{prefix}lease"):
        found = Finding("ok", f"a sidecar counts under the prefix {prefix}")
    else:
        found = Finding("warning", f"no sidecar runs under the prefix {prefix}", "start it with `sidecar run`")
    return [found, *await rights.to_keep(config), *await _counted(config)]


async def _counted(config: Config) -> list[Finding]:
    """Judge what is counted under the prefix, if anything."""
    try:
        snapshot = await stored.read(config)
    except SidecarError:
        return []
    assert snapshot.series
    completeness, series = snapshot.completeness, snapshot.series
    not_understood = about_counted(completeness, series.invalid_by_reason, series.ignored_by_type)
    return not_understood + about_shared(completeness.by_producer)


async def _channel(link: Link, config: Config, name: str) -> list[Finding]:
    """Count subscribers, then send a heartbeat to a subscription of this check; for a pattern, on an example of it."""
    pattern = is_pattern(name)
    findings = [] if pattern else await _listeners(link, name)
    await rights.to_read(config, f"pubsub:{name}")
    async with connected(config.events, key=name) as subscription:
        await subscription.send("PSUBSCRIBE" if pattern else "SUBSCRIBE", name)
        confirmation = await subscription.receive(limit=1, seconds=HEARTBEAT_SECONDS)
        if not confirmation or isinstance(confirmation[0], Exception):
            why = str(confirmation[0]) if confirmation else "no answer"
            return [*findings, Finding("problem", f"channel {name}: this user may not listen ({why})", "see its ACL")]
        if _is_mapped(config, f"pubsub:{name}"):
            findings.append(Finding("ok", f"channel {name}: has a mapping: no heartbeat sent"))
        else:
            findings.append(await _echo(link, subscription, example(name, CHECKER) if pattern else name))
        others = _nothing() if pattern else heard_elsewhere(config, name)
        heard, beside = await asyncio.gather(_heard(subscription), others)
    if heard:
        findings += _sample(config, f"pubsub:{name}", f"channel {name}", heard)
    return findings + about_heard(name, beside, LISTEN_SECONDS)


async def _heard(subscription: Link) -> list[bytes]:
    """Listen briefly; return what was published, without the heartbeats of a check."""
    messages: list[Any] = []
    end = time.monotonic() + LISTEN_SECONDS
    while (left := end - time.monotonic()) > 0 and len(messages) < SAMPLE:
        messages += await subscription.receive(limit=SAMPLE, seconds=left)
    payloads = [one[-1] for one in messages if isinstance(one, list) and one[0] in (b"message", b"pmessage")]
    return [payload for payload in payloads if CHECKER.encode() not in payload]


async def _nothing() -> dict[str, int]:
    return {}


async def _listeners(link: Link, name: str) -> list[Finding]:
    """Report the number of subscribers; if there are none, those of similar names."""
    try:
        _, listeners = await link.call("PUBSUB", "NUMSUB", name)
        patterns = await link.call("PUBSUB", "NUMPAT")
        if listeners:
            return [Finding("ok", f"channel {name}: {listeners} listening")]
        channels = [channel.decode(errors="replace") for channel in await link.call("PUBSUB", "CHANNELS")]
    except (AccessError, CommandError):
        return [Finding("ok", f"channel {name}: this user may not see who listens")]
    others = f", {patterns} listen to patterns" if patterns else ""
    silent = Finding("warning", f"channel {name}: nobody listens{others}", "what is published now is not counted")
    return [silent] + [
        Finding("warning", f"somebody listens on {other}, but {name} is configured", "use the same name in both")
        for other in similar(name, channels)
    ]


async def _echo(link: Link, subscription: Link, channel: str) -> Finding:
    """Publish a heartbeat, and measure the time until the subscription has it."""
    mark = _heartbeat()
    began = time.perf_counter()
    try:
        await link.call("PUBLISH", channel, mark)
    except AccessError:
        return Finding("ok", f"channel {channel}: this user may listen, not publish: no heartbeat sent")
    while time.perf_counter() - began < HEARTBEAT_SECONDS:
        messages = await subscription.receive(limit=1000, seconds=HEARTBEAT_SECONDS)
        if any(message[-1] == mark for message in messages):
            return Finding("ok", f"channel {channel}: heartbeat seen after {_since(began)}")
    return Finding("problem", f"channel {channel}: a heartbeat did not come back", "is this one Redis, not several?")


async def _stream(link: Link, config: Config, name: str, everywhere: bool) -> list[Finding]:
    """Judge the entries of the stream, look for it elsewhere, then send a heartbeat through it."""
    kind = (await link.call("TYPE", raw_key(name))).decode()
    if kind not in ("none", "stream"):
        fix = "let the backend use another key, or name another stream in sources.streams"
        return [Finding("problem", f"stream {name}: the key holds a {kind}, not a stream", fix)]
    await rights.to_read(config, f"stream:{name}")
    findings = await _entries(link, name, config) if kind == "stream" else []
    others = await elsewhere(link, config, name)
    beside = about_elsewhere(name, target(config.events).db, others, in_use=bool(findings))
    findings = findings or [Finding("ok", f"stream {name}: no event yet")]
    if _is_mapped(config, f"stream:{name}"):
        return [*findings, *beside, Finding("ok", f"stream {name}: has a mapping: no heartbeat sent")]
    return [*findings, *beside, await _round_trip(link, name, everywhere)]


async def _entries(link: Link, name: str, config: Config) -> list[Finding]:
    """Judge the newest entries; return nothing if all are heartbeats of checks."""
    entries = await link.call("XREVRANGE", raw_key(name), "+", "-", "COUNT", SAMPLE)
    mapping = next((one for one in config.mappings if f"stream:{name}" in one.sources), Definition())
    find = payload_of(mapping.entry, mapping.values)
    payloads = [payload for _, fields in reversed(entries) if (payload := find(fields)) is not None]
    without = len(entries) - len(payloads)
    if _is_quiet(decode(payloads, [time.time()] * len(payloads))) and not without:
        return []
    findings = [
        Finding("ok", f"stream {name}: {counted(await link.call('XLEN', raw_key(name)), 'entry', 'entries')}"),
        *_sample(config, f"stream:{name}", f"stream {name}", payloads),
    ]
    if without:
        field = " or ".join(mapping.entry)
        text = f"stream {name}: no field {field} in {without} of the newest {counted(len(entries), 'entry', 'entries')}"
        findings.append(Finding("warning", text, f"put the JSON into the field {field}: XADD NAME * {field} '{{...}}'"))
    return findings


def _sample(config: Config, source: str, what: str, payloads: list[bytes]) -> list[Finding]:
    """Judge payloads of a source as the daemon would read them."""
    arrivals = [time.time()] * len(payloads)
    chain = mappings(config).get(source)
    if chain is None:
        unknown = set().union(*map(unknown_fields, payloads))
        return about_sample(what, decode(payloads, arrivals), unknown, config.currency)
    return [*about_sample(what, chain.decode(payloads, arrivals), set(), config.currency), *about_rules(what, chain)]


def _is_mapped(config: Config, source: str) -> bool:
    """Return whether a mapping reads a source: it would not know our heartbeat."""
    return any(source in one.sources for one in config.mappings)


def _is_quiet(decoded: Decoded) -> bool:
    """Return whether there are only heartbeats of checks."""
    return not decoded.rejections and all(event.producer == CHECKER for event in decoded.events)


async def _round_trip(link: Link, name: str, everywhere: bool) -> Finding:
    """Add a heartbeat to the stream, and measure the time to read it back. It neither creates nor trims a stream."""
    if not everywhere and (reason := await _others_read(link, name)):
        return Finding("ok", f"stream {name}: {reason}: no heartbeat sent (`--heartbeat` sends one)")
    began = time.perf_counter()
    try:
        entry = await link.call("XADD", raw_key(name), "NOMKSTREAM", "*", "e", _heartbeat())
    except AccessError:
        return Finding("ok", f"stream {name}: this user may read, not write: no heartbeat sent")
    if entry is None:
        return Finding("ok", f"stream {name}: does not exist yet, the first XADD creates it: no heartbeat sent")
    if not await link.call("XRANGE", raw_key(name), entry, entry):
        return Finding("problem", f"stream {name}: a heartbeat was trimmed at once", "do not trim the stream so short")
    return Finding("ok", f"stream {name}: heartbeat read back after {_since(began)}")


async def _others_read(link: Link, name: str) -> str:
    """Describe the consumer groups of the stream, "" without any; the sidecar needs none."""
    try:
        facts = await link.call("XINFO", "STREAM", raw_key(name))
    except CommandError:  # no such key
        return ""
    groups = dict(zip(facts[::2], facts[1::2], strict=True)).get(b"groups", 0)
    return f"{counted(groups, 'consumer group')} read{'s' if groups == 1 else ''} it" if groups else ""


async def _influx(config: InfluxConfig) -> Finding:
    """Write a comment to the configured InfluxDB."""
    from sidecar.exposition.influx.output import attempt

    began = time.perf_counter()
    answer = await attempt(config)
    if answer.problem:
        return Finding("problem", f"InfluxDB at {config.url}: {answer.problem}")
    return Finding("ok", f"InfluxDB at {config.url} takes writes, after {_since(began)}")


def _since(began: float) -> str:
    return milliseconds((time.perf_counter() - began) * 1000)


def _heartbeat() -> bytes:
    """Return a heartbeat, without `seq`: a check must not look like a producer that lost events."""
    return json.dumps({"type": "heartbeat", "producer": CHECKER, "ts": time.time()}).encode()
