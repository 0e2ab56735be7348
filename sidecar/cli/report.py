"""`sidecar report`: the numbers of the sale so far, to read, to paste or to process."""

import json
from typing import TYPE_CHECKING

import click
from msgspec import to_builtins

from sidecar.cli.client.readers import reader
from sidecar.cli.options import Where, reader_options
from sidecar.cli.view.terminal import count, moment, plain, seconds

if TYPE_CHECKING:
    from rich.table import Table

    from sidecar.core.snapshot.report import Report

PRODUCTS = 20


@click.command(short_help="Show the numbers of the sale: a table, JSON or Markdown.")
@reader_options
@click.option("--json", "as_json", is_flag=True, help="Print the JSON of GET /monitoring/benchmark.")
@click.option("--markdown", "as_markdown", is_flag=True, help="Print Markdown.")
def report(where: Where, as_json: bool, as_markdown: bool) -> None:
    """Show the numbers of the sale since counting began, or since the last clear."""
    if as_json and as_markdown:
        raise click.UsageError("--json and --markdown exclude each other")
    found = reader(where).report()
    if as_json:
        click.echo(json.dumps(to_builtins(found), indent=2))
    elif as_markdown:
        from sidecar.exposition.documents import markdown

        click.echo(markdown(found), nl=False)
    else:
        show(found)


def show(found: "Report") -> None:
    """Print a report as tables."""
    from sidecar.cli.view import tables

    console = tables.console()
    peak = found.orders.per_second.peak
    console.print(f"[bold]Flash sale report[/] · {_safe(found.instance)} · {_period(found)}")
    console.print(f"{count(found.average_per_second)} orders a second on average, {count(peak)} at the peak\n")
    width = console.width
    parts = [
        tables.orders(found, width=width),
        tables.times(found, (("latency", "total"), ("processing", "total")), width=width),
    ]
    rest = (_products(found, width), tables.failures(found), tables.queues(found))
    parts += [table for table in rest if table.row_count]
    for part in parts:
        console.print(part)
        console.print()
    if state := tables.state(found):
        console.print(state)
    if found.orders.revenue:
        console.print(tables.revenue(found))
    console.print(tables.completeness(found))
    if found.stale:
        console.print("[yellow]These numbers are old: no daemon commits at the moment.[/]")


def _products(found: "Report", width: int) -> "Table":
    """Draw the busiest products; the caption counts the others."""
    from sidecar.cli.view import tables

    names = tables.by_sales(found)
    table = tables.products(found, names[:PRODUCTS], width=width)
    if len(names) > PRODUCTS:
        table.caption = f"and {len(names) - PRODUCTS:,} more"
    return table


def _period(found: "Report") -> str:
    """Format beginning and end; the day only once if they share it."""
    since, until = moment(found.since), moment(found.until)
    day, _, time = until.partition(" ")
    if since.startswith(day):
        since, until = since.removesuffix(" UTC"), time
    return f"{since} to {until} ({seconds(found.duration_s)})"


def _safe(name: str) -> str:
    from rich.markup import escape

    return escape(plain(name))
