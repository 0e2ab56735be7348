"""`sidecar top`: the sale, live, in a terminal."""

import sys
import time
from typing import TYPE_CHECKING, Any

import click

from sidecar.cli.options import Where, reader_options
from sidecar.cli.readers import Reader, reader
from sidecar.cli.terminal import count, plain, seconds
from sidecar.errors import UnavailableError

if TYPE_CHECKING:
    from rich.console import Console, Group
    from rich.text import Text

REFRESH_SECONDS = 1.0
# Lines of the view that are not products, so that it fits the screen.
OTHER_LINES = 21
FEWEST_PRODUCTS = 3
TIMES = (("latency", "10s"), ("latency", "1m"), ("latency", "total"), ("processing", "1m"))


@click.command(short_help="Watch the sale live in the terminal.")
@reader_options
@click.option("--once", is_flag=True, help="Print the view once and end, as it also does when piped.")
def top(where: Where, once: bool) -> None:
    """Watch the sale live: rates, percentiles, stock, queue, and what was missed. Ctrl-C ends it."""
    from sidecar.cli import tables

    source, console = reader(where), tables.console()
    if once or not sys.stdout.isatty():
        console.print(view(source.snapshot(), console.height))
        return
    try:
        _watch(source, console)
    except KeyboardInterrupt:
        return


def _watch(source: Reader, console: "Console") -> None:
    """Refresh for ever; a daemon that went away is waited for, one that never answered is an error."""
    from rich.console import Group
    from rich.live import Live
    from rich.text import Text

    newest: Any = view(source.snapshot(), console.height)
    with Live(newest, console=console, screen=True, auto_refresh=False) as live:
        while True:
            time.sleep(REFRESH_SECONDS)
            try:
                newest = view(source.snapshot(), console.height)
                live.update(newest, refresh=True)
            except UnavailableError as exc:
                live.update(Group(Text(plain(exc), "bold red"), newest), refresh=True)


def view(document: dict[str, Any], height: int) -> "Group":
    """Draw a snapshot for a screen of `height` lines."""
    from rich.console import Group

    from sidecar.cli import tables

    return Group(
        _headline(document),
        tables.completeness(document),
        tables.queue_lengths(document),
        "",
        tables.rates(document),
        "",
        tables.times(document, TIMES),
        "",
        tables.products(document, max(FEWEST_PRODUCTS, height - OTHER_LINES)),
    )


def _headline(document: dict[str, Any]) -> "Text":
    """Say what this is, how it stands, and what runs out next."""
    from rich.text import Text

    orders, active = document["orders"], document["connections"]["active"]
    line = Text(plain(document["instance"]), "bold").append(f" {plain(document['role'])}", "not bold dim")
    if document["stale"]:
        line.append(" STALE", "bold red")
    pace = orders["per_second"]
    line.append(f"  {count(pace['now'])}/s now, peak {count(pace['peak'])}", "not bold")
    line.append(f"  {count(orders['total'])} orders, {count(orders['in_flight'])} in flight", "not bold")
    if active is not None:
        line.append(f"  {count(active)} connections", "not bold")
    clock = {name: one["sell_out_in_s"] for name, one in document["inventory"].items() if one["stock"] > 0}
    known = [(left, name) for name, left in clock.items() if left is not None]
    if known:
        left, name = min(known)
        line.append(f"\nnext to sell out: {plain(name)} in {seconds(left)}", "yellow")
    return line
