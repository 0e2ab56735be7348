"""`sidecar map`: show the outcomes of payloads in the mappings, without Redis, without counting."""

import itertools
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from sidecar.cli.options import load
from sidecar.cli.view.outcomes import Outcomes
from sidecar.cli.view.terminal import folded
from sidecar.errors import ConfigError, SidecarError

if TYPE_CHECKING:
    from sidecar.core.mapping.definition import Definition
    from sidecar.core.mapping.mapping import Chain


@click.command("map", short_help="Show which events mappings make of payloads.")
@click.argument("files", nargs=-1, type=click.Path(exists=True, dir_okay=False, allow_dash=True), metavar="[FILE|-]...")
@click.option("--config", "config_file", metavar="FILE", help="The configuration file [or SIDECAR_CONFIG].")
@click.option("--use", metavar="NAME", help="A ready-made mapping, without a configuration; `list` names them.")
@click.option("--source", metavar="SOURCE", help="The mappings of one source, such as pubsub:shop.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, one object a line.")
def map_(files: tuple[str, ...], config_file: str | None, use: str | None, source: str | None, as_json: bool) -> None:
    """Show the events of each payload and the rule that took it, or why it has no event.

    FILE holds one payload, or one on each line; without FILE, or for -, they come from standard input. The exit status
    is 1 if any was rejected.

      sidecar map --use shopify order.json

      sidecar map --config sidecar.yml < payloads.jsonl
    """
    if use == "list":
        _list_ready_made()
        return
    definitions, currency = _chosen(config_file, use, source)
    chain, shown = _chain(definitions, currency), Outcomes(as_json=as_json)
    for name in files or ("-",):
        content = sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
        for label, payload in _payloads("" if name == "-" else Path(name).name, content):
            shown.show(label, chain.outcomes(payload, time.time()), content=payload.decode("utf-8", "replace"))
    click.echo(shown.summary(), err=True)
    for line in shown.never_there(_fields(definitions)):
        click.secho(f"Warning: {line}", fg="yellow", err=True)
    if shown.kinds["rejected"]:
        raise SidecarError("some were rejected: see above; docs/how-to/your-format.md shows how to map them")


def _list_ready_made() -> None:
    from sidecar.config.mappings import names, ready_made

    for name in names():
        lines = itertools.takewhile(lambda line: line.startswith("#"), ready_made(name).splitlines())
        sentence = " ".join(line.lstrip("# ") for line in lines).partition(". ")[0]
        click.echo(folded(f"{name:20} {sentence.rstrip('.')}", sys.stdout, indent=" " * 21))


def _chosen(config_file: str | None, use: str | None, source: str | None) -> tuple[tuple["Definition", ...], str]:
    """Return the mappings to try, and the currency of amounts without one.

    Raises ConfigError if none or several sources match.
    """
    from sidecar.config import Config
    from sidecar.config.mappings import ready_made_definition

    if use is not None:
        return (ready_made_definition(use),), Config().currency
    config = load(config_file, {})
    definitions = config.mappings
    if not definitions:
        where = config_file or os.environ.get("SIDECAR_CONFIG") or "no configuration file"
        raise ConfigError(f"there is no mapping in {where}: name a file with --config, or a ready-made one with --use")
    sources = sorted({name for one in definitions for name in one.sources})
    if source is None and len({one.sources for one in definitions}) > 1:
        raise ConfigError(f"the mappings are of several sources: choose one with --source: {', '.join(sources)}")
    if source is not None and source not in sources:
        raise ConfigError(f"no mapping has the source {source}: there is {', '.join(sources)}")
    return tuple(one for one in definitions if source is None or source in one.sources), config.currency


def _chain(definitions: tuple["Definition", ...], currency: str) -> "Chain":
    from sidecar.core.mapping.mapping import Chain, Mapping

    return Chain([Mapping(one, currency=currency) for one in definitions])


def _fields(definitions: tuple["Definition", ...]) -> dict[tuple[str, str], set[str]]:
    """Return the fields that each rule has, by the names of mapping and rule."""
    return {(one.name, rule.name): {*one.event, *rule.event} for one in definitions for rule in one.rules}


def _payloads(name: str, content: bytes) -> list[tuple[str, bytes]]:
    """Return the payloads with their labels: the content if it is one value, else its lines."""
    from sidecar.core.events.rejections import UNREADABLE
    from sidecar.core.mapping.payloads import decoded, text_of

    lines = [(number, line) for number, line in enumerate(content.splitlines(), 1) if line.strip()]
    try:
        decoded(text_of(content))
    except UNREADABLE:
        if len(lines) > 1:
            return [(f"{name}:{number}" if name else f"line {number}", line) for number, line in lines]
    return [(name or "payload", content.strip() if len(lines) == 1 else content)]
