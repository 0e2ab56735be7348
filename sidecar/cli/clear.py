"""`sidecar clear`: begin to count anew."""

import click

from sidecar.cli.options import Where, reader_options
from sidecar.cli.readers import reader
from sidecar.cli.terminal import count
from sidecar.errors import SidecarError


@click.command(short_help="Clear the metrics; stream positions stay.")
@reader_options
@click.option("--yes", is_flag=True, help="Do not ask.")
def clear(where: Where, yes: bool) -> None:
    """Clear the metrics, in Redis or with --url and a token through the daemon.

    Everything counted begins at 0 again. Stream positions and sequence windows stay: nothing is counted twice.
    """
    source = reader(where, redis_first=True)
    if not yes:
        try:
            sure = click.confirm("Clear all metrics of the sale? They cannot be brought back")
        except click.Abort:
            raise SidecarError("nothing was cleared: nobody answered; say --yes where nobody can be asked") from None
        if not sure:
            raise SidecarError("nothing was cleared")
    by_status = source.clear()["orders"]["by_status"]
    counts = ", ".join(
        f"{count(by_status[status])} {status}" for status in ("success", "failed", "pending", "cancelled")
    )
    click.echo(f"Cleared: {counts}.")
