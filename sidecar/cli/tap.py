"""`sidecar tap`: show what the sources deliver, and its outcomes, without counting or writing anything."""

import asyncio
import contextlib
import time
from typing import TYPE_CHECKING, Any

import click

from sidecar.cli.options import Where, redis_options
from sidecar.cli.view.outcomes import Outcomes
from sidecar.errors import ConfigError, SidecarError

if TYPE_CHECKING:
    from sidecar.config import Config
    from sidecar.core.events.batch import Batch
    from sidecar.core.mapping.mapping import Chain
    from sidecar.sources import Source

NAMES_SHOWN = 12


@click.command(short_help="Show what comes from the sources, and which events it becomes.")
@redis_options
@click.option("--source", metavar="SOURCE", help="One source only, such as stream:orders.")
@click.option("--seconds", type=click.FloatRange(0.1, 3600), default=30.0, show_default=True, help="How long at most.")
@click.option("--limit", type=click.IntRange(1, 10_000), default=50, show_default=True, help="Payloads at most.")
@click.option(
    "--last", type=click.IntRange(0, 1000), default=5, show_default=True, help="Stream entries to begin with."
)
@click.option("--payloads", is_flag=True, help="Show payloads that became no event as they are, not only their fields.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, one object a line.")
def tap(where: Where, source: str | None, seconds: float, limit: int, last: int, payloads: bool, as_json: bool) -> None:
    """Show the payloads that the sources deliver now, with their events and rules, or why they have no event.

    It does not disturb the daemon: it counts nothing, and writes nothing to Redis. Of a payload without an event it
    shows only the names of the fields, since values may be personal.
    """
    config = where.config()
    shown = Outcomes(as_json=as_json)
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_Tap(config, shown, limit=limit, payloads=payloads).run(source, seconds, last))
    click.echo(shown.summary(), err=True)
    if shown.kinds["rejected"]:
        raise SidecarError("some were rejected: see above")


class _Tap:
    def __init__(self, config: "Config", shown: Outcomes, *, limit: int, payloads: bool) -> None:
        from sidecar.daemon.build import mappings

        self._config = config
        self._shown = shown
        self._left = limit
        self._payloads = payloads
        self._chains = mappings(config)

    async def run(self, only: str | None, seconds: float, last: int) -> None:
        """Read all sources, or only one, until the time is over or the limit is reached."""
        from sidecar.daemon.build import servers, sources

        found = [one for one in sources(self._config, servers(self._config.events)) if only in (None, one.name)]
        if not found:
            raise ConfigError(f"{only} is no configured source: write it as in stream:NAME or pubsub:NAME")
        click.echo(f"Listening to {', '.join(one.name for one in found)} for {seconds:g} s ...", err=True)
        tasks = [asyncio.create_task(self._follow(one, last)) for one in found]
        try:
            async with asyncio.timeout(seconds):
                done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    task.result()
        except TimeoutError:
            pass
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _follow(self, source: "Source", last: int) -> None:
        """Show what one source delivers, until the limit is reached."""
        from sidecar.core.events.source import key_of

        await source.connect()
        try:
            after = await self._start(key_of(source.name), last) if source.kind.rereads else ""
            while self._left > 0:
                batch = await source.read(after)
                if batch is not None:
                    after = batch.stream.last if batch.stream is not None else ""
                    self._show(source.name, batch)
        finally:
            await source.close()

    async def _start(self, stream: str, last: int) -> str:
        """Return the id after which the newest `last` entries of a stream come."""
        from sidecar.cli.client.access import connected
        from sidecar.core.events.source import raw_key

        async with connected(self._config.events, key=stream) as link:
            newest = await link.call("XREVRANGE", raw_key(stream), "+", "-", "COUNT", last + 1)
        return newest[-1][0].decode() if len(newest) > last else "0-0"

    def _show(self, source: str, batch: "Batch") -> None:
        from sidecar.core.events.rejections import without_event
        from sidecar.core.mapping.mapping import Outcome

        chain: Chain | Own = self._chains.get(source) or Own()
        for entry in batch.empty[: self._left]:
            self._left -= 1
            lacking = without_event(entry.id, entry.fields, time.time(), mapped=source in self._chains)
            self._shown.show(
                source, [Outcome("none", "", rejection=lacking)], content=lacking.payload.decode("utf-8", "replace")
            )
        for payload in batch.payloads[: self._left]:
            self._left -= 1
            text = payload.decode("utf-8", "replace")
            self._shown.show(
                source, chain.outcomes(payload, time.time()), content=text if self._payloads else names(payload)
            )


class Own:
    """Decodes events of this package, which need no mapping."""

    def outcomes(self, payload: bytes, arrival: float) -> list[Any]:
        from sidecar.core.events.decode import decode
        from sidecar.core.mapping.mapping import Outcome

        found = decode([payload], [arrival])
        events = [Outcome("none", "", event, None, found.adjusted.get(id(event), ())) for event in found.events]
        return events + [Outcome("none", "", rejection=one) for one in found.rejections]


def names(payload: bytes) -> str:
    """Return the names of a payload's fields, without values: they may be personal."""
    from sidecar.core.events.rejections import UNREADABLE
    from sidecar.core.mapping.payloads import decoded, text_of

    try:
        value = decoded(text_of(payload))
    except UNREADABLE:
        return f"{len(payload)} bytes that cannot be decoded (--payloads shows them)"
    if isinstance(value, list):
        value = value[0] if value else {}
    fields = list(value) if isinstance(value, dict) else []
    more = ", ..." if len(fields) > NAMES_SHOWN else ""
    return f"its fields: {', '.join(fields[:NAMES_SHOWN])}{more}" if fields else "it is no object"
