"""`sidecar publish`: send an event by hand, or a file of them, and report how many subscribers received it."""

import asyncio
import contextlib
import sys
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from sidecar.cli.client.publishing import (
    Destination,
    Publisher,
    Transport,
    destination,
    maxlen_option,
    to_option,
    transport_option,
)
from sidecar.cli.options import Where, redis_options
from sidecar.cli.view.terminal import counted, plain
from sidecar.errors import SidecarError

if TYPE_CHECKING:
    from sidecar.config import Config, RedisConfig
    from sidecar.core.mapping.mapping import Chain


@click.command(short_help="Publish an event, or lines of events from stdin.")
@click.argument("event", metavar="EVENT|-")
@redis_options
@transport_option
@to_option
@maxlen_option
@click.option("--force", is_flag=True, help="Publish even what the sidecar would reject.")
def publish(
    where: Where, event: str, transport: Transport | None, to: str | None, maxlen: int | None, force: bool
) -> None:
    """Publish EVENT, one JSON object or an array of them; - reads one per line from stdin.

    An event that the sidecar would reject is not sent, and the reason is shown.

      sidecar publish '{"status":"success","product_id":"sku-1"}'
    """
    if not event.strip():
        raise click.UsageError("EVENT is empty: give an event, or - to read events from stdin")
    config = where.config()
    target = destination(config.sources, transport, to, maxlen)
    chain = _mapping_of(config, f"{target.transport}:{target.name}")
    from_stdin = event == "-"
    lines = sys.stdin.buffer if from_stdin else [event.encode(errors="surrogateescape")]
    sent = rejected = 0
    heard = 1
    # Ctrl-C ends typing, or `tail -f`: report what was sent nevertheless.
    with (
        asyncio.Runner() as runner,
        _publisher(runner, config.events, target) as publisher,
        contextlib.suppress(KeyboardInterrupt),
    ):
        for number, line in enumerate(map(bytes.strip, lines), 1):
            problem = _problem(line, chain) if line else ""
            if problem and not force:
                rejected += 1
                line_number = f"line {number}: " if from_stdin else ""
                click.secho(f"Rejected: {line_number}{problem}", fg="red", err=True)
            elif line:
                heard = runner.run(publisher.send([line]))
                sent += 1
    _report(target, sent, heard)
    if rejected:
        raise SidecarError(f"{rejected} of {sent + rejected} not published; correct them, or send them with --force")


def _mapping_of(config: "Config", source: str) -> "Chain | None":
    """Return what decodes the source of a mapping, `None` for one of our own events."""
    from sidecar.daemon.build import mappings

    return mappings(config).get(source)


@contextlib.contextmanager
def _publisher(runner: asyncio.Runner, config: "RedisConfig", to: Destination) -> Iterator[Publisher]:
    """Connect in the runner's loop. Lines are read while it does not run, so that Ctrl-C interrupts the reading."""
    from sidecar.cli.client.access import connected

    connection = connected(config, key=to.name)
    link = runner.run(connection.__aenter__())
    try:
        yield Publisher(link, to)
    finally:
        runner.run(connection.__aexit__(None, None, None))


def _problem(line: bytes, chain: "Chain | None") -> str:
    """Return why the sidecar would reject the line, "" if it would not; warn of unknown fields."""
    from sidecar.core.events.decode import decode, unknown_fields

    if chain is not None:  # its payloads have fields of their own
        rejections = chain.decode([line], [time.time()]).rejections
        return "; ".join(plain(f"{one.reason}: {one.detail}") for one in rejections)
    decoded = decode([line], [time.time()])
    for field in sorted(unknown_fields(line)):
        click.secho(f"Warning: the field {plain(field)} is unknown and will be ignored", fg="yellow", err=True)
    for what in sorted({what for adjusted in decoded.adjusted.values() for what in adjusted}):
        click.secho(f"Warning: the order counts, but not all of it: {what}", fg="yellow", err=True)
    return "; ".join(plain(f"{one.reason}: {one.detail}") for one in decoded.rejections)


def _report(to: Destination, sent: int, heard: int) -> None:
    """Print what was published, and warn if nobody received it."""
    if not sent:
        click.echo("Nothing was published.", err=True)
        return
    what = counted(sent, "message")
    if to.transport == "stream":
        click.echo(f"Added {what} to the stream {plain(to.name)}.")
    else:
        click.echo(f"Published {what} on {plain(to.name)}, heard by {counted(heard, 'subscriber')}.")
        if not heard:
            click.secho(
                "Warning: nobody listens on this channel, so nothing was counted: is the sidecar running, on this "
                "Redis and this name? `sidecar check` shows it.",
                fg="yellow",
                err=True,
            )
