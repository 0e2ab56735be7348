"""A checkpoint that version 0.1.0 wrote, loaded by this one.

checkpoint-0.1.0.json holds the HGETALL of it in Base64, and the numbers that its version showed. It has a bit of
everything: both transports, a clear, holes of several producers, three currencies, rejected and ignored events.
"""

import json
from base64 import b64decode
from pathlib import Path
from typing import Any

import msgspec

from sidecar.core.snapshot.compute import compute
from tests.core.counted import context
from tests.ledgers import RULES, new_ledger, settle

FIXTURE: dict[str, Any] = json.loads(Path(__file__).with_name("checkpoint-0.1.0.json").read_bytes())
FIELDS = {name: b64decode(value) for name, value in FIXTURE["fields"].items()}


def part(found: Any, expected: Any) -> Any:
    """Return of what was found what the expected value speaks of: later versions may show more."""
    if isinstance(expected, dict):
        return {name: part(found[name], value) for name, value in expected.items() if name in found}
    return found


def test_the_checkpoint_of_the_version_before_shows_what_it_showed() -> None:
    ledger = new_ledger(streams=("s", "t"))
    ledger.take_over(FIELDS, FIXTURE["at"])
    document = json.loads(msgspec.json.encode(compute(ledger.aggregate.committed, RULES, context(FIXTURE["at"]))))
    assert part(document, FIXTURE["shown"]) == FIXTURE["shown"]
    assert (ledger.position("s"), ledger.position("t"), ledger.generation) == ("24-0", "0-0", "generation-2")


def test_the_checkpoint_of_the_version_before_is_committed_and_loaded_again() -> None:
    ledger = new_ledger(streams=("s", "t"))
    ledger.take_over(FIELDS, FIXTURE["at"])
    commit = settle(ledger, FIXTURE["at"])
    positions = {"p:" + stream: position.dump(stream) for stream, position in commit.positions.items()}
    again = new_ledger(streams=("s", "t"))
    again.take_over({**FIELDS, **ledger.fields(commit), **positions}, FIXTURE["at"])
    document = json.loads(msgspec.json.encode(compute(again.aggregate.committed, RULES, context(FIXTURE["at"]))))
    assert part(document, FIXTURE["shown"]) == FIXTURE["shown"]
