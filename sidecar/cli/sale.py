"""`sidecar sale`: plan sales, announce that one starts or stops, and note what happens in it."""

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from sidecar.cli.clear import chosen
from sidecar.cli.client.readers import reader
from sidecar.cli.options import Where, reader_options
from sidecar.cli.view.terminal import count, moment, plain, seconds, share
from sidecar.core.events.sale_event import CURRENT, ID_RULE, is_id
from sidecar.errors import SidecarError, UnavailableError

if TYPE_CHECKING:
    from sidecar.core.counts.manifest import Manifest
    from sidecar.core.counts.sale import Details, Sale, SaleCommand
    from sidecar.core.sale.listing import ListedSale
    from sidecar.core.snapshot.snapshot import Snapshot


@click.group(short_help="Plan sales; announce that one starts or stops.")
def sale() -> None:
    """Plan sales, and announce that one starts or stops. This is optional: the sidecar can tell from the orders.

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


@sale.command(short_help="Check a manifest, and compare its stock.")
@click.argument("file", type=click.Path())
@reader_options
def check(where: Where, file: str) -> None:
    """Check a manifest: what it turns on, and whether its stock is what the backend reports now."""
    from sidecar.config.manifest import read_manifest
    from sidecar.core.sale.records import features

    manifest = read_manifest(file)
    click.echo(f"{manifest.sale} ({manifest.kind}): {moment(manifest.starts_at)} to {moment(manifest.ends_at)}")
    for line in _features(features(manifest)):
        click.echo(line)
    try:
        snapshot = reader(where).snapshot()
    except UnavailableError as exc:
        click.echo(f"The stock was not compared: {exc}")
        return
    differences = list(_differences(manifest, snapshot))
    for line in differences:
        click.secho(line, fg="yellow")
    if differences:
        raise SidecarError("the manifest and the reported stock differ")
    click.echo("The stock is what the backend reports.")


def _features(found: dict[str, bool]) -> Iterator[str]:
    for name, on in found.items():
        yield f"  {name}: {'on' if on else 'not configured'}"


def _differences(manifest: "Manifest", snapshot: "Snapshot") -> Iterator[str]:
    for one in manifest.products:
        reported = snapshot.inventory.get(one.id)
        if one.stock is not None and (reported is None or reported.stock != one.stock):
            shown = "none reported" if reported is None else f"{count(reported.stock)} reported"
            yield f"  {one.id}: {count(one.stock)} planned, {shown}"


@sale.command(short_help="Store the manifest of a planned sale.")
@click.argument("file", type=click.Path())
@click.option("--replace", is_flag=True, help="Replace another manifest of the same sale.")
@reader_options
def load(where: Where, file: str, replace: bool) -> None:
    """Store the manifest of a planned sale. The sale starts and ends at its times; `start` and `stop` override that."""
    from sidecar.config.manifest import read_manifest
    from sidecar.core.counts.sale import Details

    manifest = read_manifest(file)
    source, location = chosen(where)
    with open(file, "rb") as text:
        taken = source.load(text.read(), Details(manifest=manifest, replace=replace))
    click.echo(f"{manifest.sale} is planned for {moment(manifest.starts_at)}." if taken else _later(location))


@sale.command("list", short_help="List the sales.")
@reader_options
def list_(where: Where) -> None:
    """List the sales: planned, running, ended; the newest first."""
    for one in reader(where).sales():
        at = one.started_at or one.starts_at
        click.echo(f"{plain(one.id or '-')}  {one.state}  {one.kind}  {moment(at)}  {plain(one.title)}".rstrip())


@sale.command(short_help="Show a sale.")
@click.argument("id", required=False)
@click.option("--json", "as_json", is_flag=True, help="As JSON, with the manifest.")
@reader_options
def show(where: Where, id: str | None, as_json: bool) -> None:
    """Show a sale, by default the present one: its times, what its manifest turns on, its products and notes."""
    import msgspec

    _check_id(id)
    source = reader(where)
    snapshot = source.snapshot()
    wanted = snapshot.sale.id if id in (None, CURRENT) else id
    found = next((one for one in source.sales() if one.id == wanted), None)
    if found is None:
        raise SidecarError("there is no such sale: `sidecar sale list` lists them")
    if as_json:
        click.echo(json.dumps(msgspec.to_builtins(found), indent=2))
        return
    for line in _described(found, snapshot):
        click.echo(line)


def _described(one: "ListedSale", snapshot: "Snapshot") -> Iterator[str]:
    yield f"{plain(one.id or '-')} ({one.kind}) {one.state}  {plain(one.title)}".rstrip()
    yield f"  planned: {moment(one.starts_at)} to {moment(one.ends_at)}"
    yield f"  took place: {moment(one.started_at)} to {moment(one.ended_at)}"
    yield from _features(one.features)
    present = one.manifest is not None and one.id == snapshot.sale.id
    for product in one.manifest.products if one.manifest and present else ():
        units = snapshot.orders.by_product[product.id].units
        of = "" if product.stock is None else f" of {count(product.stock)}, {share(units / max(product.stock, 1))}"
        yield f"  {plain(product.id)}: {count(units)} sold{of}"
    for mark in one.markers:
        yield f"  {moment(mark.at)}: {plain(mark.text)}"
    for restock in one.restocks:
        yield f"  {moment(restock.at)}: {plain(restock.product_id)} restocked by {restock.units:,}"


@sale.command(short_help="Delete what is kept of a sale.")
@click.argument("id")
@reader_options
def delete(where: Where, id: str) -> None:
    """Delete the manifest of a sale, and what was noted of it. The counts stay."""
    if _announce(where, "delete", id) is not None:
        click.echo(f"{id} is deleted.")


@sale.command(short_help="Add a marker to the present sale.")
@click.argument("text")
@click.option("--at", type=float, metavar="SECONDS", help="Its Unix time [default: now].")
@reader_options
def mark(where: Where, text: str, at: float | None) -> None:
    """Note that something happened, such as "coupon sent"."""
    from sidecar.core.counts.sale import Details

    if _announce(where, "mark", None, Details(text=text, at=at)) is not None:
        click.echo("Noted.")


@sale.command(short_help="Note that units of a product were added.")
@click.argument("sku")
@click.argument("units", type=int)
@reader_options
def restock(where: Where, sku: str, units: int) -> None:
    """Note a restock, as in `sidecar sale restock sku-1 +500`, if the backend does not report it."""
    from sidecar.core.counts.sale import Details

    if _announce(where, "restock", None, Details(product_id=sku, units=units)) is not None:
        click.echo("Noted.")


def _check_id(id: str | None) -> None:
    if id is not None and id != CURRENT and not is_id(id):
        raise click.BadParameter(f"the id of a sale has {ID_RULE}", param_hint="ID")


def _later(location: str) -> str:
    return f"No sidecar counts {location} now: the next one to start applies it."


def _announce(where: Where, action: "SaleCommand", id: str | None, details: "Details | None" = None) -> "Sale | None":
    """Return the sale after the announcement; print what happens next if no sidecar counts."""
    _check_id(id)
    source, location = chosen(where)
    found = source.announce(action, None if id == CURRENT else id, details)
    if found is None:
        click.echo(_later(location))
    return found


def _name(found: "Sale") -> str:
    return f"The sale {plain(found.id)}" if found.id else "The sale"
