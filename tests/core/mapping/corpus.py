"""What other systems publish (tests/corpus), the mappings for it, and the events that it becomes."""

import base64
import json
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import msgspec

from sidecar.config import Config, load
from sidecar.core.events.event import Event
from sidecar.core.mapping.entries import payload_of
from sidecar.core.mapping.mapping import Outcome

FOLDER = Path("tests/corpus")
INDEX = {one["file"]: one for one in json.loads((FOLDER / "index.json").read_text())}
EVENTS: dict[str, list[Any]] = json.loads((FOLDER / "events.json").read_text())


def configuration() -> Config:
    return load(str(FOLDER / "mappings.yml"), environ={}).config


def source_of(config: Config, file: str) -> str:
    """Return the configured source through which a file comes."""
    one = INDEX[file]
    name = f"{one['transport']}:{one['where']}"
    sources = [source for mapping in config.mappings for source in mapping.sources]
    return next(source for source in sources if source == name or fnmatchcase(name, source))


def fields_of(file: str) -> list[bytes]:
    """Return the fields of a stream entry, names and values in turn."""
    pairs = json.loads((FOLDER / file).read_text())["fields"]
    return [
        base64.b64decode(part["b64"]) if isinstance(part, dict) else part.encode() for pair in pairs for part in pair
    ]


def payload(config: Config, file: str) -> bytes:
    if not file.endswith(".entry.json"):
        return (FOLDER / file).read_bytes()
    source = source_of(config, file)
    mapping = next(one for one in config.mappings if source in one.sources)
    found = payload_of(mapping.entry, mapping.values)(fields_of(file))
    assert found is not None
    return found


def shown(outcome: Outcome) -> Any:
    """Return an event as events.json has it: what it says of the order; else what became of the payload."""
    if outcome.event is None:
        return outcome.kind
    names = [name for name in Event.__struct_fields__ if name not in ("type", "status_word")]
    given = {name: value for name in names if (value := getattr(outcome.event, name)) is not None}
    fields: dict[str, Any] = json.loads(msgspec.json.encode(given))
    if fields["quantity"] == 1:
        del fields["quantity"]
    return fields | ({"_adjusted": list(outcome.adjusted)} if outcome.adjusted else {})
