"""`sidecar schema`: the JSON Schema of the events."""

import json

import click


@click.command(short_help="Print the JSON Schema of the events.")
def schema() -> None:
    """Print the JSON Schema of the events, generated from the types that decode them."""
    from sidecar.core.events.schema import json_schema

    click.echo(json.dumps(json_schema(), indent=2))
