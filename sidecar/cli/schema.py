"""`sidecar schema`: the JSON Schema of the events, or of the configuration."""

import json

import click


@click.command(short_help="Print the JSON Schema of the events, or of the configuration.")
@click.argument("of", type=click.Choice(["events", "config"]), default="events", metavar="[events|config]")
def schema(of: str) -> None:
    """Print the JSON Schema of the events, or of the configuration file, generated from the types that decode them.

    sidecar schema > events.schema.json

    sidecar schema config > sidecar.schema.json
    """
    from sidecar.config.schema import json_schema as of_configuration
    from sidecar.core.events.schema import json_schema as of_events

    click.echo(json.dumps(of_events() if of == "events" else of_configuration(), indent=2))
