"""Checkpoints that earlier versions wrote, loaded by this one.

Each file holds the HGETALL of one in Base64, and the numbers that its version showed. checkpoint-0.1.0.json has a bit
of everything: both transports, a clear, holes of several producers, three currencies, rejected and ignored events. In
checkpoint-every-section.json, of commit 25f9615, every section is filled.
"""

import json
from base64 import b64decode
from pathlib import Path
from typing import Any

import msgspec
import pytest

from sidecar.core.checkpoint.sections import SECTIONS
from sidecar.core.commit.ledger import Ledger
from sidecar.core.snapshot.compute import compute
from tests.core.counted import context
from tests.ledgers import RULES, heard, new_ledger, settle

FILES = sorted(Path(__file__).parent.glob("checkpoint-*.json"))


class Stored:
    """A checkpoint, and what its version showed of it."""

    def __init__(self, file: Path) -> None:
        found = json.loads(file.read_bytes())
        self.fields = {name: b64decode(value) for name, value in found["fields"].items()}
        self.at, self.shown = found["at"], found["shown"]
        self.positions, self.generation = found["positions"], found["generation"]

    def loaded(self, **more: bytes) -> Ledger:
        """Return a ledger that took it over."""
        ledger = new_ledger(streams=tuple(self.positions))
        ledger.take_over(self.fields | more, self.at)
        return ledger

    def agrees(self, ledger: Ledger) -> bool:
        """Return whether all that its version showed is still shown; later versions may show more."""
        document = json.loads(msgspec.json.encode(compute(ledger.aggregate.committed, RULES, context(self.at))))
        assert part(document, self.shown) == self.shown
        return True


def part(found: Any, expected: Any) -> Any:
    """Return of what was found what the expected value speaks of."""
    if isinstance(expected, dict):
        return {name: part(found[name], value) for name, value in expected.items()}
    return found


@pytest.fixture(params=FILES, ids=lambda file: file.stem)
def stored(request: pytest.FixtureRequest) -> Stored:
    return Stored(request.param)


def test_the_checkpoint_of_an_earlier_version_shows_what_it_showed(stored: Stored) -> None:
    ledger = stored.loaded()
    assert stored.agrees(ledger)
    assert {stream: ledger.position(stream) for stream in stored.positions} == stored.positions
    assert ledger.generation == stored.generation


def test_the_checkpoint_of_an_earlier_version_is_committed_and_loaded_again(stored: Stored) -> None:
    ledger = stored.loaded()
    commit = settle(ledger, stored.at)
    positions = {"p:" + stream: position.dump(stream) for stream, position in commit.positions.items()}
    assert stored.agrees(stored.loaded(**ledger.fields(commit), **positions))


def test_every_section_is_in_one_of_them_and_so_are_windows_and_an_announcement() -> None:
    names = Stored(FILES[-1]).fields.keys()
    later = {"custom", "sales", "phases", "phase_counts", "slos", "reads"}
    assert {name.split(":")[1] for name in names if name.startswith("c:")} >= SECTIONS.keys() - later
    assert {"said", "wgen", "listened", "w:pubsub:c\napi", "p:s"} <= names


def test_numbers_that_were_seen_before_are_not_new_afterwards() -> None:
    every = Stored(FILES[-1])
    ledger = every.loaded()
    known = ledger.aggregate.committed.total.tallies["received"].total()
    again = {"producer": "api", "epoch": "e1", "seq": 5, "status": "success"}
    ledger.apply(heard(msgspec.json.encode(again), at=every.at), every.at)
    settle(ledger, every.at)
    assert ledger.aggregate.committed.total.tallies["received"].total() == known
    assert ledger.aggregate.committed.total.sale.id == "friday"
