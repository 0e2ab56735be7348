"""Snapshot -> one of the three expositions, in bytes: rendered once each, however many clients ask.

Families of the Snapshot are written in slices on the event loop: a thread would compete with a busy loop for the
interpreter, and block it as long. The process's own metrics, from a registry that is passed in, are few. Only gzip runs
in a thread, since it releases the interpreter.
"""

import asyncio
import zlib
from collections.abc import Callable, Collection, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from math import isnan

from msgspec import UNSET, Struct
from msgspec.structs import replace
from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector, generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.openmetrics import exposition as openmetrics
from prometheus_client.registry import Collector

from sidecar.core.snapshot.snapshot import Snapshot
from sidecar.exposition.prometheus.families import snapshot_families
from sidecar.exposition.prometheus.negotiation import Format
from sidecar.exposition.prometheus.protobuf import Encoder, encode_live
from sidecar.exposition.prometheus.text import Family, Writer
from sidecar.exposition.published import Published

# When counting began, for OpenMetrics; in the text format it would be one more gauge for each series.
CREATED = "_created"
REUSE_SECONDS = 1.0  # the maximum age of the process's own metrics, however rare commits are
# A line takes half a microsecond, two if its labels are new: this blocks the loop for 1 to 4 ms.
LINES_BEFORE_YIELD = 2000
# 1 MB in 3 ms instead of 9: a scraper nearby gains nothing from a better compression.
GZIP_LEVEL = 1
_GZIP_WINDOW = 16 + zlib.MAX_WBITS

_GENERATE: dict[Format, Callable[["_Live"], bytes]] = {
    Format.PROTOBUF: lambda live: encode_live(live.collect()),
    Format.TEXT: generate_latest,
    Format.OPENMETRICS: openmetrics.generate_latest,
}


class Rendered(Struct):
    """One exposition of one tick; `at` is the loop's time when rendering began, `gzipped` is made on demand."""

    at: float
    plain: bytes
    gzipped: bytes = b""


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
        self._writer = Writer()
        self._encoder = Encoder()
        # A thread of its own: those of asyncio may all be waiting for DNS.
        self._thread = ThreadPoolExecutor(1, "gzip")
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        GCCollector(registry=registry)

    async def render(
        self,
        newest: Callable[[], Published | None],
        format: Format,
        names: Collection[str] = (),
        *,
        gzipped: bool = False,
    ) -> bytes:
        """Render everything, or only the samples and families in `names`; a family of protobuf is whole or left out.

        `newest` returns what to show, `None` if there are no business metrics.
        """
        async with self._rendering[format]:
            rendered = await self._current(newest(), format, frozenset(names))
            if not gzipped:
                return rendered.plain
            if not rendered.gzipped:
                pack = partial(zlib.compress, rendered.plain, level=GZIP_LEVEL, wbits=_GZIP_WINDOW)
                rendered.gzipped = await asyncio.get_running_loop().run_in_executor(self._thread, pack)
            return rendered.gzipped

    async def _current(self, published: Published | None, format: Format, names: frozenset[str]) -> Rendered:
        """Return the last rendering, if it is complete and new enough, else render."""
        now = asyncio.get_running_loop().time()
        exposed = None if published is None else published.exposed
        # Without a Snapshot always render: the live metrics may have changed.
        known = published.rendered(_nothing_yet) if published and not names else {}
        if format not in known or now - known[format].at >= REUSE_SECONDS:
            known[format] = Rendered(now, await self._write(exposed, format, names))
        return known[format]

    async def _write(self, snapshot: Snapshot | None, format: Format, names: frozenset[str]) -> bytes:
        text = []
        waiting = 0
        for lines, written in self._blocks(self._families(snapshot, format, names), format):
            text.append(written)
            waiting += lines
            if waiting >= LINES_BEFORE_YIELD:
                waiting = 0
                await asyncio.sleep(0)
        await asyncio.sleep(0)  # even after few lines: many filtered scrapes may come at once
        text.append(_GENERATE[format](_Live(_live(self._registry.collect(), format, names))))
        return b"".join(text)

    def _blocks(self, families: Iterator[Family], format: Format) -> Iterator[tuple[int, bytes]]:
        """Yield what is written in one go, after its number of samples or lines."""
        if format is Format.PROTOBUF:
            for family in families:
                yield sum(len(column.keys) for column in family.columns), self._encoder.encode(family)
        else:
            for lines in self._writer.write(families, format):
                yield len(lines), "".join(lines).encode()

    def _families(self, snapshot: Snapshot | None, format: Format, names: frozenset[str]) -> Iterator[Family]:
        if snapshot is not None and snapshot.series is not UNSET:
            for family in snapshot_families(snapshot, snapshot.series, self._environment, self._sources):
                yield family if not names or family.name in names else _only(family, names, format)


def _nothing_yet(snapshot: Snapshot) -> dict[Format, Rendered]:
    """Return an empty cache for the expositions of a Snapshot, which are rendered on demand."""
    return {}


class _Live(Collector):
    """Families as the registry that `generate_latest` expects."""

    def __init__(self, families: Iterator[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterator[Metric]:
        return self._families


def _only(family: Family, names: frozenset[str], format: Format) -> Family:
    columns = [one for one in family.columns if family.name + one.suffix in names]
    if columns and format is Format.PROTOBUF:
        return family
    return replace(family, columns=columns, created=family.created if family.name + CREATED in names else None)


def _live(families: Iterable[Metric], format: Format, names: frozenset[str]) -> Iterator[Metric]:
    """Drop unknown values (NaN), names not in `names`, `_created` in text, and families without samples."""
    for family in families:
        known = [s for s in family.samples if not isnan(s.value)]
        if format is Format.TEXT:
            known = [s for s in known if not s.name.endswith(CREATED)]
        samples = [s for s in known if not names or family.name in names or s.name in names]
        if samples:
            family.samples = known if format is Format.PROTOBUF else samples
            yield family
