"""`sidecar schema`."""

import json

from sidecar.config.schema import json_schema as of_configuration
from sidecar.core.events.schema import json_schema
from tests.cli.commands import invoke


def test_the_schema_is_printed_as_json() -> None:
    assert json.loads(invoke("schema").stdout) == json_schema()


def test_that_of_the_configuration_too() -> None:
    assert json.loads(invoke("schema", "config").stdout) == json.loads(json.dumps(of_configuration()))
