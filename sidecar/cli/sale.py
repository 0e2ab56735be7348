"""`sidecar sale`: announce that a sale starts or stops."""

from typing import TYPE_CHECKING

import click

from sidecar.cli.clear import chosen
from sidecar.cli.options import Where, reader_options
from sidecar.cli.view.terminal import moment, plain, seconds
from sidecar.core.events.sale_event import CURRENT, ID_RULE, is_id

if TYPE_CHECKING:
    from sidecar.core.counts.sale import Sale
    from sidecar.core.events.sale_event import Action


@click.group(short_help="Announce that a sale starts or stops.")
def sale() -> None:
    """Announce that a sale starts or stops. This is optional: the sidecar can tell from the orders.

    An announcement takes precedence: a sale that was started runs until it is stopped, however quiet it is, and late
    orders after a stop do not continue it. Outside of a sale, its alerts and countdowns are quiet.
    """


@sale.command(short_help="A sale starts now.")
@click.argument("id", required=False)
@reader_options
def start(where: Where, id: str | None) -> None:
    """Announce that a sale starts now; ID is its name, if it has one."""
    found = _announce(where, "start", id)
    if found is not None:
        click.echo(f"{_name(found)} runs, since {moment(found.started_at)}.")


@sale.command(short_help="The sale is over.")
@click.argument("id", required=False)
@reader_options
def stop(where: Where, id: str | None) -> None:
    """Announce that the sale is over; with ID only if that is its name."""
    found = _announce(where, "stop", id)
    if found is not None:
        lasted = None if found.ended_at is None or found.started_at is None else found.ended_at - found.started_at
        click.echo(f"{_name(found)} is over: {seconds(lasted)}, until {moment(found.ended_at)}.")


def _announce(where: Where, action: "Action", id: str | None) -> "Sale | None":
    """Return the sale after the announcement; print what happens next if no sidecar counts."""
    if id is not None and id != CURRENT and not is_id(id):
        raise click.BadParameter(f"the id of a sale has {ID_RULE}", param_hint="ID")
    reader, location = chosen(where)
    found = reader.announce(action, None if id == CURRENT else id)
    if found is None:
        click.echo(f"No sidecar counts {location} now: the next one to start applies it.")
    return found


def _name(found: "Sale") -> str:
    return f"The sale {plain(found.id)}" if found.id else "The sale"
