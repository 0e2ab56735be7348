"""`sidecar report`: the numbers of the sale so far, to read, to paste or to process."""

import json
from typing import TYPE_CHECKING, Any

import click

from sidecar.cli.client.readers import reader
from sidecar.cli.options import Where, reader_options
from sidecar.cli.view.terminal import count, moment, plain, seconds

if TYPE_CHECKING:
    from rich.table import Table

PRODUCTS = 20


@click.command(short_help="Show the numbers of the sale: a table, JSON or Markdown.")
@reader_options
@click.option("--json", "as_json", is_flag=True, help="Print the JSON of GET /monitoring/benchmark.")
@click.option("--markdown", "as_markdown", is_flag=True, help="Print Markdown.")
def report(where: Where, as_json: bool, as_markdown: bool) -> None:
    """Show the numbers of the sale since counting began, or since the last clear."""
    if as_json and as_markdown:
        raise click.UsageError("--json and --markdown exclude each other")
    document = reader(where).report()
    if as_json:
        click.echo(json.dumps(document, indent=2))
    elif as_markdown:
        from sidecar.exposition.documents import markdown

        click.echo(markdown(document), nl=False)
    else:
        show(document)


def show(document: dict[str, Any]) -> None:
    """Print a report as tables."""
    from sidecar.cli.view import tables

    console = tables.console()
    peak = document["orders"]["per_second"]["peak"]
    console.print(f"[bold]Flash sale report[/] · {_safe(document['instance'])} · {_period(document)}")
    console.print(f"{count(document['average_per_second'])} orders a second on average, {count(peak)} at the peak\n")
    width = console.width
    parts = [
        tables.orders(document, width=width),
        tables.times(document, (("latency", "total"), ("processing", "total")), width=width),
    ]
    rest = (_products(document, width), tables.failures(document), tables.queues(document))
    parts += [table for table in rest if table.row_count]
    for part in parts:
        console.print(part)
        console.print()
    if state := tables.state(document):
        console.print(state)
    if document["orders"]["revenue"]:
        console.print(tables.revenue(document))
    console.print(tables.completeness(document))
    if document["stale"]:
        console.print("[yellow]These numbers are old: no daemon commits at the moment.[/]")


def _products(document: dict[str, Any], width: int) -> "Table":
    """Draw the busiest products; the caption counts the others."""
    from sidecar.cli.view import tables

    names = tables.by_sales(document)
    table = tables.products(document, names[:PRODUCTS], width=width)
    if len(names) > PRODUCTS:
        table.caption = f"and {len(names) - PRODUCTS:,} more"
    return table


def _period(document: dict[str, Any]) -> str:
    """Format beginning and end; the day only once if they share it."""
    since, until = moment(document["since"]), moment(document["until"])
    day, _, time = until.partition(" ")
    if since.startswith(day):
        since, until = since.removesuffix(" UTC"), time
    return f"{since} to {until} ({seconds(document['duration_s'])})"


def _safe(name: str) -> str:
    from rich.markup import escape

    return escape(plain(name))
