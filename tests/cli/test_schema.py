"""`sidecar schema`."""

import json

from sidecar.core.events.schema import json_schema
from tests.cli.commands import invoke


def test_the_schema_is_printed_as_json() -> None:
    assert json.loads(invoke("schema").stdout) == json_schema()
