"""Snapshot -> Prometheus families, and all families -> one of the two expositions.

Families of the Snapshot come from a collector made for it; the process's own come from a registry that is passed in.
Rendering is CPU work (10,000 series: 100 ms), so it happens in a thread, at most once per Snapshot and format:
the Snapshot is frozen, and prometheus-client locks its own metrics.
"""

import asyncio
import gzip
from collections.abc import Callable, Collection, Iterable, Iterator

from msgspec import UNSET, Struct
from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector, generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.openmetrics import exposition as openmetrics
from prometheus_client.registry import Collector

from sidecar.core.snapshot import Snapshot
from sidecar.exposition.families import snapshot_families
from sidecar.exposition.negotiation import Format

# prometheus-client adds a `_created` gauge to each of its counters and histograms: as many series again,
# in names that the contract does not have. Committed counters continue over restarts and have no such moment.
CREATED = "_created"
REUSE_SECONDS = 1.0  # the process's own metrics must not be older, however rarely a commit makes a new Snapshot

_GENERATE: dict[Format, Callable[[Collector], bytes]] = {
    Format.TEXT: generate_latest,
    Format.OPENMETRICS: openmetrics.generate_latest,
}


class Rendered(Struct, frozen=True):
    """One exposition of one Snapshot, as bytes and gzipped; `at` is the loop's time when it was begun."""

    snapshot: Snapshot | None
    at: float
    plain: bytes
    gzipped: bytes


class Exposition:
    """Render the newest Snapshot and this process's own metrics for `/metrics`."""

    def __init__(self, registry: CollectorRegistry, *, environment: str, sources: tuple[str, ...]) -> None:
        """Add `process_*` and `python_*` to `registry`, which holds the Telemetry.

        `sources` (`pubsub:<name>`, `stream:<name>`) are shown at 0 before their first event.
        """
        self._registry = registry
        self._environment = environment
        self._sources = sources
        self._rendering = {format: asyncio.Lock() for format in Format}
        self._rendered: dict[Format, Rendered] = {}
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        GCCollector(registry=registry)

    async def render(
        self, newest: Callable[[], Snapshot | None], format: Format, names: Collection[str] = ()
    ) -> Rendered:
        """Render everything, or only the samples and families in `names`.

        `newest` returns the Snapshot to show, `None` where there is nothing of the business to show.
        """
        async with self._rendering[format]:
            snapshot, now = newest(), asyncio.get_running_loop().time()
            if names:
                return await asyncio.to_thread(self._render, snapshot, format, now, frozenset(names))
            known = self._rendered.get(format)
            # Without a Snapshot nothing says when the live metrics have changed.
            fresh = known is not None and known.snapshot is snapshot and now - known.at < REUSE_SECONDS
            if known is None or snapshot is None or not fresh:
                known = await asyncio.to_thread(self._render, snapshot, format, now)
                self._rendered[format] = known
            return known

    def _render(
        self, snapshot: Snapshot | None, format: Format, now: float, names: frozenset[str] = frozenset()
    ) -> Rendered:
        families = _Families(self._collect(snapshot, names))
        text: bytes = _GENERATE[format](families)
        return Rendered(snapshot, now, text, gzip.compress(text, mtime=0))

    def _collect(self, snapshot: Snapshot | None, names: frozenset[str]) -> Iterator[Metric]:
        if snapshot is not None and snapshot.series is not UNSET:
            yield from _chosen(snapshot_families(snapshot, snapshot.series, self._environment, self._sources), names)
        yield from _chosen(self._registry.collect(), names)


class _Families(Collector):
    """What `generate_latest` asks of a registry, without registering anything."""

    def __init__(self, families: Iterator[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterator[Metric]:
        return self._families


def _chosen(families: Iterable[Metric], names: frozenset[str]) -> Iterator[Metric]:
    """Drop `_created` samples, what `names` does not name, and families that are then empty."""
    for family in families:
        whole = not names or family.name in names
        samples = [s for s in family.samples if not s.name.endswith(CREATED) and (whole or s.name in names)]
        if samples:
            family.samples = samples
            yield family
