"""`sidecar rejected`: the events that were rejected lately, and why."""

import json
from typing import TYPE_CHECKING

import click
from msgspec import to_builtins

from sidecar.cli.client.readers import reader
from sidecar.cli.options import Where, reader_options
from sidecar.cli.view.terminal import moment, plain

if TYPE_CHECKING:
    from sidecar.core.counts.pending import RejectedEvent

MOST = 100


@click.command(short_help="Show the events that were rejected lately, and why.")
@reader_options
@click.option("--limit", type=click.IntRange(1, MOST), default=20, show_default=True, help="How many, newest first.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, one object a line.")
def rejected(where: Where, limit: int, as_json: bool) -> None:
    """Show the events that were rejected lately, newest first: when, where, why, and their first bytes."""
    found = reader(where).rejected(limit)
    if as_json:
        for one in found:
            # DEL is the one control character that json leaves as it is.
            click.echo(json.dumps(to_builtins(one)).replace("\x7f", r"\u007f"))
    elif not found:
        click.echo("No event was rejected lately.")
    else:
        _show(found)


def _show(found: "list[RejectedEvent]") -> None:
    """Print two lines for each, uncut, for grep."""
    for one in found:
        reason = click.style(plain(one.reason), fg="red")
        click.echo(f"{moment(one.time)}  {plain(one.source)}  {reason}  {plain(one.detail)}")
        click.echo(f"    {plain(one.payload)}")
