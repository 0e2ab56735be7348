"""Configuration -> rules of counting, servers, store, sources and clock: the only module that uses a real clock.

Only `read` opens a connection, without a daemon.
"""

import time
from collections.abc import Mapping
from random import Random
from typing import Literal

from msgspec import Raw, Struct, field

from sidecar import __version__
from sidecar.config import Config, RedisConfig, SourcesConfig
from sidecar.config.mappings import dumped, loaded
from sidecar.config.structs import QueueConfig
from sidecar.core.checkpoint.state import load_state
from sidecar.core.commit.aggregator import Aggregator
from sidecar.core.counts.rules import Rules
from sidecar.core.events.decode import Decoder
from sidecar.core.journal.replay import ReplayedLedger
from sidecar.core.journal.rows import RecordingHeader
from sidecar.core.mapping.entries import PayloadOf, payload_of
from sidecar.core.mapping.extras import WithExtras
from sidecar.core.mapping.mapping import Chain
from sidecar.core.mapping.mapping import Mapping as CompiledMapping
from sidecar.core.snapshot.compute import SnapshotContext, as_committed, compute, is_stale
from sidecar.core.snapshot.snapshot import Snapshot
from sidecar.errors import CheckpointError, SidecarError
from sidecar.process.clock import Clock
from sidecar.redis.servers import Servers
from sidecar.redis.url import RedisTarget
from sidecar.sources import Source
from sidecar.sources.pubsub import PubSubSource
from sidecar.sources.queues.reader import QueueReader
from sidecar.sources.stream import StreamSource
from sidecar.store import Readers, Store
from sidecar.store.redis import RedisStore

NS_PER_SECOND = 10**9


class Parts(Struct, frozen=True):
    """What a daemon runs on. `readers` may be the store itself; `servers` are those whose changes are watched."""

    store: Store
    readers: Readers
    sources: tuple[Source, ...]
    servers: frozenset[Servers] = frozenset()
    queues: tuple[QueueReader, ...] = ()
    clock: Clock = field(default_factory=Clock)


def parts(config: Config) -> Parts:
    """Return the configured parts: everything is in Redis."""
    here = servers(config.redis)
    there = here if config.events == config.redis else servers(config.events)
    by_target = {config.redis.target: here} | {config.events.target: there}
    queues = queue_readers(config, by_target)
    watched = frozenset({here, there, *by_target.values()})
    return Parts(store(config, here), store(config, here), sources(config, there), watched, queues)


def rules(config: Config) -> Rules:
    """Return what the configuration says about counting."""
    return Rules(
        products=config.products,
        refusals=frozenset(config.refusals),
        currency=config.currency,
        buckets_ns=tuple(round(bound * NS_PER_SECOND) for bound in config.metrics.buckets),
        max_products=config.metrics.max_products,
        count_repeats=config.orders.repeats == "count",
        new_series_hold=float(config.metrics.new_series_hold),
        commit_interval=float(config.commit_interval),
        custom_metrics=config.custom_metrics,
        queues=tuple(queue.name for queue in config.queues if queue.name),
        order_queue=next((queue.name for queue in config.queues if queue.job_per_order), ""),
    )


def servers(redis: RedisConfig) -> Servers:
    """Return the servers of a Redis."""
    return Servers(redis.target)


def store(config: Config, where: Servers | None = None) -> RedisStore:
    """Return a store for the configured prefix, on the servers `where`, by default the configured Redis."""
    return RedisStore(
        where or servers(config.redis),
        config.redis.prefix,
        lease=config.lease,
        keep_rejected=config.metrics.keep_rejected,
        apart=config.apart,
    )


def sources(config: Config, where: Servers) -> tuple[Source, ...]:
    """Return the configured sources."""
    channels = [PubSubSource(name, where) for name in config.sources.pubsub]
    streams = [StreamSource(name, where, _payload_of(config, f"stream:{name}")) for name in config.sources.streams]
    return (*channels, *streams)


def queue_readers(config: Config, by_target: dict[RedisTarget, Servers]) -> tuple[QueueReader, ...]:
    """Return a reader for each Redis that has queues; `by_target` are the servers known so far, and gains others."""
    by_servers: dict[Servers, list[QueueConfig]] = {}
    for queue in config.queues:
        target = queue.redis(config.redis).target
        by_servers.setdefault(by_target.setdefault(target, Servers(target)), []).append(queue)
    return tuple(QueueReader(where, queues) for where, queues in by_servers.items())


def mappings(config: Config) -> dict[str, Chain]:
    """Return the mappings by source."""
    by_source: dict[str, list[CompiledMapping]] = {}
    for definition in config.mappings:
        mapping = CompiledMapping(definition, currency=config.currency, extras=_extras(config))
        for source in definition.sources:
            by_source.setdefault(source, []).append(mapping)
    return {source: Chain(of_source) for source, of_source in by_source.items()}


def decoders(config: Config, chains: Mapping[str, Chain]) -> dict[str, Decoder]:
    """Return the decoder of each source that needs one of its own: for its mapping, or for custom metrics."""
    found: dict[str, Decoder] = {}
    if extras := _extras(config):
        names = [f"pubsub:{name}" for name in config.sources.pubsub]
        names += [f"stream:{name}" for name in config.sources.streams]
        found = dict.fromkeys(names, WithExtras(extras))
    return found | {source: chain.decode for source, chain in chains.items()}


def _extras(config: Config) -> set[str]:
    """Return the paths that custom metrics read, and that events have no fields for."""
    return set().union(*(metric.extras for metric in config.custom_metrics))


def mapped(chains: Mapping[str, Chain]) -> dict[tuple[str, ...], int]:
    """Return how often each rule took a payload, by source, mapping, rule and outcome."""
    return {(source, *names): number for source, chain in chains.items() for names, number in chain.counts.items()}


def _payload_of(config: Config, source: str) -> PayloadOf | None:
    """Return the function that finds the event in an entry of a stream; all mappings of a stream name the same."""
    mapping = next((one for one in config.mappings if source in one.sources), None)
    return None if mapping is None else payload_of(mapping.entry, mapping.values)


def header(config: Config, rules: Rules, *, made: Literal["daemon", "xrange"], run: str, owner: str) -> RecordingHeader:
    """Return the header of a recording; `config` is that with which the Ledger was built, `rules` are those of now."""
    return RecordingHeader(
        sidecar=__version__,
        made=made,
        instance=config.instance,
        run=run,
        owner=owner,
        started_at=time.time(),
        pubsub=config.sources.pubsub,
        streams=config.sources.streams,
        apart=config.apart,
        rules=rules,
        mappings=Raw(dumped(config.mappings)),
        currency=config.currency,
    )


def replayed(header: RecordingHeader) -> ReplayedLedger:
    """Return a Ledger that counts as the recorder did. Raises ConfigError for mappings that this version cannot use."""
    config = Config(
        sources=SourcesConfig(pubsub=header.pubsub, streams=header.streams),
        mappings=loaded(bytes(header.mappings)),
        custom_metrics=header.rules.custom_metrics,
        currency=header.currency,
    )
    chains = mappings(config)
    own, foreign = decoders(config, chains), {source: chain.counts for source, chain in chains.items()}
    return ReplayedLedger(
        rules=header.rules,
        owner=header.owner,
        streams=header.streams,
        apart=header.apart,
        random_id=str,
        fresh=lambda: Aggregator(header.rules, Random(), own, foreign),
    )


async def read(config: Config, now: float, *, at_commit: bool = False) -> Snapshot:
    """Return the Snapshot at `now` (Unix seconds), or as of the last commit, of what is committed under the configured
    prefix, without a daemon.

    Raises SidecarError if nothing is committed.
    """
    reader = store(config)
    try:
        state = load_state(await reader.load())
    except CheckpointError as exc:
        raise CheckpointError(
            f"the state under {config.redis.prefix!r} is damaged: {exc}; "
            "a `sidecar run` that starts there sets it aside and counts from scratch"
        ) from exc
    finally:
        await reader.close()
    committed_at = state.total.committed_at
    if committed_at is None:
        raise SidecarError(
            f"nothing is stored under {config.redis.prefix!r}: check redis.url and redis.prefix, or start `sidecar run`"
        )
    interval = state.total.commit_interval or config.commit_interval
    context = SnapshotContext(
        instance=config.instance,
        now=now,
        committed_at=committed_at,
        stale=is_stale(committed_at, now, interval),
        uptime_s=0.0,
        settled=interval,
    )
    return (as_committed if at_commit else compute)(state, rules(config), context)
